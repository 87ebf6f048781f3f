"""CRDS rules: what they choose for every real frame, and what they say of every broken mapping."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read
from calibration.references.crds_rules import (
    Rules,
    best_references,
    conditioned,
    matching_header,
    selector_of,
)
from calibration.references.mapping_file import checksum, open_mapping, open_rules

ACS = ["j8bt05njq", "j8bt06o6q"]
STIS = ["o4er06llq", "oc7w11viq", "ocmv0lw6q", "ocoa03q2q", "octka7jeq", "octr11h4q"]
SINCE_2013 = ["oc7w11viq", "ocmv0lw6q", "ocoa03q2q", "octka7jeq", "octr11h4q"]
SPECTRA = ["oc7w11viq", "octka7jeq"]

#: Where the header does not name what the rules of 2013 choose: keyword -> (frames, why).
#: ``omitted``: the header names a file for a step that is switched off, the rules name none.
#: ``newer``: the header's file is not in the rules; it was delivered after they were made.
#: ``older``: the header was written before the file that the rules have now was delivered.
#: ``narrowed``: the header says N/A, since later rules have none for acquisitions; these do.
EXCEPTIONS = {
    "ATODTAB": (ACS, "omitted"),
    "CRREJTAB": (ACS, "omitted"),
    "SHADFILE": (ACS, "omitted"),
    "TDSTAB": (STIS, "newer"),
    "APERTAB": (SINCE_2013, "newer"),
    "CCDTAB": (SINCE_2013, "newer"),
    "DARKFILE": (SINCE_2013, "newer"),
    "SDCTAB": (SPECTRA, "newer"),
    "WCPTAB": (SPECTRA, "newer"),
    "APDESTAB": (SINCE_2013, "newer"),
    "BIASFILE": (SINCE_2013, "narrowed"),
}
EXCEPTIONS_OF_A_FRAME = {
    ("o4er06llq", "TDSTAB"): "older",  # header of 2006, file of 2009
    **{(name, "APDESTAB"): "narrowed" for name in ("ocmv0lw6q", "ocoa03q2q", "octr11h4q")},
}


def why_not(dataset: str, keyword: str) -> str | None:
    frames, why = EXCEPTIONS.get(keyword, ([], None))
    return EXCEPTIONS_OF_A_FRAME.get((dataset, keyword), why if dataset in frames else None)


@pytest.fixture(scope="module")
def mappings(shared_data: Path) -> Path:
    return shared_data / "hst" / "crds_mappings"


@cache
def rules_of(path: Path, instrument: str, keyword: str) -> Rules:
    return Rules(path, instrument, keyword)


@pytest.mark.parametrize("dataset", [*ACS, *STIS])
def test_rules_choose_the_headers_own_file(shared_data: Path, mappings: Path, dataset: str) -> None:
    path = next((shared_data / "hst").glob(f"*/{dataset}_raw.fits"))
    hdus = read(path)
    header, instrument = hdus[0].header, hdus[0].header.text("INSTRUME")
    names = selector_of(mappings / f"hst_{instrument.lower()}.imap")
    agreed, differing = 0, {}
    for keyword in sorted(name.upper() for name in names if name.upper() in header):
        rmap = mappings / Path(names[keyword.lower()]).name
        own = header.text(keyword).rpartition("$")[2].lower()
        found = rules_of(rmap, instrument, keyword).best(conditioned(matching_header(hdus)))
        if (found or "n/a") == own:
            agreed += 1
            continue
        differing[keyword] = reason(own, found, rmap.read_text())
    assert differing == {k: why for k in EXCEPTIONS if (why := why_not(dataset, k))}
    # All twelve keywords of the HRC headers whose steps are switched on or have no switch.
    assert agreed == {"j": 12, "o": agreed}[dataset[0]]
    assert agreed >= 10


def reason(own: str, found: str | None, rules: str) -> str:
    """Return which of the reasons above the files themselves support."""
    if found is None:
        assert '!= "OMIT"' in rules
        return "omitted"
    if own == "n/a":
        return "narrowed"
    assert own not in rules
    return "older" if delivered(own) < delivered(found) else "newer"


def delivered(name: str) -> tuple[int, str]:
    """Return what sorts as year and month of delivery, the first two characters of a name."""
    return "abcdefghijklmnopqrstuvwxyz0123456789".index(name[0]), name[1]


def test_oracle_frames_with_their_original_keywords(shared_data: Path, mappings: Path) -> None:
    """The oracle's real frames have test references in their headers; these are the former ones."""
    oracle = shared_data / "oracle" / "hrc_47tuc"
    patched = json.loads((oracle / "patched_keywords.json").read_text())
    compared = 0
    for dataset, changes in patched.items():
        path = oracle / "raw" / f"{dataset}_raw.fits.gz"
        if not path.is_file():
            continue
        hdus = [Hdu(h.header.copy(), h.raw) for h in read(path)]
        for keyword, (before, _) in changes.items():
            if before is None:
                hdus[0].header.remove(keyword)
            else:
                hdus[0].header.set(keyword, before)
        primary = hdus[0].header
        names = selector_of(mappings / "hst_acs.imap")
        wanted = [k for k in map(str.upper, names) if k in primary and k not in EXCEPTIONS]
        found = best_references(mappings / "hst.pmap", hdus, wanted)
        own = {k: primary.text(k).rpartition("$")[2].lower() for k in wanted}
        assert {k: v or "n/a" for k, v in found.items()} == own, dataset
        compared += len(wanted)
    assert compared >= 24


