"""What people read: subject, text and HTML of an alert, or of several at once."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

LONGEST = 2000
"""Characters of one value: a job's last words may be long."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Told:
    """An alert as templates of messages see it (``alert``).

    Parameters
    ----------
    why
        ``opened``, ``grown``, ``repeated``, ``closed`` or ``test``.
    members
        The alerts of a message about several.
    """

    id: int
    rule: str
    about: str
    state: str
    severity: str
    title: str
    count: int
    why: str
    opened_at: datetime
    closed_at: datetime | None = None
    most: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Told, ...] = ()
    url: str = ""

    @property
    def subject(self) -> str:
        """One line, without anything that a mail's header must not have."""
        word = {"closed": "OVER"}.get(self.state, self.severity.upper())
        again = {"grown": " (more)", "repeated": " (still)"}.get(self.why, "")
        return _CONTROLS.sub(" ", f"OWL {word}{again}: {self.title}")[:240]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What is known, as pairs of name and value."""
        found = [("rule", self.rule), ("since", _time(self.opened_at))]
        if self.closed_at is not None:
            found.append(("over since", _time(self.closed_at)))
        if self.most > 1:
            found.append(("count", str(self.count) if self.state == "open" else "0"))
            found.append(("most", str(self.most)))
        known = ((str(k), _value(v)) for k, v in self.detail.items())
        found += [(name, value) for name, value in known if value]
        found += [(f"#{each.id}", each.title) for each in self.members]
        if self.id:
            found.append(("alert", f"owl alert show {self.id}"))
        if self.url:
            found.append(("console", self.url))
        return found

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join([self.subject, *(f"  {name}: {value}" for name, value in self.lines)])

    @property
    def html(self) -> str:
        """The whole message for mail."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td><pre>{html.escape(value)}</pre></td></tr>"
            for name, value in self.lines
        )
        return f"<h3>{html.escape(self.title)}</h3><table>{rows}</table>"

    @property
    def slack(self) -> str:
        """The text without Slack's control sequences: a job's words call nobody."""
        plain = self.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return plain[:LONGEST]

    def as_json(self) -> dict[str, Any]:
        """Return what the webhook sends."""
        found = {
            "id": self.id,
            "rule": self.rule,
            "subject": self.about,
            "state": self.state,
            "severity": self.severity,
            "why": self.why,
            "title": self.title,
            "count": self.count,
            "most": self.most,
            "opened_at": self.opened_at.isoformat(),
            "closed_at": self.closed_at.isoformat() if self.closed_at else None,
            "detail": dict(self.detail),
            "text": self.text,
        }
        if self.members:
            found["alerts"] = [each.as_json() for each in self.members]
        return found


def together(several: Sequence[Told]) -> Told:
    """Return one message about several alerts of a rule."""
    first = several[0]
    number = sum(each.count for each in several)
    state = "open" if any(each.state == "open" for each in several) else "closed"
    return Told(
        id=0,
        rule=first.rule,
        about="",
        state=state,
        severity=first.severity,
        title=f"{len(several)} alerts of {first.rule}, count {number}",
        count=number,
        most=max(number, 1),
        why=first.why,
        opened_at=min(each.opened_at for each in several),
        members=tuple(several),
        url=first.url.partition("?")[0],
    )


def _value(value: Any) -> str:
    if value is None:
        return ""
    words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return words[:LONGEST]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"
