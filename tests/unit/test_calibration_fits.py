"""The small FITS layer against astropy: what we write it reads, what it writes we read."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Column, Header, image_hdu, read, read_table, table_hdu, write
from calibration.fits.files import checksum_faults
from calibration.fits.header import format_card, parse_value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000,
        np.array([[0, 65535]], np.uint16),
        np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        np.array([[-3, 9000]], np.int16),
        np.array([[1 << 30, -5]], np.int32),
        np.ones((2, 2), np.float64) / 3,
    ],
    ids=lambda a: str(a.dtype),
)
def test_astropy_reads_and_verifies_what_we_write(tmp_path: Path, array: np.ndarray) -> None:
    header = Header()
    header.set("EXTNAME", "SCI")
    header.set("NOTE", "it's O'Brien's", "quotes")
    path = tmp_path / "a.fits"
    write(path, [image_hdu(Header(), None, primary=True), image_hdu(header, array)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with astropy_fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            np.testing.assert_array_equal(hdus["SCI"].data, array)
            assert hdus["SCI"].header["NOTE"] == "it's O'Brien's"
    np.testing.assert_array_equal(read(path)[1].image(), array)
    assert checksum_faults(read(path)) == []


def test_consumed_array_is_stored_right(tmp_path: Path) -> None:
    array = np.linspace(0, 1, 50, dtype=np.float32).reshape(5, 10)
    path = tmp_path / "a.fits"
    write(path, [image_hdu(Header(), array.copy(), primary=True, consume=True)])
    np.testing.assert_array_equal(astropy_fits.getdata(path), array)


def test_a_flipped_bit_breaks_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    write(path, [image_hdu(Header(), np.ones((20, 20), np.float32), primary=True)])
    content = bytearray(path.read_bytes())
    content[-2000] ^= 4
    path.write_bytes(content)
    assert len(checksum_faults(read(path))) == 1


def test_header_survives_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    source = astropy_fits.PrimaryHDU(np.zeros((4, 4), np.int16))
    source.header["FLOAT"] = (1.5e-20, "with a comment")
    source.header["BLANKS"] = "  leading"
    source.header.add_history("what was done")
    source.header.add_blank("a section")
    source.writeto(path)
    again = tmp_path / "b.fits"
    write(again, read(path), checksum=False)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (-2.5, -2.5),
        (1e-20, 1e-20),
        (True, True),
        ("text", "text"),
        ("", ""),
        ("a/b", "a/b"),
    ],
)
def test_card_round_trip(value: object, expected: object) -> None:
    card = format_card("KEY", value, "what it is")  # type: ignore[arg-type]
    assert len(card) == 80
    assert parse_value(card) == (expected, "what it is")
    assert astropy_fits.Card.fromstring(card).value == expected


def test_single_precision_is_written_short() -> None:
    assert "7.7479055E-20" in format_card("PHOTFLAM", np.float32(7.7479055e-20))  # type: ignore[arg-type]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("keep", [0, 1000, 2880, 5000])
def test_truncated_file_is_named(tmp_path: Path, keep: int, packed: bool) -> None:
    path = tmp_path / "a_raw.fits"
    write(path, [image_hdu(Header(), np.ones((40, 40), np.float32), primary=True)])
    content = path.read_bytes()[:keep]
    path.write_bytes(gzip.compress(content)[: -4 if keep else None] if packed else content)
    with pytest.raises(CalibrationError) as caught:
        read(path)
    assert caught.value.code == ExitCode.INPUT_CORRUPT
    assert "a_raw.fits" in caught.value.message


def test_table_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    columns = [
        Column("NAME", "8A", ["one", "two"]),
        Column("NUMBER", "J", [1, -2]),
        Column("VALUE", "E", [0.5, 2.25]),
        Column("THERE", "L", [True, False]),
    ]
    write(path, [image_hdu(Header(), None, primary=True), table_hdu("T", columns)])
    rows = read_table(read(path)[1])
    assert [r["NAME"] for r in rows] == ["one", "two"]
    assert [r["NUMBER"] for r in rows] == [1, -2]
    theirs = astropy_fits.getdata(path)
    assert list(theirs["VALUE"]) == [0.5, 2.25]
    assert list(theirs["THERE"]) == [True, False]


def test_variable_length_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    values = np.array([np.array([1.0, 2.0]), np.array([3.0])], dtype=object)
    column = astropy_fits.Column("V", "PD()", array=values)
    astropy_fits.BinTableHDU.from_columns([column]).writeto(path)
    rows = read_table(read(path)[1])
    assert [list(r["V"]) for r in rows] == [[1.0, 2.0], [3.0]]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"old")

    class Bad:
        header = Header()
        raw = "not bytes"

    with pytest.raises(TypeError):
        write(path, [Bad()], checksum=False)  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("card", ["BITPIX  = 17", "NAXIS1  = 'many'", "NAXIS2  =  4  4",
                                  "NAXIS1  = .5E400", "NAXIS   = NaN", "NAXIS2  = -4"])  # fmt: skip
def test_structure_that_makes_no_sense_is_named(tmp_path: Path, card: str) -> None:
    path = tmp_path / "a_raw.fits"
    write(path, [image_hdu(Header(), np.ones((4, 4), np.float32), primary=True)], checksum=False)
    key = card[:8].encode()
    content = bytearray(path.read_bytes())
    at = content.index(key.ljust(8))
    content[at : at + 80] = f"{card:<80}".encode()
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"a_raw\.fits") as caught:
        read(path)
    assert caught.value.code == ExitCode.INPUT_CORRUPT