# Broken mappings: each is named, with what is wrong in it; no other one is refused.

BROKEN = {
    "hst-bad-xsum.rmap": ["its checksum is 38ce256d6d57978405e4f493efd536ce3729b100"],
    "hst_acs_0491.imap": ["its checksum is 00497943bf0ec0a2514798d736a32a77ddee30c5"],
    "hst_acs_atodtab_0251.rmap": ["its checksum is 2b8f8bdf91367dae209b3964203a78d26532c47c"],
    "hst_acs_darkfile_badexpr.rmap": ["ccdamp", '(DETECTOR x= "SBC")', "is not an expression"],
    "hst_acs_darkfile_invalid1.rmap": ["line 15", "'2002-03- 00:34:31' is not a date"],
    "hst_acs_darkfile_missing_key.rmap": ["its header has no 'mapping'"],
    "hst_cos_dup.rmap": ["its checksum is", "line 20 repeats the rule for '1996-10-01 00:00:00'"],
    "hst_cos_tdstab_duplicate.rmap": ["line 22 repeats the rule for ('FUV', 'SPECTROSCOPIC')"],
    "hst_missing_parkey.rmap": ["its header has no 'parkey'"],
}


def test_no_other_mapping_is_broken(mappings: Path) -> None:
    refused = set()
    for path in mappings.iterdir():
        try:
            open_mapping(path)
        except CalibrationError:
            refused.add(path.name)
    assert refused == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_mappings_are_named(mappings: Path, name: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        open_mapping(mappings / name)
    assert caught.value.code == ExitCode.MAPPING_BAD
    assert caught.value.message.startswith(f"{name}: ")
    for words in BROKEN[name]:
        assert words in caught.value.message


@pytest.mark.parametrize("name", ["hst_acs_crrejtab.rmap", "hst_stis_darkfile.rmap"])
def test_rules_of_something_else_are_refused(mappings: Path, name: str) -> None:
    with pytest.raises(CalibrationError, match=f"^{name}.*NOT OF ACS/DARKFILE"):
        open_rules(mappings / name, "ACS", "DARKFILE")


RULES = """header = {
    'filekind' : 'DARKFILE', 'instrument' : 'ACS', 'mapping' : 'REFERENCE',
    'name' : 'x.rmap', 'observatory' : 'HST', 'derived_from' : 'nothing',
    'parkey' : (('DETECTOR',), ('DATE-OBS', 'TIME-OBS')),
    'sha1sum' : '%s',
}
selector = Match({
    ('HRC',) : UseAfter({
        '1992-01-01 00:00:00' : 'first.fits',
        '2002-01-01 00:00:00' : 'a.fits',
        '2002-01-01 00:00:00' : 'b.fits',
        '2003-01-01 00:00:00' : 'last.fits',
    }),
})
"""


def test_two_files_of_one_date_are_ambiguous_for_their_exposures_only(tmp_path: Path) -> None:
    path = tmp_path / "x.rmap"
    path.write_text(RULES.replace("%s", checksum(RULES)))
    rules = Rules(path, "ACS", "DARKFILE")
    exposure = {"INSTRUME": "ACS", "DETECTOR": "HRC", "TIME-OBS": "00:00:00"}

    def best(date: str, **own: str) -> str | None:
        return rules.best(conditioned({**exposure, "DATE-OBS": date, **own}))

    assert best("2001-05-05") == "first.fits"
    assert best("2004-05-05") == "last.fits"
    with pytest.raises(
        CalibrationError, match=r"x\.rmap: a\.fits, b\.fits have the same"
    ) as caught:
        best("2002-05-05")
    assert caught.value.code == ExitCode.REFERENCE_AMBIGUOUS
    assert best("2002-05-05", DARKFILE="jref$a.fits") == "a.fits"
    assert best("2002-05-05", DARKFILE="jref$b.fits") == "b.fits"
    with pytest.raises(CalibrationError) as caught:
        best("1990-05-05")
    assert caught.value.code == ExitCode.BEST_REFERENCES_ERROR


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("header = {", "it is no mapping"),
        ("x = 1", "it has no header"),
        ("header = {}", "it has no selector"),
        ("header = open('x')\nselector = {}", "its header is not a table"),
        (RULES, "its checksum is"),
    ],
)
def test_what_is_no_mapping(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.rmap"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=words) as caught:
        open_mapping(path)
    assert caught.value.message.startswith("x.rmap: ")
    path.unlink()
    with pytest.raises(CalibrationError, match=r"x\.rmap is not in"):
        open_mapping(path)
