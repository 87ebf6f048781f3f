"""The choice of references by the headers of a local folder."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, image_hdu, write
from calibration.references.local_index import Candidate, choose, preferred, scan

WHEN = datetime(2002, 4, 13)


def header(**cards: object) -> Header:
    out = Header()
    for key, value in cards.items():
        out.set(key.replace("_", "-"), value)  # type: ignore[arg-type]
    return out


def dark(name: str, **cards: object) -> Candidate:
    base = {"INSTRUME": "ACS", "DETECTOR": "HRC", "USEAFTER": "Jan 01 2000 00:00:00"}
    return Candidate(name, "DARKFILE", header(**{**base, **cards}))


EXPOSURE = header(INSTRUME="ACS", DETECTOR="HRC", CCDAMP="C", CCDGAIN=2, FILTER1="F555W")


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([dark("a.fits")], "a.fits"),
        ([dark("a.fits"), dark("b.fits", USEAFTER="Mar 01 2002")], "b.fits"),
        ([dark("a.fits"), dark("late.fits", USEAFTER="Jan 01 2003")], "a.fits"),
        ([dark("a.fits"), dark("wfc.fits", DETECTOR="WFC", USEAFTER="Mar 01 2002")], "a.fits"),
        ([dark("g.fits", CCDGAIN=2.0), dark("h.fits", CCDGAIN=4.0)], "g.fits"),
        ([dark("any.fits", FILTER1="ANY")], "any.fits"),
        ([dark("sim.fits", SIMULATE="OWL")], None),
        ([], None),
    ],
)
def test_choice(candidates: list[Candidate], expected: str | None) -> None:
    assert choose("DARKFILE", EXPOSURE, WHEN, candidates, frozenset()) == expected


def test_equals_are_ambiguous_until_someone_decides() -> None:
    pair = [dark("a.fits"), dark("b.fits")]
    with pytest.raises(CalibrationError) as caught:
        choose("DARKFILE", EXPOSURE, WHEN, pair, frozenset())
    assert caught.value.code == ExitCode.REFERENCE_AMBIGUOUS
    assert "a.fits, b.fits" in caught.value.message
    assert choose("DARKFILE", EXPOSURE, WHEN, pair, frozenset({"b.fits"})) == "b.fits"
    own = EXPOSURE.copy()
    own.set("DARKFILE", "jref$a.fits")
    assert choose("DARKFILE", own, WHEN, pair, frozenset({"b.fits"})) == "a.fits"


def test_scan_and_preference(tmp_path: Path) -> None:
    primary = header(FILETYPE="DARK", INSTRUME="ACS")
    write(tmp_path / "x_drk.fits", [image_hdu(primary, None, primary=True)])
    write(tmp_path / "other.fits", [image_hdu(header(FILETYPE="SCI"), None, primary=True)])
    assert [c.name for c in scan(tmp_path)] == ["x_drk.fits"]
    assert preferred(tmp_path) == frozenset()
    (tmp_path / "index.json").write_text(json.dumps({"prefer": ["x_drk.fits"]}))
    assert preferred(tmp_path) == {"x_drk.fits"}
    (tmp_path / "index.json").write_text("[")
    with pytest.raises(CalibrationError, match=r"index\.json"):
        preferred(tmp_path)
