"""Kind ``alerts``: looks whether something is wrong; what is to be told ends its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htcondor_operator.alerts.configuration import load_alerting
from htcondor_operator.alerts.looking import Looker
from htcondor_operator.alerts.plan import Change, OpenAlert, Seen, plan
from htcondor_operator.alerts.rules import Severity
from htcondor_operator.blackboard import alert_rows
from htcondor_operator.blackboard.link import Link
from htcondor_operator.queue.pollers.kinds import RoundResult
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from htcondor_operator.queue.pollers.declarations import Declaration


class AlertPoller:
    """Opens, keeps and closes alerts; all it knows is in the database.

    Parameters
    ----------
    settings
        Where the database and the rules are.
    name
        The poller's name.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._link = Link(settings, f"poller {name}")
        self._looker = Looker(settings, name)

    def round(self) -> RoundResult:
        """Look once; `found` is the number of messages to be sent now.

        Raises
        ------
        OwlError
            The file is wrong, or a rule could not be looked at; what could be done is done.
        """
        alerting = load_alerting(self._settings.alerts)
        with self._link.transaction() as cur:
            known, seen, errors = self._looker.look(cur, alerting)
            now, rows = alert_rows.opened(cur)
            changes = plan(now, alerting, known, seen, [_open(row) for row in rows])
            for change in changes:
                _apply(cur, change)
            alert_rows.drop_channels(cur, [c.name for c in alerting.channels])
        with self._link.transaction() as cur:
            due = alert_rows.due(cur)
        if errors and not due:
            raise OwlError(ErrorKind.INTERNAL, "; ".join(errors))
        opened = sum(c.alert is None for c in changes)
        closed = sum(c.close for c in changes)
        counts = {"due": due, "opened": opened, "closed": closed}
        still = sum(c.seen is not None and not c.close for c in changes)
        note = "; ".join([f"{still} open", *errors])
        return RoundResult(due, {name: n for name, n in counts.items() if n}, note)

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()


def make_poller(declaration: Declaration, settings: Settings) -> AlertPoller:
    """Make the poller; its rules are in ``alerts.yaml`` (``owl alert check``)."""
    return AlertPoller(settings, declaration.name)


def _open(row: dict[str, object]) -> OpenAlert:
    values = {
        **row,
        "severity": Severity(str(row["severity"])),
        "channels": frozenset(row["channels"]),  # type: ignore[call-overload]
    }
    return OpenAlert(**values)


def _detail(seen: Seen) -> dict[str, object]:
    """Return what is kept of it, with the DAGs that decide who may see it."""
    return {**seen.detail} if seen.dags is None else {**seen.detail, "dags": sorted(seen.dags)}


def _apply(cur: Cursor, change: Change) -> None:
    seen = change.seen
    values = {} if seen is None else {
        "rule": seen.rule, "subject": seen.subject, "severity": change.severity.value,
        "title": seen.title, "count": seen.count, "detail": _detail(seen),
    }  # fmt: skip
    if change.alert is None:
        number = alert_rows.insert(cur, values)
        if change.close:
            alert_rows.gone(cur, number, close=True, cancel=False)
    else:
        number = change.alert.id
        if seen is not None:
            alert_rows.seen(cur, number, values)
        else:
            alert_rows.gone(cur, number, close=change.close, cancel=change.cancel)
    if change.news is not None:
        news = change.news
        alert_rows.add_messages(cur, number, news.why, news.channels, news.due_at)
