"""Alerts, live: real failures, looked for in the triggerer, told by a worker to real receivers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import expect

from htcondor_operator.launcher.api import ApiError
from tests.e2e.browser import Console, console
from tests.e2e.conftest import beside
from tests.e2e.live_stack import ROOT, Stack, until
from tests.integration.alerts_support import (
    SLACK,
    SMTP,
    WEBHOOK,
    Mailbox,
    Receiver,
    http_server,
    mail_server,
)

STORM = 4
"""Datasets that fail for one cause; no other test lets so many."""
REPEAT_S = 15
RULE = {"datasets": STORM, "wait": 6, "calm": 3, "repeat": REPEAT_S}
CONNECTIONS = ("e2e_mail", "e2e_slack")
PATIENT = {"timeout": 90}
"""The receivers live in this process: one that is slow to answer is not down."""
OPENED = f"OWL ERROR: {STORM} datasets failed in STORM"


@beside
def test_a_storm_is_told_once_to_each_until_somebody_takes_care_and_when_it_is_over(
    stack: Stack,
) -> None:
    prefix = f"storm{uuid.uuid4().hex[:5]}"
    names = [f"{prefix}-{number}" for number in range(STORM)]
    with receivers(stack) as (mailbox, receiver):
        for name in names:
            (stack.control / f"{name}.STORM.fail").write_text("28\n")
            conf = {"dataset": name, "control": str(stack.control)}
            assert stack.operator.trigger("e2e_storm", name, conf)
        until("the mail has come", lambda: letters(mailbox))
        hook = until("the POST has come", lambda: posts(receiver, "/hook"))[0]
        until("Slack was told", lambda: posts(receiver, "/slack"))
        assert subject(letters(mailbox)[0]).startswith(OPENED)
        assert (hook["count"], hook["severity"], hook["why"]) == (STORM, "error", "opened")
        assert hook["detail"]["sample"] in names
        assert hook["detail"]["dags"] == ["e2e_storm"]
        number = hook["id"]
        told = messages(stack, number, "opened")
        assert sorted(told) == ["chat", "mail", "post", "stuck"], told
        # The one that never answers is given up, and has held nobody up: before it is tried again,
        # all others were told. What a channel took is noted a moment after it took it.
        until("it is given up", lambda: messages(stack, number, "opened")["stuck"]["error"])
        stuck = messages(stack, number, "opened")["stuck"]
        assert stuck["error"] == "ChannelTimeout: no answer within 2 s"
        rest = until("the others are noted", lambda: noted(stack, number, ("mail", "post", "chat")))
        assert all(row["sent_at"] < stuck["due_at"] for row in rest)
        # Nobody takes care: it is told again, to the channels that answer.
        until("it is told again", lambda: [b for b in posts(receiver, "/hook") if is_again(b)])
        viewer_only_looks(stack, number)
        link = re.search(r"console: (\S+)", hook["text"])
        assert link, hook["text"]
        with console(stack) as seen:
            acknowledge(seen, number, link[1])
            until("the time to tell it again is over", lambda: is_silent(stack, number))
            assert not after_ack(stack, number)
            for name in names:
                (stack.control / f"{name}.STORM.fail").unlink()
            rescue(seen, names)
        over = until("its end is told", lambda: [b for b in posts(receiver, "/hook") if is_over(b)])
        until("its end is mailed", lambda: [m for m in letters(mailbox) if "OVER" in subject(m)])
    assert [body["id"] for body in over] == [number]
    # Exactly one of its beginning to each, and one of its end.
    words = [subject(letter) for letter in letters(mailbox)]
    assert [word.startswith(OPENED) for word in words].count(True) == 1, words
    assert [word.startswith("OWL OVER") for word in words] == [False] * (len(words) - 1) + [True]
    why = [body["why"] for body in posts(receiver, "/hook")]
    assert (why.count("opened"), why.count("closed"), why[-1]) == (1, 1, "closed")
    assert set(why[1:-1]) == {"repeated"}
    assert posts(receiver, "/slack")[0]["text"].startswith(OPENED)


# ----------------------------------------------------------------- who is told


@contextmanager
def receivers(stack: Stack) -> Iterator[tuple[Mailbox, Receiver]]:
    """Channels that answer, and one that never does, for as long as the test lasts."""
    file = Path(stack.environment["OWL_ALERTS"])
    if file.is_relative_to(ROOT):
        pytest.fail("start the stack of OWL_E2E_HOME with OWL_ALERTS at a file of its own")
    before = file.read_text()
    admin = stack.user("admin")
    with mail_server() as (mailbox, server), http_server() as receiver, http_server() as stuck:
        stuck.silent.set()
        extra = '{"disable_ssl": true, "disable_tls": true, "retry_limit": 1, "timeout": 60}'
        for body in (
            {"connection_id": "e2e_mail", "conn_type": "smtp", "host": "127.0.0.1",
             "port": server.port, "extra": extra},
            {"connection_id": "e2e_slack", "conn_type": "slackwebhook",
             "password": f"{receiver.url}/slack"},
        ):  # fmt: skip
            admin.call("POST", "/connections", body)
        file.write_text(yaml.safe_dump({
            "rules": [{"name": "dataset_failed", **RULE}],
            "channels": [
                channel("stuck", WEBHOOK, url=stuck.url, timeout_s=600) | {"timeout": 2},
                channel("post", WEBHOOK, url=f"{receiver.url}/hook", timeout_s=60) | PATIENT,
                channel("mail", SMTP, smtp_conn_id="e2e_mail", to="on-call@example.org",
                        from_email="owl@example.org") | PATIENT,
                channel("chat", SLACK, slack_webhook_conn_id="e2e_slack") | PATIENT,
            ],
        }))  # fmt: skip
        try:
            yield mailbox, receiver
        finally:
            file.write_text(before)
            for name in CONNECTIONS:
                with suppress(ApiError, ValueError):
                    admin.call("DELETE", f"/connections/{name}")


def channel(name: str, notifier: str, **arguments: Any) -> dict[str, Any]:
    return {
        "name": name,
        "notifier": notifier,
        "arguments": arguments,
        "rules": ["dataset_failed"],
    }


def subject(letter: Message) -> str:
    return str(letter["Subject"])


def letters(mailbox: Mailbox) -> list[Message]:
    return [letter for letter in mailbox.letters if "in STORM" in subject(letter)]


def posts(receiver: Receiver, path: str) -> list[dict[str, Any]]:
    return [body for to, body in list(receiver.got) if to == path and "in STORM" in body["text"]]


def is_again(body: dict[str, Any]) -> bool:
    return bool(body["why"] == "repeated")


def is_over(body: dict[str, Any]) -> bool:
    return bool(body["state"] == "closed")


def noted(stack: Stack, number: int, channels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the opening messages of these channels, when all are noted as sent."""
    told = messages(stack, number, "opened")
    rows = [told[name] for name in channels]
    return rows if all(row["state"] == "sent" for row in rows) else []


