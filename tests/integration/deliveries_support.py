"""Deliveries of small but real FITS files, and pollers that look at them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import parse_declaration
from htcondor_operator.queue.pollers.kinds import make_poller
from htcondor_operator.settings import Settings

ACS = {
    "name": "DP_ACS",
    "kind": "telemetry",
    "directory": "acs",
    "pattern": ["j*.fits", "j*.fits.gz", "j*.tlm"],
    "interval": 1,
    "instrument": "ACS",
    "workflow": {"single": "sdp_prearch_acs", "association": "sdp_prearch_acs_asn"},
    "complete": {"rule": "settled", "seconds": 0},
}


def settings_at(folder: Path, database: str) -> Settings:
    """Settings of a site in one folder."""
    found = Settings.from_environment({"OWL_HOME": str(folder), "OWL_DATABASE_URL": database})
    for path in (found.incoming, found.quarantine):
        path.mkdir(parents=True, exist_ok=True)
    return found


def poller_of(
    settings: Settings,
    change: Mapping[str, Any] | None = None,
    point: Callable[[str], None] | None = None,
) -> FolderPoller:
    """Make a poller by a declaration like DP_ACS's."""
    poller = make_poller(parse_declaration({**ACS, **(change or {})}), settings)
    assert isinstance(poller, FolderPoller)
    if point is not None:
        poller._point = point
    return poller


def rounds(poller: FolderPoller, number: int = 2) -> dict[str, int]:
    """Do rounds (a settled file needs two looks); return what they counted."""
    counts: dict[str, int] = {}
    for _ in range(number):
        more = True
        while more:
            result = poller.round()
            more = result.more
            for key, value in result.counts.items():
                counts[key] = counts.get(key, 0) + value
    return counts


def raw(root: str, association: str = "NONE", seed: int = 0, **cards: Any) -> fits.HDUList:
    """A raw exposure of a few pixels."""
    primary = fits.PrimaryHDU()
    values = {"ROOTNAME": root, "INSTRUME": "ACS", "ASN_ID": association.upper(), "SEED": seed}
    primary.header.update(values | cards)
    return fits.HDUList([primary, fits.ImageHDU(np.full((8, 8), seed, "i2"), name="SCI")])


def table(association: str, members: list[str], absent: tuple[str, ...] = ()) -> fits.HDUList:
    """An association table."""
    primary = fits.PrimaryHDU()
    primary.header.update({"ROOTNAME": association, "INSTRUME": "ACS", "ASN_ID": association})
    names = [*(m.upper() for m in members), association[:-1].upper() + "1"]
    roles = ["EXP-CR1"] * len(members) + ["PROD-CR1"]
    columns = [
        fits.Column("MEMNAME", "14A", array=np.array(names)),
        fits.Column("MEMTYPE", "14A", array=np.array(roles)),
        fits.Column("MEMPRSNT", "L", array=np.array([n.lower() not in absent for n in names])),
    ]
    return fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)])


def deliver(folder: Path, name: str, content: fits.HDUList | bytes) -> Path:
    """Put a file into a landing folder in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}.part"
    if isinstance(content, bytes):
        draft.write_bytes(content)
    else:
        content.writeto(os.fspath(draft).removesuffix(".part") + "_.fits", overwrite=True)
        Path(os.fspath(draft).removesuffix(".part") + "_.fits").rename(draft)
    draft.rename(folder / name)
    return folder / name


def as_bytes(content: fits.HDUList, folder: Path) -> bytes:
    """Return the bytes of a file that is not delivered."""
    path = folder / ".bytes.fits"
    content.writeto(path, overwrite=True)
    data = path.read_bytes()
    path.unlink()
    return data


def rows(database: str, sql: str, **values: Any) -> list[dict[str, Any]]:
    """Ask the database."""
    with (
        closing(connect_url(database, application="test", autocommit=True)) as connection,
        connection.cursor() as cur,
    ):
        cur.execute(sql, values)
        return named_rows(cur)


def queue(database: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the queue's entries by fileset and type."""
    found = rows(database, "SELECT * FROM owl_queue ORDER BY id")
    return {(row["fileset"], row["type"]): row for row in found}


def journal(database: str) -> list[dict[str, Any]]:
    """Return the journal."""
    return rows(database, "SELECT * FROM owl_arrival ORDER BY id")


def execute(database: str, sql: str, **values: Any) -> None:
    """Change the database."""
    with (
        closing(connect_url(database, application="test", autocommit=True)) as connection,
        connection.cursor() as cur,
    ):
        cur.execute(sql, values)


def with_settings(settings: Settings, **changes: Any) -> Settings:
    """Return other settings."""
    return dataclasses.replace(settings, **changes)
