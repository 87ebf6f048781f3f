"""Alerts come to people: by mail and HTTP, once, and also after the channel was down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from htcondor_operator.alerts import couriers
from tests.integration.alerts_support import (
    SLACK,
    SMTP,
    WEBHOOK,
    Mailbox,
    Receiver,
    Site,
    http_server,
    mail_server,
    site_at,
)

pytestmark = pytest.mark.database

MAIL = {
    "name": "mail",
    "notifier": SMTP,
    "arguments": {"to": ["on-call@example.org"], "from_email": "owl@example.org"},
}


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(site_at(tmp_path, database))
    yield site
    site.close()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mail_server() as (mailbox, controller):
        extra = "disable_ssl=true&disable_tls=true&retry_limit=1&timeout=60"
        monkeypatch.setenv(
            "AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{controller.port}/?{extra}"
        )
        yield mailbox


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as receiver:
        yield receiver


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": "hook", "notifier": WEBHOOK, "arguments": {"url": receiver.url}, **more}


def now(site: Site) -> datetime:
    """The database's time, by which pauses are kept."""
    moment: datetime = site.rows("SELECT clock_timestamp() AS now")[0]["now"]
    return moment


def forget_the_pause(site: Site) -> None:
    site.execute("UPDATE owl_alert_message SET due_at = now() WHERE state = 'due'")


def test_a_storm_is_one_letter_with_its_count(
    site: Site, mailbox: Mailbox, receiver: Receiver
) -> None:
    site.configure(MAIL, hook(receiver), dataset_failed={"wait": 60})
    site.fail(100, message="no dark <b>& more")
    assert site.look().found == 0  # it breaks out
    site.fail(300, message="no dark <b>& more")
    assert site.look().found == 0
    site.execute("UPDATE owl_alert_message SET due_at = now()")
    assert site.look().found == 2
    assert site.send().sent == 2
    (letter,) = mailbox.letters
    assert letter["Subject"] == "OWL ERROR: 400 datasets failed in CA (reference_missing)"
    assert letter["To"] == "on-call@example.org"
    body = letter.get_payload()[0].get_payload(decode=True).decode()
    assert "no dark &lt;b&gt;&amp; more" in body
    (told,) = receiver.bodies
    assert (told["rule"], told["count"], told["state"]) == ("dataset_failed", 400, "open")
    assert told["detail"]["message"] == "no dark <b>& more"
    # Nothing more is said while it lasts, until it is ten times as many.
    site.fail(500, message="no dark <b>& more")
    assert site.look().found == 0
    site.fail(3100, message="no dark <b>& more")
    assert site.look().found == 2
    assert site.look().found == 2  # still the same messages
    site.send()
    assert receiver.bodies[-1]["why"] == "grown"
    assert receiver.bodies[-1]["count"] == 4000
    site.execute("UPDATE owl_flow SET status = 'done'")
    site.look()  # gone
    site.look()  # for long enough
    site.send()
    assert [len(mailbox.letters), len(receiver.bodies)] == [3, 3]
    assert mailbox.letters[-1]["Subject"].startswith("OWL OVER: ")
    assert receiver.bodies[-1]["state"] == "closed"
    assert site.send().sent == 0


def test_a_channel_that_is_down_gets_it_later_and_keeps_no_other_back(
    site: Site, mailbox: Mailbox, receiver: Receiver
) -> None:
    site.configure(MAIL, hook(receiver))
    mailbox.answer = "451 try again later"
    site.fail(3)
    assert site.look().found == 2
    done = site.send()
    assert done.sent == 1
    assert list(done.down) == ["mail"]
    assert "451" in done.down["mail"]
    (waiting,) = site.rows("SELECT * FROM owl_alert_message WHERE state = 'due'")
    assert (waiting["channel"], waiting["tries"]) == ("mail", 1)
    assert "451" in waiting["error"]
    assert site.look().found == 0  # its pause
    for tries in (2, 3):
        forget_the_pause(site)
        begin = now(site)
        assert site.send().down
        (waiting,) = site.rows("SELECT * FROM owl_alert_message WHERE state = 'due'")
        assert waiting["tries"] == tries
        pause = timedelta(seconds=30 * 2 ** (tries - 1))
        assert begin + pause <= waiting["due_at"] <= now(site) + pause
    # It is over meanwhile: one letter tells both.
    site.execute("UPDATE owl_flow SET status = 'done'")
    site.look()
    site.look()
    mailbox.answer = "250 OK"
    forget_the_pause(site)
    site.send()
    (letter,) = mailbox.letters
    assert letter["Subject"] == "OWL OVER: 3 datasets failed in CA (reference_missing)"
    assert [body["state"] for body in receiver.bodies] == ["open", "closed"]
    assert site.look().found == 0


