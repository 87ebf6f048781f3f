"""The shoveler's policy as text and JSON: read, checked and changed key by key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from htcondor_operator.queue.shoveler.policy import Policy
from htcondor_operator.vocabulary import ErrorKind, OwlError, workflow_name

SETTING = "shovel.policy"
"""Name of the policy in ``owl_setting``; also the subject of its audit."""


@dataclass(frozen=True)
class _Rule:
    """What a value may be."""

    lowest: float
    highest: float
    whole: bool = True
    optional: bool = False

    def words(self) -> str:
        number = "a whole number" if self.whole else "a number"
        more = ", or none for no limit" if self.optional else ""
        return f"give {number} from {self.lowest:g} to {self.highest:g}{more}"

    def accepts(self, value: object) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return math.isfinite(value) and self.lowest <= value <= self.highest


_RULES: dict[str, _Rule] = {
    "max_running": _Rule(0, 100_000),
    "batch": _Rule(1, 1000),
    "starts_per_minute": _Rule(0, 100_000, optional=True),
    "idle_jobs": _Rule(0, 10_000_000, optional=True),
    "min_interval_s": _Rule(0, 60, whole=False),
}
_CAP = _Rule(0, 100_000, optional=True)
_WEIGHT = _Rule(0.001, 1000, whole=False, optional=True)
KEYS = (*_RULES, "type.TYPE.cap", "type.TYPE.weight", "instrument.INSTRUMENT.cap")
"""What can be set."""


def to_json(policy: Policy) -> dict[str, Any]:
    """Return a policy as it is stored."""
    return asdict(policy)


def from_json(value: object) -> Policy:
    """Read a stored policy; what it does not name has its default.

    Raises
    ------
    OwlError
        ``BAD_CONF``: which field is wrong, its value, and what to do.
    """
    if value is None:
        return Policy()
    if not isinstance(value, Mapping):
        raise _wrong("(all)", value, "store a mapping")
    unknown = set(value) - set(to_json(Policy()))
    if unknown:
        name = sorted(unknown)[0]
        raise _wrong(name, value[name], "remove it from owl_setting")
    policy = Policy()
    if not isinstance(value.get("stop", False), bool):
        raise _wrong("stop", value["stop"], "give true or false")
    policy = replace(policy, stop=value.get("stop", False))
    for name in _RULES:
        if name in value:
            policy = change(policy, name, value[name])
    for table, key in (
        ("type_caps", "type.{}.cap"),
        ("weights", "type.{}.weight"),
        ("instrument_caps", "instrument.{}.cap"),
    ):
        for name, number in _mapping(value, table).items():
            policy = change(policy, key.format(name), number)
    return policy


def parse_assignment(text: str) -> tuple[str, object]:
    """Split ``key=value`` and read the value: a number, or none."""
    key, equals, word = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise OwlError(
            ErrorKind.BAD_CONF, f"{text!r} is not key=value. Known keys: {', '.join(KEYS)}."
        )
    if word.lower() in {"none", "-", ""}:
        return key, None
    for kind in (int, float):
        try:
            return key, kind(word)
        except ValueError:
            continue
    return key, word


def change(policy: Policy, key: str, value: object) -> Policy:
    """Return the policy with another value.

    Raises
    ------
    OwlError
        ``BAD_CONF``: which key or value is wrong, and what to do.
    """
    if key in _RULES:
        return replace(policy, **{key: _checked(key, value, _RULES[key])})
    group, _, rest = key.partition(".")
    name, _, what = rest.rpartition(".")
    if group == "type" and what in {"cap", "weight"} and name:
        workflow_name(name, "type")
        if what == "cap":
            caps = _with(policy.type_caps, name, _checked(key, value, _CAP))
            return replace(policy, type_caps=caps)
        return replace(policy, weights=_with(policy.weights, name, _checked(key, value, _WEIGHT)))
    if group == "instrument" and what == "cap" and name:
        caps = _with(policy.instrument_caps, name, _checked(key, value, _CAP))
        return replace(policy, instrument_caps=caps)
    raise _wrong(key, value, f"there is no such key; known are {', '.join(KEYS)}")


def values(policy: Policy) -> Iterable[tuple[str, object]]:
    """Yield all values by the keys by which they are set."""
    yield "stop", policy.stop
    for name in _RULES:
        yield name, getattr(policy, name)
    for name in sorted({*policy.type_caps, *policy.weights}):
        for what, table in (("cap", policy.type_caps), ("weight", policy.weights)):
            if name in table:
                yield f"type.{name}.{what}", table[name]
    for name in sorted(policy.instrument_caps):
        yield f"instrument.{name}.cap", policy.instrument_caps[name]


def _with(table: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    rest = {key: number for key, number in table.items() if key != name}
    return rest if value is None else {**rest, name: value}


def _mapping(value: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = value.get(table, {})
    if not isinstance(found, Mapping):
        raise _wrong(table, found, "store a mapping")
    return found


def _checked(key: str, value: object, rule: _Rule) -> Any:
    if not rule.accepts(value):
        raise _wrong(key, value, rule.words())
    return value


def _wrong(key: str, value: object, fix: str) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, f"Policy {key} {value!r} is not right: {fix}.")
