"""BC's checks of the primary header: each fault has its sentence."""

from __future__ import annotations

import pytest

from calibration.fits import Header, image_hdu
from calibration.instruments import DETECTORS
from calibration.nodes.check_before import header_faults

GOOD: dict[str, object] = {
    "ROOTNAME": "JSIM01A1Q", "TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "HRC",
    "CCDAMP": "C", "CCDGAIN": 2.0, "EXPTIME": 60.0, "DARKTIME": 62.0, "DATE-OBS": "2002-04-13",
    "TIME-OBS": "01:02:03", "EXPFLAG": "NORMAL", "EXPSTART": 52377.1, "EXPEND": 52377.2,
    "DARKCORR": "PERFORM", "FLATCORR": "OMIT", "PCTECORR": "N/A", "NEXTEND": 0,
}  # fmt: skip


def faults(**changed: object) -> list[str]:
    header = Header()
    for key, value in {**GOOD, **changed}.items():
        if value is not None:
            header.set(key.replace("_", "-"), value)  # type: ignore[arg-type]
    hdus = [image_hdu(header, None, primary=True)]
    return header_faults(hdus, "jsim01a1q", DETECTORS["ACS", "HRC"])


def test_a_good_header() -> None:
    assert faults() == []
    assert faults(EXPFLAG="INTERRUPTED", EXPTIME=0.0, DARKCORR="COMPLETE") == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ROOTNAME": None}, "ROOTNAME is absent"),
        ({"CCDAMP": None}, "CCDAMP is absent"),
        ({"ROOTNAME": "jother01q"}, "ROOTNAME = 'jother01q' is not 'jsim01a1q'"),
        ({"TELESCOP": "JWST"}, "TELESCOP = 'JWST' is not HST"),
        ({"DARKCORR": "MAYBE"}, "DARKCORR = 'MAYBE' is not PERFORM or OMIT"),
        ({"EXPTIME": -1.0}, "EXPTIME = -1.0 is not a time"),
        ({"EXPTIME": "long"}, "EXPTIME = 'long' is not a time"),
        ({"DARKTIME": -1.0}, "DARKTIME = -1.0 is not a time"),
        ({"DATE_OBS": "13/04/02"}, "DATE-OBS, TIME-OBS = '13/04/02', '01:02:03' is not a time"),
        ({"EXPEND": 52377.0}, "EXPEND = 52377.0 is before EXPSTART = 52377.1"),
        ({"EXPFLAG": "ODD"}, "EXPFLAG = 'ODD' is not one of NORMAL"),
        ({"CCDAMP": "CE"}, "CCDAMP = 'CE' does not name amplifiers"),
        ({"CCDAMP": "CC"}, "CCDAMP = 'CC' does not name amplifiers"),
        ({"CCDGAIN": 0}, "CCDGAIN = 0 is not a gain"),
        ({"NEXTEND": 3}, "NEXTEND = 3 but there are 0 extensions"),
    ],
)
def test_each_fault_has_its_sentence(changed: dict[str, object], sentence: str) -> None:
    (found,) = faults(**changed)
    assert found.startswith(sentence)
