"""What deliveries must never do: lose a file, stop a poller for good, hide the newest content."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from htcondor_operator.settings import Settings
from tests.integration.deliveries_support import (
    as_bytes,
    deliver,
    poller_of,
    queue,
    raw,
    rounds,
    settings_at,
)

pytestmark = pytest.mark.database


@pytest.fixture
def site(database: str, tmp_path: Path) -> Settings:
    return settings_at(tmp_path, database)


@pytest.fixture
def acs(site: Settings) -> Path:
    return site.incoming / "acs"


def test_two_forms_of_one_exposure_in_one_round_leave_the_newer_one(
    site: Settings, acs: Path, tmp_path: Path
) -> None:
    packed = deliver(
        acs, "jaaa01abq_raw.fits.gz", gzip.compress(as_bytes(raw("jaaa01abq"), tmp_path))
    )
    plain = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=2))
    os.utime(packed, (1_000, 1_000))
    os.utime(plain, (2_000, 2_000))
    rounds(poller_of(site))
    there = [p.name for p in site.incoming.iterdir() if p.is_file()]
    assert there == ["jaaa01abq_raw.fits"]
    assert list(queue(site.database_url)) == [("jaaa01abq", "sdp_prearch_acs")]
