"""``owl archive``: what is in the archive, how it was made, and whether it is still whole."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from htcondor_operator.blackboard import catalogue
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.mirror import verification
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError, dataset_name

app = typer.Typer(no_args_is_help=True, help="List and verify the archive.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_AGE = re.compile(r"(\d+)([dhm])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_SAY_EVERY_SECONDS = 10.0
OWN_HEADERS = "the reference files' own headers"


@app.command("list")
def list_products(
    dataset: Annotated[str | None, typer.Option(help="Name, or a pattern with * and ?.")] = None,
    instrument: Annotated[str | None, typer.Option(help="ACS, WFC3, STIS or COS.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Observed at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Observed before.")] = None,
    level: Annotated[int | None, typer.Option(min=0, max=4, help="ObsCore's calib_level.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="image, spectrum, event ...")] = None,
    subtype: Annotated[str | None, typer.Option(help="Suffix: raw, flt, drz, preview ...")] = None,
    faulty: Annotated[bool, typer.Option("--faulty", help="Only with a fault.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many at the most.")] = 100,
    after: Annotated[int, typer.Option(help="Next page: the last id of the one before.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List products in the order in which they were catalogued."""
    filters = catalogue.Filters(
        dataset=dataset,
        instrument=instrument,
        start=_moment("--from", since),
        end=_moment("--to", until),
        level=level,
        kind=kind,
        subtype=subtype,
        faulty=faulty,
    )
    with closing(_connection()) as connection, connection.cursor() as cur:
        rows = catalogue.list_products(cur, filters, after=after, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = (
        "id", "dataset", "name", "calib_level", "bytes", "instrument_name", "filters",
        "observed_at", "workflow", "run_key", "verified_at", "fault",
    )  # fmt: skip
    print_table(columns, rows)
    if len(rows) == limit:
        typer.echo(f"More: --after {rows[-1]['id']}", err=True)


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(help="Exposure or association.")],
    as_json: AsJson = False,
) -> None:
    """Show a dataset's products and how each was made."""
    dataset_name(dataset)
    with closing(_connection()) as connection, connection.cursor() as cur:
        rows = catalogue.show_dataset(cur, dataset)
    if not rows:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"There is no product of {dataset!r} in the catalogue. See `owl archive list`; if its"
            " shelf is in the archive, run `owl archive rebuild`.",
        )
    if as_json:
        print_json(rows)
        return
    _show(rows)


