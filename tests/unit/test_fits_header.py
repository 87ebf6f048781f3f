"""The small reader of FITS headers against astropy's files, and against every cut."""

from __future__ import annotations

import gzip
import hashlib
import io

import numpy as np
import pytest
from astropy.io import fits

from htcondor_operator.queue.pollers.deliveries import examine, members_of
from htcondor_operator.queue.pollers.fits_header import Unreadable, read_fits, table_rows


def exposure(**cards: object) -> bytes:
    primary = fits.PrimaryHDU()
    primary.header.update({"ROOTNAME": "jaaa01abq", "ASN_ID": "JAAA01010", **cards})
    primary.header["HIERARCH long key"] = 1
    primary.header["QUOTE"] = "it's / fine"
    primary.header["REAL"] = 1.5e-3
    primary.header["YES"] = True
    image = fits.ImageHDU(np.zeros((3, 5), "i2"), name="SCI")
    out = io.BytesIO()
    fits.HDUList([primary, image, fits.ImageHDU(name="ERR")]).writeto(out)
    return out.getvalue()


def read(data: bytes, *, packed: bool = False):
    return read_fits(io.BytesIO(data), packed=packed)


def test_cards_and_digest() -> None:
    data = exposure()
    found = read(data)
    assert len(found.hdus) == 3
    primary = found.hdus[0]
    assert primary.text("ROOTNAME") == "jaaa01abq"
    assert primary.text("QUOTE") == "it's / fine"
    assert primary.cards["REAL"] == pytest.approx(1.5e-3)
    assert primary.cards["YES"] is True
    assert found.hdus[1].text("EXTNAME") == "SCI"
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    # Packed or not, the digest is that of the content.
    assert read(gzip.compress(data), packed=True).sha256 == found.sha256


@pytest.mark.parametrize("packed", [False, True])
def test_every_cut_is_seen(packed: bool) -> None:
    data = exposure()
    for size in {0, 1, 79, 2879, 2880, 2881, *range(2880 * 2, len(data), 997), len(data) - 1}:
        if size == 2880:
            continue  # a primary header alone is a whole file
        cut = data[:size]
        try:
            found = read(gzip.compress(cut) if packed else cut, packed=packed)
        except Unreadable:
            continue
        # Cut between two HDUs: what is there is whole.
        assert 0 < len(found.hdus) < 3
        assert size % 2880 == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"SIMPLE  =", b"SIMPLY  =", "does not begin with SIMPLE"),
        (b"BITPIX  =                   16", b"BITPIX  =                  'x'", "BITPIX = 'x'"),
        (b"NAXIS1  =                    5", b"NAXIS1  =                   -5", "negative axis"),
        (b"NAXIS1  =                    5", b"NAXIS1  =              9999999", "it is truncated"),
    ],
)
def test_headers_that_lie(old: bytes, new: bytes, words: str) -> None:
    data = exposure()
    assert old in data
    with pytest.raises(Unreadable, match=words):
        read(data.replace(old, new))


def test_a_header_without_end() -> None:
    data = exposure()
    with pytest.raises(Unreadable, match=r"truncated|no END"):
        read(data.replace(b"END" + b" " * 77, b"FIN" + b" " * 77))


def asn(rows: list[tuple[str, str, bool]]) -> bytes:
    primary = fits.PrimaryHDU()
    primary.header["ROOTNAME"] = "jaaa01010"
    columns = [
        fits.Column("MEMNAME", "14A", array=np.array([r[0] for r in rows])),
        fits.Column("XOFFSET", "E", array=np.zeros(len(rows), "f4")),
        fits.Column("MEMTYPE", "14A", array=np.array([r[1] for r in rows])),
        fits.Column("MEMPRSNT", "L", array=np.array([r[2] for r in rows])),
    ]
    out = io.BytesIO()
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)]).writeto(out)
    return out.getvalue()


def test_association_tables() -> None:
    rows = [("JAAA01ABQ", "EXP-CR1", True), ("JAAA01ACQ", "EXP-CR1", False)]
    data = asn([*rows, ("JAAA01011", "PROD-CR1", True)])
    found = read(data)
    assert members_of(found) == [
        ("jaaa01abq", "EXP-CR1", True),
        ("jaaa01acq", "EXP-CR1", False),
    ]
    with pytest.raises(Unreadable, match="no column NOSUCH"):
        table_rows(found.hdus[1], ("NOSUCH",))
    with pytest.raises(Unreadable, match="names no exposure"):
        members_of(read(asn([("JAAA01011", "PROD-CR1", True)])))
    with pytest.raises(Unreadable, match="is not a name"):
        members_of(read(asn([("../X", "EXP-CR1", True)])))


@pytest.mark.parametrize(
    ("name", "cards", "words"),
    [
        ("jaaa01abq_flt.fits", {}, "its name is not"),
        ("../jaaa01abq_raw.fits", {}, "its name is not"),
        ("JAAA01ABQ_raw.fits", {}, "its name is not"),
        ("jaaa01acq_raw.fits", {}, "its ROOTNAME is 'jaaa01abq'"),
        ("jaaa01abq_raw.fits", {"INSTRUME": "COS"}, "its INSTRUME is 'COS'"),
        ("jaaa01abq_raw.fits", {"ASN_ID": "a b"}, "its ASN_ID 'a b' is not a name"),
    ],
)
def test_files_that_are_not_taken(name: str, cards: dict[str, str], words: str) -> None:
    data = exposure(**cards)
    with pytest.raises(Unreadable, match=words):
        examine(name, io.BytesIO(data), len(data), "ACS")


def test_what_a_file_is() -> None:
    data = exposure(INSTRUME="WFC3")
    found = examine("jaaa01abq_raw.fits", io.BytesIO(data), len(data), "WF3")
    digest = hashlib.sha256(data).hexdigest()
    assert found.fileset == "jaaa01abq"
    assert found.facts == {"association": "jaaa01010", "raw_sha256": digest}
    second = examine("jaaa01abq_rawtag_b.fits", io.BytesIO(data), len(data), None)
    assert second.facts == {"association": "jaaa01010"}
    own = exposure(ASN_ID="JAAA01ABQ")
    assert examine("jaaa01abq_raw.fits", io.BytesIO(own), 0, None).facts["association"] is None
    companion = examine("jaaa01abq_spt.fits", io.BytesIO(data), len(data), None)
    assert companion.use == "companion"


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"NAXIS": 10**15}, "NAXIS = 1000000000000000"),
        ({"NAXIS": -1}, "NAXIS = -1"),
        ({"NAXIS": 1, "NAXIS1": 10, "GCOUNT": -1}, "negative size"),
        ({"NAXIS": 1, "NAXIS1": 10, "PCOUNT": -(10**9)}, "negative size"),
    ],
)
def test_a_header_that_lies_costs_nothing(cards: dict[str, int], words: str) -> None:
    written = {"SIMPLE": "T", "BITPIX": 8, **cards}
    text = "".join(f"{key:<8}= {value:>20}".ljust(80) for key, value in written.items())
    with pytest.raises(Unreadable, match=words):
        read(f"{text}{'END'.ljust(80)}".ljust(2880).encode() + b"x" * 2880)