def messages(stack: Stack, number: int, why: str) -> dict[str, dict[str, Any]]:
    rows = stack.sql(
        "SELECT * FROM owl_alert_message WHERE alert = %(id)s AND why = %(why)s", id=number, why=why
    )
    assert len(rows) == len({row["channel"] for row in rows}), rows
    return {row["channel"]: row for row in rows}


# ----------------------------------------------------------------- what people do


def viewer_only_looks(stack: Stack, number: int) -> None:
    with console(stack, "viewer") as seen:
        seen.open("alerts")
        expect(seen.row("STORM")).to_contain_text("stuck: down")
        expect(seen.page.get_by_role("button", name=re.compile("^Acknowledge"))).to_have_count(0)
        expect(seen.page.locator("[data-control=select]")).to_have_count(0)
        body = {"action": "ack", "ids": [number], "reason": "mine"}
        status, told = seen.ask("POST", "alerts/actions", body)
        assert (status, told["detail"]["kind"]) == (403, "forbidden")


def acknowledge(seen: Console, number: int, link: str) -> None:
    """From the link in the message, by way of the cause."""
    page = seen.page
    assert link == f"{seen.address}/plugin/owl/alerts?id={number}"
    page.goto(link)
    row = seen.row("STORM")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("mail: told")
    expect(page.get_by_role("link", name=re.compile("^Alerts"))).to_contain_text(
        re.compile(r"[1-9]\d* open alerts?, not acknowledged")
    )
    row.get_by_role("link", name=re.compile("its cause")).click()
    cause = seen.row("STORM", "was told to fail")
    expect(cause.get_by_role("link", name=str(STORM), exact=True)).to_be_visible()
    page.go_back()
    row.get_by_role("button", name=re.compile("^Acknowledge")).click()
    seen.confirm("Acknowledge", "nothing more is sent", reason="a new dark is made")
    expect(row).to_contain_text("operator: a new dark is made")


def is_silent(stack: Stack, number: int) -> bool:
    """Whether it was seen when it would have been told again, had nobody taken care."""
    (row,) = stack.sql(
        "SELECT seen_at > greatest(acked_at, told_at) + %(s)s * interval '1 second' AS over "
        "FROM owl_alert WHERE id = %(id)s",
        id=number,
        s=REPEAT_S + 1,
    )
    return bool(row["over"])


def after_ack(stack: Stack, number: int) -> list[dict[str, Any]]:
    return stack.sql(
        "SELECT m.* FROM owl_alert_message m JOIN owl_alert a ON a.id = m.alert "
        "WHERE a.id = %(id)s AND (m.created_at > a.acked_at OR m.state = 'due')",
        id=number,
    )


def rescue(seen: Console, names: list[str]) -> None:
    seen.open("errors?node=STORM")
    seen.choose(seen.row("STORM", "was told to fail"), f"Rescue all {STORM}")
    seen.confirm("Rescue", *names)
    seen.open("alerts?state=closed&rule=dataset_failed")
    expect(seen.row("STORM").first).to_contain_text("operator: a new dark is made")
