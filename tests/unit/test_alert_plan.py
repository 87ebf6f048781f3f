"""What becomes of alerts, and what is wrong in their file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.alerts.configuration import (
    check_channels,
    load_alerting,
    parse_alerting,
)
from htcondor_operator.alerts.plan import OpenAlert, Seen, plan
from htcondor_operator.alerts.rules import RULES, Alerting, Channel, Rule, Severity
from htcondor_operator.alerts.words import Told
from htcondor_operator.vocabulary import OwlError

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
RULE = Rule("backlog", Severity.WARNING, wait_s=30, calm_s=60, repeat_s=3600, grows=10)
ALERTING = Alerting({"backlog": RULE}, (Channel("a", "x.Y"), Channel("b", "x.Y", tell_end=False)))
SEEN = Seen("backlog", "acs", "acs waits", 4)
OPEN = OpenAlert(
    7, "backlog", "acs", Severity.WARNING, NOW - timedelta(minutes=10),
    told_count=4, told_at=NOW - timedelta(minutes=9), channels=frozenset("ab"),
)  # fmt: skip


def decide(seen: list[Seen], opened: list[OpenAlert], **rule: Any) -> Any:
    alerting = replace(ALERTING, rules={"backlog": replace(RULE, **rule)})
    (change,) = plan(NOW, alerting, {"backlog"}, seen, opened)
    return change


def test_a_new_one_waits() -> None:
    change = decide([SEEN], [])
    assert change.alert is None
    assert (change.news.why, change.news.channels) == ("opened", ("a", "b"))
    assert change.news.due_at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("count", "told_ago_s", "acked", "why"),
    [
        (4, 60, False, None),
        (39, 60, False, None),
        (40, 60, False, "grown"),
        (40, 60, True, None),
        (4, 3600, False, "repeated"),
        (4, 3600, True, None),
    ],
)
def test_what_goes_on_is_told_again(
    count: int, told_ago_s: int, acked: bool, why: str | None
) -> None:
    told_at = NOW - timedelta(seconds=told_ago_s)
    change = decide([replace(SEEN, count=count)], [replace(OPEN, told_at=told_at, acked=acked)])
    assert (change.news and change.news.why) == why


def test_what_was_not_told_yet_is_not_told_again() -> None:
    change = decide([replace(SEEN, count=400)], [replace(OPEN, told_at=None, told_count=None)])
    assert change.news is None


@pytest.mark.parametrize("gone_ago_s", [None, 59])
def test_it_must_be_gone_for_a_while(gone_ago_s: int | None) -> None:
    gone_at = NOW - timedelta(seconds=gone_ago_s) if gone_ago_s else None
    change = decide([], [replace(OPEN, gone_at=gone_at)])
    assert (change.close, change.news) == (False, None)


def test_then_it_is_over_for_those_who_were_told_and_want_to_know() -> None:
    change = decide([], [replace(OPEN, gone_at=NOW - timedelta(seconds=60))])
    assert change.close
    assert (change.news.why, change.news.channels) == ("closed", ("a",))


def test_a_rule_that_could_not_be_looked_at_closes_nothing() -> None:
    assert plan(NOW, ALERTING, set(), [], [replace(OPEN, gone_at=NOW - timedelta(days=1))]) == []


@pytest.mark.parametrize("told", [True, False])
def test_a_rule_that_is_off_closes_its_alerts(told: bool) -> None:
    alert = OPEN if told else replace(OPEN, told_at=None)
    alerting = replace(ALERTING, rules={"backlog": replace(RULE, enabled=False)})
    (change,) = plan(NOW, alerting, set(), [], [alert])
    assert (change.close, change.cancel) == (True, not told)


def test_an_event_closes_at_once_and_a_silent_one_is_not_told() -> None:
    event = replace(SEEN)
    change = decide([event], [], is_event=True)
    assert change.close
    assert change.news.why == "opened"
    assert decide([replace(event, silent=True)], [], is_event=True).news is None


def test_the_file_of_the_checkout_is_right() -> None:
    path = Path(__file__).parents[2] / "include" / "alerts.yaml"
    found = load_alerting(path)
    assert set(found.rules) == set(RULES)
    # What its comment says about each rule is so.
    lines = {line.split()[1]: line for line in path.read_text().splitlines()
             if line.startswith("#   ")}  # fmt: skip
    for rule in RULES.values():
        assert rule.severity in lines[rule.name]
        for name, value in rule.limits.items():
            if name != "recent":
                assert f"{name}: {value:g}" in lines[rule.name]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "The file must be a mapping"),
        ({"rulez": []}, "File: rulez [] is not right: write rules and channels."),
        ({"rules": {}}, None),
        ({"rules": {"a": 1}}, "File: rules {'a': 1} is not right: write a list"),
        ({"rules": [{"name": "fire"}]}, "Rule 1: name 'fire' is not right: write one of dataset_"),
        ({"rules": [{"name": "backlog", "wait": "1m"}]}, "Rule backlog: wait '1m' is not right"),
        ({"rules": [{"name": "backlog", "seconds": -1}]}, "Rule backlog: seconds -1 is not right"),
        ({"rules": [{"name": "backlog", "datasets": 1}]}, "remove it; known are calm, enabled"),
        ({"rules": [{"name": "backlog", "severity": "bad"}]}, "write one of info, warning"),
        ({"rules": [{"name": "backlog", "enabled": 1}]}, "write true or false"),
        ({"channels": ["a"]}, "Channel 1: name 'a' is not right: write a mapping"),
        ({"channels": [{"name": "a"}]}, "Channel a: notifier None is not right: write the dotted"),
        ({"channels": [{"name": "a", "notifier": "x.Y", "rules": ["no"]}]}, "write a list of data"),
        ({"channels": [{"name": "a", "notifier": "x.Y", "to": "b"}]}, "Channel a: to 'b' is not"),
        ({"channels": [{"name": "a", "notifier": "x.Y"}] * 2}, "give each channel its own name"),
    ],
)
def test_errors_name_field_value_and_fix(document: object, words: str | None) -> None:
    if words is None:
        assert parse_alerting(document).channels == ()
        return
    with pytest.raises(OwlError) as caught:
        parse_alerting(document)
    assert words in caught.value.message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(OwlError) as caught:
        parse_alerting({"rules": [{"name": "x"}], "channels": [{"name": "a"}, {"name": "b"}]})
    assert len(caught.value.message.splitlines()) == 3


@pytest.mark.parametrize(
    ("notifier", "arguments", "words"),
    [
        ("no.such.Notifier", {}, "install its provider or correct the path"),
        ("pathlib.Path", {}, "name a class that is an Airflow notifier"),
        ("htcondor_operator.notifications.webhook.WebhookNotifier", {}, "give url or http_conn_id"),
        ("htcondor_operator.notifications.webhook.WebhookNotifier", {"url": "ftp://x"}, "'ftp://x'"),
        ("airflow.providers.smtp.notifications.smtp.SmtpNotifier", {}, "'to'"),
        ("airflow.providers.smtp.notifications.smtp.SmtpNotifier", {"to": "a@b"}, None),
    ],
)  # fmt: skip
def test_notifiers_are_checked(notifier: str, arguments: dict[str, Any], words: str | None) -> None:
    wrong = check_channels(Alerting(RULES, (Channel("a", notifier, arguments),)))
    if words is None:
        assert wrong == []
    else:
        assert words in wrong[0]
        assert wrong[0].startswith("Channel a: ")


def test_a_jobs_words_break_no_header() -> None:
    told = Told(1, "r", "s", "open", "error", "bad\r\nBcc: all@example.org", 1, "opened", NOW)
    assert told.subject == "OWL ERROR: bad Bcc: all@example.org"