def test_a_channel_that_never_answers_keeps_no_other_waiting(
    site: Site, mailbox: Mailbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
    monkeypatch.setattr(couriers, "time", clock)
    delivered: list[tuple[bool, datetime]] = []

    def note(_: str) -> None:
        # The limit is over when the others have theirs, however long they take.
        nonlocal ahead
        given_up = site.rows("SELECT 1 FROM owl_alert_message WHERE error IS NOT NULL")
        delivered.append((bool(given_up), now(site)))
        ahead = 60.0 if len(delivered) == 4 else 0.0

    with http_server() as silent:
        silent.silent.set()
        stuck = {**hook(silent, timeout=60), "name": "a_stuck"}
        stuck["arguments"] = {"url": silent.url, "timeout_s": 600}
        site.configure(stuck, MAIL, hook(receiver))
        site.fail(1, message="one")
        site.fail(1, message="two")
        assert site.look().found == 6
        done = site.send(point=note)
        end = now(site)
        assert done.sent == 4
        assert done.down == {"a_stuck": "ChannelTimeout: no answer within 60 s"}
        # The others had both of theirs before.
        assert [given_up for given_up, _ in delivered] == [False] * 4
        assert (len(mailbox.letters), len(receiver.bodies)) == (2, 2)
        # Its pause begins when it was given up; what was not tried counts no try.
        waiting = site.rows("SELECT channel, tries, error, due_at "
                            "FROM owl_alert_message WHERE state = 'due' ORDER BY id")  # fmt: skip
        assert [(row["channel"], row["tries"]) for row in waiting] == [
            ("a_stuck", 1), ("a_stuck", 0),
        ]  # fmt: skip
        assert "no answer" in waiting[0]["error"]
        pause = timedelta(seconds=30)
        assert all(delivered[-1][1] + pause <= row["due_at"] <= end + pause for row in waiting)
        silent.silent.clear()
        forget_the_pause(site)
        assert site.send().sent == 2
    assert not site.rows("SELECT 1 FROM owl_alert_message WHERE state = 'due'")


def until(true: Callable[[], Any]) -> None:
    """Wait until something is true; if it never is, what is asserted later says so."""
    limit = time.monotonic() + 60
    while not true() and time.monotonic() < limit:
        time.sleep(0.05)


def test_an_answer_that_comes_too_late_still_counts_while_others_are_told(site: Site) -> None:
    def late_is(what: str) -> Callable[[], Any]:
        return lambda: site.rows(
            f"SELECT 1 FROM owl_alert_message WHERE channel = 'late' AND {what}"
        )

    with http_server() as slow, http_server() as slower:
        slow.silent.set()
        slower.silent.set()
        late = {**hook(slow, timeout=1), "name": "late"}
        later = {**hook(slower, timeout=180), "name": "later"}
        for channel in (late, later):
            channel["arguments"]["timeout_s"] = 180
        site.configure(late, later)
        site.fail(1)
        site.look()

        def answer() -> None:
            until(late_is("error IS NOT NULL"))
            slow.silent.clear()
            until(late_is("state = 'sent'"))
            slower.silent.clear()

        answers = Thread(target=answer)
        answers.start()
        done = site.send()
        answers.join()
    assert done.sent == 2
    assert list(done.down) == ["late"]
    assert not site.rows("SELECT 1 FROM owl_alert_message WHERE state = 'due'")
    assert (len(slow.bodies), len(slower.bodies)) == (1, 1)


def test_killed_between_delivery_and_commit_is_the_only_way_to_a_second_one(
    site: Site, receiver: Receiver
) -> None:
    site.configure(hook(receiver))
    site.fail(1)
    site.look()

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.send(point=die)
    assert len(receiver.bodies) == 1
    assert site.send().sent == 0  # claimed: nobody else sends it before its pause is over
    forget_the_pause(site)
    assert site.send().sent == 1
    assert len(receiver.bodies) == 2
    forget_the_pause(site)
    assert site.send().sent == 0


def test_many_causes_at_once_are_one_message(site: Site, receiver: Receiver) -> None:
    site.configure(hook(receiver))
    for number in range(8):
        site.fail(2, message=f"cause {number}")
    assert site.look().found == 8
    assert site.send().sent == 1
    (told,) = receiver.bodies
    assert told["title"] == "8 alerts of dataset_failed, count 16"
    assert len(told["alerts"]) == 8
    assert site.rows("SELECT count(*) AS n FROM owl_alert_message WHERE state = 'sent'") == [
        {"n": 8}
    ]


def test_who_is_told_what(site: Site, receiver: Receiver) -> None:
    site.configure(
        hook(receiver, rules=["backlog"]),
        {**hook(receiver, at_least="critical"), "name": "critical"},
        {**hook(receiver, tell_end=False), "name": "quiet"},
    )
    site.fail(1)
    site.look()
    assert site.rows("SELECT channel FROM owl_alert_message") == [{"channel": "quiet"}]
    site.send()
    site.execute("UPDATE owl_flow SET status = 'done'")
    site.look()
    site.look()
    assert not site.open()
    assert site.send().sent == 0


def test_what_is_over_before_its_first_message_is_not_told(site: Site, receiver: Receiver) -> None:
    site.configure(hook(receiver), dataset_failed={"wait": 60})
    site.fail(1)
    site.look()
    site.execute("UPDATE owl_flow SET status = 'done'")
    site.look()
    assert not site.open()
    forget_the_pause(site)
    assert site.send().sent == 0


def test_an_ack_silences_until_it_is_over(site: Site, receiver: Receiver) -> None:
    from htcondor_operator.blackboard import alert_rows

    site.configure(hook(receiver), dataset_failed={"repeat": 1})
    site.fail(1)
    site.look()
    site.send()
    number = site.open()["dataset_failed"]["id"]
    with site.link.transaction() as cur:
        alert_rows.ack(cur, number, who="ada", reason="the dark is being made")
    site.execute("UPDATE owl_alert SET told_at = now() - interval '1 hour'")
    site.fail(50)
    assert site.look().found == 0
    site.execute("UPDATE owl_flow SET status = 'done'")
    site.look()
    site.look()
    site.send()
    assert [body["state"] for body in receiver.bodies] == ["open", "closed"]
    (line,) = site.rows("SELECT * FROM owl_audit WHERE action = 'ack'")
    assert (line["who"], line["reason"]) == ("ada", "the dark is being made")


def test_slack_and_the_webhooks_secrets(
    site: Site, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, about in {
        "SLACK_TEST": {"conn_type": "slackwebhook", "password": f"{receiver.url}/T/B/x"},
        "PAGER": {
            "conn_type": "http",
            "host": receiver.url,
            "password": "s3cret",
            "extra": {"X-Team": "dms"},
        },
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(about))
    site.configure(
        {"name": "slack", "notifier": SLACK, "arguments": {"slack_webhook_conn_id": "slack_test"}},
        {
            "name": "pager",
            "notifier": WEBHOOK,
            "arguments": {
                "http_conn_id": "pager",
                "payload": {"summary": "{{ alert.subject }}", "n": "{{ alert.count }}"},
            },
        },
    )
    site.fail(2, message="<!channel> no dark")
    site.look()
    done = site.send()
    assert done.sent == 2, done.down
    bodies = receiver.bodies
    page = next(body for body in bodies if "summary" in body)
    slack = next(body for body in bodies if "text" in body)
    assert page == {"summary": "OWL ERROR: 2 datasets failed in CA (reference_missing)", "n": "2"}
    assert "&lt;!channel&gt; no dark" in slack["text"]
    headers = receiver.headers[bodies.index(page)]
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer s3cret", "dms")


@pytest.mark.parametrize("status", [302, 404, 503])
def test_an_answer_that_is_no_success_is_a_failure(
    site: Site, receiver: Receiver, status: int
) -> None:
    site.configure(hook(receiver))
    receiver.status = status
    site.fail(1)
    site.look()
    assert str(status) in site.send().down["hook"]
    assert receiver.bodies == []
