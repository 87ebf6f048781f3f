"""A file comes out of quarantine: back to where it was delivered, for another round."""

from __future__ import annotations

import os
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.queue.pollers import filing
from htcondor_operator.vocabulary import ArrivalState, ErrorKind, OwlError


def _quarantined(cur: Cursor, number: int) -> arrival_rows.Arrival:
    row = arrival_rows.get(cur, number)
    if row is None or row.state is not ArrivalState.QUARANTINED:
        state = f"is {row.state.value}" if row else "does not exist"
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"arrival {number} {state}, not quarantined. "
            "See `owl poller arrivals --state quarantined`.",
        )
    return row


def discard(cur: Cursor, number: int, *, who: str, reason: str | None = None) -> None:
    """Delete a file that is in quarantine; the journal keeps who did and why.

    The file goes first: a crash then leaves a row that can be discarded again.

    Raises
    ------
    OwlError
        It is not in quarantine, or cannot be deleted.
    """
    row = _quarantined(cur, number)
    source = Path(row.path)
    try:
        source.unlink(missing_ok=True)
    except OSError as error:
        words = f"{source} cannot be deleted: {error}. Correct owner or mode."
        raise OwlError(ErrorKind.NOT_WRITABLE, words) from error
    filing.drop(source.with_name(source.name + filing.REASON))
    why = f"deleted by {who}" + (f": {reason}" if reason else "")
    arrival_rows.discard(cur, number, why)


def retry(cur: Cursor, number: int, *, who: str) -> Path:
    """Put a file back; return where it is now. Its poller takes it even if its content is old.

    Parameters
    ----------
    cur
        The caller owns the transaction.
    number
        Of the arrival.
    who
        Asks for it.

    Raises
    ------
    OwlError
        ``BAD_CONF``: it is not in quarantine, or its place is taken.
    """
    row = _quarantined(cur, number)
    source, target = Path(row.path), Path(row.directory) / row.name
    if not os.path.lexists(source):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{source} of arrival {number} does not exist. Have the file delivered again.",
        )
    if source != target and os.path.lexists(target):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{target} exists. Wait until its poller has taken it, or remove it.",
        )
    try:
        with filing.opened(source) as stream:
            sha256, size = filing.digest_of(stream), os.fstat(stream.fileno()).st_size
        filing.move(source, target)
    except (OSError, filing.Changed) as error:
        words = f"{source} cannot be taken: {error}. Correct owner, mode or file."
        raise OwlError(ErrorKind.NOT_WRITABLE, words) from error
    filing.drop(source.with_name(source.name + filing.REASON))
    arrival_rows.retry(
        cur, number, str(target), sha256=sha256, size=size, reason=f"retried by {who}"
    )
    return target
