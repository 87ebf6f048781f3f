"""What an exposure is, in the words of IVOA ObsCore where it has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from calibration.fits import Hdu, Header
from calibration.suffixes import BY_SUFFIX

MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_SECONDS = 86400.0

_FILTERS = ("FILTER1", "FILTER2", "FILTER", "OPT_ELEM")


def product(suffix: str, obs_id: str) -> dict[str, Any]:
    """Return what the manifest says about the kind of a file."""
    kind = BY_SUFFIX[suffix]
    return {
        "obs_id": obs_id,
        "dataproduct_type": kind.type,
        "dataproduct_subtype": suffix,
        "calib_level": kind.level,
    }


def describe(hdus: Sequence[Hdu]) -> dict[str, Any]:
    """Return telescope, pointing, times and set-up of an exposure; what is unknown is left out."""
    primary = hdus[0].header
    headers = (primary, *(hdu.header for hdu in hdus[1:2]))
    start, end, seconds = _times(headers)
    facts = {
        "telescope": _text(primary, "TELESCOP"),
        "instrument": _text(primary, "INSTRUME"),
        "detector": _text(primary, "DETECTOR"),
        "filters": ";".join(_filters(primary)) or None,
        "target": _text(primary, "TARGNAME"),
        "proposal": _text(primary, "PROPOSID"),
        "s_ra": _number(headers, "RA_TARG"),
        "s_dec": _number(headers, "DEC_TARG"),
        "t_min": start,
        "t_max": end,
        "t_exptime": seconds,
    }
    return {key: value for key, value in facts.items() if value is not None}


def combined(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an association is: its members from the first start to the last end."""
    out = dict(members[0]) if members else {}
    for key, choose in (("t_min", min), ("t_max", max), ("t_exptime", sum)):
        values = [m[key] for m in members if key in m]
        if values:
            out[key] = choose(values)
    if any(m.get("filters") != out.get("filters") for m in members):
        out["filters"] = ";".join(sorted({f for m in members for f in _split(m.get("filters"))}))
    return out


def _split(filters: str | None) -> list[str]:
    return filters.split(";") if filters else []


def _text(header: Header, key: str) -> str | None:
    value = header.get(key)
    return None if value is None else str(value).strip() or None


def _number(headers: Iterable[Header], *keys: str) -> float | None:
    for header in headers:
        for key in keys:
            value = header.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
    return None


def _filters(header: Header) -> list[str]:
    """Return the filters or gratings; a clear aperture is none."""
    named = [header.text(key) for key in _FILTERS]
    used = [f for f in named if f and not f.upper().startswith(("CLEAR", "N/A"))]
    return list(dict.fromkeys(used))


def _times(headers: Sequence[Header]) -> tuple[float | None, float | None, float | None]:
    """Return start and end (MJD) and exposure time; the end may have to be computed."""
    start = _number(headers, "EXPSTART", "TEXPSTRT")
    end = _number(headers, "EXPEND", "TEXPEND")
    seconds = _number(headers, "EXPTIME", "TEXPTIME")
    if start is None:
        start = _start_by_date(headers[0])
    if end is None and start is not None and seconds is not None:
        end = start + seconds / _SECONDS
    return start, end, seconds


def _start_by_date(header: Header) -> float | None:
    date = header.text("DATE-OBS") or header.text("TDATEOBS")
    time = header.text("TIME-OBS") or header.text("TTIMEOBS") or "00:00:00"
    try:
        moment = datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - MJD_EPOCH).total_seconds() / _SECONDS