@app.command()
def verify(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The whole archive.")] = False,
    older_than: Annotated[
        str | None, typer.Option(help="Only what was not verified for so long: 30d, 12h, 5m.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read files and compare their sha256 with the catalogue; exit code 1 if one has a fault."""
    if (dataset is None) == (not every):
        raise OwlError(ErrorKind.BAD_CONF, "Name a dataset, or give --all for the whole archive.")
    if dataset is not None:
        dataset_name(dataset)
    due = catalogue.Due(dataset, _age(older_than))
    settings = Settings.from_environment()
    began = time.monotonic()
    with closing(connect(settings, application="archive verify")) as connection:
        with connection, connection.cursor() as cur:
            expected = catalogue.size_to_verify(cur, due)
        read = _read(expected, verification.verify(connection, settings.archive, due))
    seconds = time.monotonic() - began
    if as_json:
        faults = [asdict(verdict) for verdict in read.faults]
        print_json(
            {
                "files": read.files,
                "bytes": read.bytes,
                "seconds": round(seconds, 3),
                "faults": faults,
            }
        )
    else:
        for verdict in read.faults:
            typer.echo(f"{verdict.dataset}: {verdict.name} {verdict.fault}")
        typer.echo(
            f"{read.files} files, {read.bytes / 1e6:.1f} MB verified in {seconds:.1f} s,"
            f" {len(read.faults)} with a fault"
        )
    if read.faults:
        raise typer.Exit(1)


@app.command()
def rebuild(
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete rows of files that no manifest lists.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the catalogue from the manifests on disk; exit code 1 if one is damaged."""
    settings = Settings.from_environment()
    state = verification.Rebuilt()
    with closing(connect(settings, application="archive rebuild")) as connection:
        said = time.monotonic()
        for state in verification.rebuild(connection, settings.archive, prune=prune):
            if time.monotonic() - said > _pause():
                said = time.monotonic()
                _progress(f"{state.shelves} shelves, {state.written} rows written")
    _progress_end()
    if as_json:
        print_json(asdict(state))
    else:
        for words in state.damaged:
            typer.echo(words)
        typer.echo(
            f"{state.shelves} shelves: {state.written} rows new or changed,"
            f" {state.removed} removed, {len(state.damaged)} manifests damaged"
        )
    if state.damaged:
        raise typer.Exit(1)


@dataclass
class _Read:
    """What was read so far."""

    files: int = 0
    bytes: int = 0
    faults: list[verification.Verdict] = field(default_factory=list)


def _read(expected: tuple[int, int], verdicts: Iterable[verification.Verdict]) -> _Read:
    """Collect verdicts and say how far it is: on a terminal always, else every ten seconds."""
    read, said = _Read(), time.monotonic()
    files, size = expected
    for verdict in verdicts:
        read.files += 1
        read.bytes += verdict.bytes
        if verdict.fault:
            read.faults.append(verdict)
        now = time.monotonic()
        if now - said > _pause():
            said = now
            share = 100 * read.bytes / max(size, 1)
            _progress(f"{read.files} of {files} files, {share:.0f} % of {size / 1e6:.0f} MB")
    _progress_end()
    return read


def _pause() -> float:
    """Return the seconds between two words about the progress."""
    return 0.2 if sys.stderr.isatty() else _SAY_EVERY_SECONDS


def _progress(words: str) -> None:
    sys.stderr.write(f"\r{words}" if sys.stderr.isatty() else f"{words}\n")
    sys.stderr.flush()


def _progress_end() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{option} {text!r} is no time. Give 2003-12-27 or 2003-12-27T12:00.",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"--older-than {text!r} is no age. Give for instance 30d, 12h or 5m.",
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _connection() -> Any:
    return connect(Settings.from_environment(), application="archive", autocommit=True)


def _show(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    console = Console()
    whole = next((r for r in rows if r["obs_id"] == first["dataset"]), first)
    words = [
        f"{whole['dataset']}: {whole['instrument_name']}/{whole['detector']} {whole['filters']},"
        f" target {whole['target_name']}, proposal {whole['proposal_id']}",
        f"observed {_when(whole['observed_at'])}, {whole['t_exptime']} s,"
        f" RA {whole['s_ra']} Dec {whole['s_dec']}",
    ]
    if whole["members"]:
        words.append(f"members {', '.join(whole['members'])}")
    console.print("\n".join(words), highlight=False, markup=False)
    columns = (
        "name", "obs_id", "calib_level", "bytes", "workflow", "run_key", "attempt", "archived_at",
        "verified_at", "fault",
    )  # fmt: skip
    print_table(columns, rows)
    for obs_id in dict.fromkeys(r["obs_id"] for r in rows):
        _show_making(console, next(r for r in rows if r["obs_id"] == obs_id))


def _show_making(console: Console, row: dict[str, Any]) -> None:
    software = ", ".join(f"{name} {version}" for name, version in sorted(row["software"].items()))
    is_combined = row["members"] and row["obs_id"] == row["dataset"]
    origin = "combined" if is_combined else f"raw sha256 {row['raw_sha256'] or 'unknown'}"
    lines = [f"{row['obs_id']}: {origin}"]
    if row["reference_files"]:
        lines.append(f"  references by {row['reference_context'] or OWN_HEADERS}:")
        lines += [f"    {key} {name}" for key, name in sorted(row["reference_files"].items())]
    if software:
        lines.append(f"  software: {software}")
    console.print("\n".join(lines), highlight=False, markup=False)


def _when(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else moment.isoformat()
