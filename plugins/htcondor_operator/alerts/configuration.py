"""Reads ``include/alerts.yaml``: every error names field, value and what to do."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from htcondor_operator.alerts.rules import RULES, Alerting, Channel, Rule, Severity
from htcondor_operator.vocabulary import ErrorKind, OwlError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}", re.ASCII)
_SECONDS = {"wait": "wait_s", "calm": "calm_s", "repeat": "repeat_s"}
_RULE_FIELDS = {"name", "enabled", "severity", "grows", *_SECONDS}
_CHANNEL_FIELDS = {"name", "notifier", "arguments", "rules", "at_least", "tell_end", "timeout"}

DEFAULT_ARGUMENTS: dict[str, dict[str, str]] = {
    "airflow.providers.smtp.notifications.smtp.SmtpNotifier": {
        "subject": "{{ alert.subject }}",
        "html_content": "{{ alert.html }}",
    },
    "airflow.providers.slack.notifications.slack.SlackNotifier": {"text": "{{ alert.slack }}"},
    "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier": {
        "text": "{{ alert.slack }}"
    },
}
"""What a notifier says where its arguments do not name it."""


def load_alerting(path: Path) -> Alerting:
    """Read and check the file.

    Raises
    ------
    OwlError
        ``BAD_CONF``: one message with everything that is wrong, a line each.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        words = f"{path}: cannot be read: {error}. Correct the file, or OWL_ALERTS."
        raise OwlError(ErrorKind.BAD_CONF, words) from error
    return parse_alerting(document)


def parse_alerting(document: object) -> Alerting:
    """Check a file's content; see :func:`load_alerting`."""
    wrong: list[str] = []
    if document is None:
        document = {}
    if not isinstance(document, Mapping):
        raise _error(["The file must be a mapping with rules and channels."])
    for unknown in sorted(set(map(str, document)) - {"rules", "channels"}):
        wrong.append(_words("File", unknown, document.get(unknown), "write rules and channels"))
    rules = dict(RULES)
    for number, item in enumerate(_list(document, "rules", wrong), 1):
        rule = _rule(item, number, wrong)
        if rule is not None:
            rules[rule.name] = rule
    channels: dict[str, Channel] = {}
    for number, item in enumerate(_list(document, "channels", wrong), 1):
        channel = _channel(item, number, wrong)
        if channel is None:
            continue
        if channel.name in channels:
            fix = "give each channel its own name"
            wrong.append(_words(f"Channel {channel.name}", "name", channel.name, fix))
        channels[channel.name] = channel
    if wrong:
        raise _error(wrong)
    return Alerting(rules, tuple(channels.values()))


def make_notifier(channel: Channel) -> Any:
    """Make a channel's notifier; each message wants its own, for rendering changes it.

    Raises
    ------
    OwlError
        ``BAD_CONF``: it cannot be imported, is no notifier, or refuses its arguments.
    """
    from airflow.sdk import BaseNotifier

    where = f"Channel {channel.name}"
    module, _, name = channel.notifier.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        fix = f"install its provider or correct the path ({error})"
        raise _error([_words(where, "notifier", channel.notifier, fix)]) from error
    if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
        fix = "name a class that is an Airflow notifier (BaseNotifier)"
        raise _error([_words(where, "notifier", channel.notifier, fix)])
    arguments = {**DEFAULT_ARGUMENTS.get(channel.notifier, {}), **channel.arguments}
    try:
        return kind(**arguments)
    except Exception as error:  # whatever a constructor says
        fix = f"correct them; the notifier says: {error}"
        raise _error([_words(where, "arguments", sorted(arguments), fix)]) from error


def check_channels(alerting: Alerting) -> list[str]:
    """Return what is wrong with the notifiers of the channels."""
    wrong = []
    for channel in alerting.channels:
        try:
            make_notifier(channel)
        except OwlError as error:
            wrong += error.message.split("\n")
    return wrong


def _list(document: Mapping[Any, Any], name: str, wrong: list[str]) -> list[Any]:
    value = document.get(name) or []
    if not isinstance(value, list):
        wrong.append(_words("File", name, value, "write a list of mappings, each with a name"))
        return []
    return value


def _rule(item: object, number: int, wrong: list[str]) -> Rule | None:
    where = f"Rule {number}"
    if not isinstance(item, Mapping) or item.get("name") not in RULES:
        value = item.get("name") if isinstance(item, Mapping) else item
        wrong.append(_words(where, "name", value, f"write one of {', '.join(RULES)}"))
        return None
    known = RULES[item["name"]]
    where = f"Rule {known.name}"
    changes: dict[str, Any] = {}
    before = len(wrong)
    for name, value in item.items():
        fix = ""
        if name in _SECONDS or name == "grows" or name in known.limits:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                fix = "write a number that is not negative"
        elif name == "severity":
            fix = "" if value in list(Severity) else f"write one of {', '.join(Severity)}"
        elif name == "enabled":
            fix = "" if isinstance(value, bool) else "write true or false"
        elif name not in _RULE_FIELDS:
            fix = f"remove it; known are {', '.join(sorted(_RULE_FIELDS | set(known.limits)))}"
        if fix:
            wrong.append(_words(where, str(name), value, fix))
        elif name in _SECONDS:
            changes[_SECONDS[name]] = float(value)
        elif name in known.limits:
            changes["limits"] = {**changes.get("limits", known.limits), name: float(value)}
        elif name != "name":
            changes[name] = Severity(str(value)) if name == "severity" else value
    return dataclasses.replace(known, **changes) if len(wrong) == before else None


def _channel(item: object, number: int, wrong: list[str]) -> Channel | None:
    where = f"Channel {number}"
    name = item.get("name") if isinstance(item, Mapping) else item
    if not isinstance(item, Mapping) or not isinstance(name, str) or not _NAME.fullmatch(name):
        fix = "write a mapping whose name has 1 to 41 letters, digits, '_' or '-'"
        wrong.append(_words(where, "name", name, fix))
        return None
    where = f"Channel {name}"
    fixes = {}
    if not isinstance(item.get("notifier"), str) or "." not in item["notifier"]:
        fixes["notifier"] = "write the dotted path of an Airflow notifier"
    if not isinstance(item.get("arguments", {}), Mapping):
        fixes["arguments"] = "write a mapping"
    rules = item.get("rules", [])
    if not isinstance(rules, list) or not set(map(str, rules)) <= set(RULES):
        fixes["rules"] = f"write a list of {', '.join(RULES)}"
    if item.get("at_least", "info") not in list(Severity):
        fixes["at_least"] = f"write one of {', '.join(Severity)}"
    if not isinstance(item.get("tell_end", True), bool):
        fixes["tell_end"] = "write true or false"
    timeout = item.get("timeout", 30)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        fixes["timeout"] = "write a number of seconds above 0"
    for unknown in sorted(set(map(str, item)) - _CHANNEL_FIELDS):
        fixes[unknown] = f"remove it; known are {', '.join(sorted(_CHANNEL_FIELDS))}"
    wrong += [_words(where, field, item.get(field), fix) for field, fix in fixes.items()]
    if fixes:
        return None
    return Channel(
        name=name,
        notifier=item["notifier"],
        arguments=dict(item.get("arguments", {})),
        rules=frozenset(rules),
        at_least=Severity(item.get("at_least", "info")),
        tell_end=item.get("tell_end", True),
        timeout_s=float(timeout),
    )


def _words(where: str, field: str, value: object, fix: str) -> str:
    return f"{where}: {field} {value!r} is not right: {fix}."


def _error(wrong: list[str]) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, "\n".join(wrong))
