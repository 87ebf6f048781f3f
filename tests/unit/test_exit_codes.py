from __future__ import annotations

import signal
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from htcondor_operator import exit_codes as module
from htcondor_operator.exit_codes import describe_exit, describe_signal, exit_codes

FIRST = {27: ("first", "First."), 40: ("forty", "Forty.")}
SECOND = {27: ("second", "Second."), 41: ("more", "More.")}
BROKEN = {1: "no pair"}


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    entries = [
        EntryPoint(name, f"{__name__}:{table}", module.GROUP)
        for name, table in (("b", "SECOND"), ("a", "FIRST"), ("c", "BROKEN"), ("d", "NOT_THERE"))
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: entries)
    exit_codes.cache_clear()
    yield
    exit_codes.cache_clear()


def test_tables_are_merged_the_first_name_wins_and_broken_ones_are_left_out() -> None:
    assert exit_codes() == {**SECOND, **FIRST}


@pytest.mark.parametrize(
    ("code", "name", "says"),
    [
        (40, "forty", "Forty."),
        (127, "not_found", "not found"),
        (126, "not_executable", "mode"),
        (137, "sigkill", "memory"),
        (143, "sigterm", "killed by SIGTERM"),
        (99, "exit_99", "Read the job's error output"),
        (255, "exit_255", "No table"),
    ],
)
def test_describe_exit(code: int, name: str, says: str) -> None:
    assert describe_exit(code)[0] == name
    assert says in describe_exit(code)[1]


def test_describe_signal() -> None:
    assert describe_signal(signal.SIGSEGV) == ("sigsegv", "The program was killed by SIGSEGV.")
    assert describe_signal(99)[0] == "signal 99"
