"""Logs in pages: the lines are those of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.console import log_pages


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and blocks of a few bytes."""
    monkeypatch.setattr(log_pages, "MOST_BYTES", 100)
    monkeypatch.setattr(log_pages, "_COUNTED", 64)
    monkeypatch.setattr(log_pages, "_PIECE", 16)
    log_pages._lines.cache_clear()


def read(path: Path, **more: Any) -> log_pages.Page:
    return log_pages.read(path, **{"first": None, "most": 1_000, "search": None, **more})


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    words = "10%\r20%\r100%\r\nname\u2028of\x0bit\x1b[31m red\x1b[0m\n\x0cthird\u0085line\n\nlast"
    path.write_bytes(words.encode())
    page = read(path)
    assert page.lines == [
        (1, "10% 20% 100%"),
        (2, "name\u2028ofit red"),
        (3, "third\u0085line"),
        (4, ""),
        (5, "last"),
    ]
    assert page.total == 5
    assert read(path, search="LAST").lines == [(5, "last")]
    path.write_bytes(b"")
    assert read(path).lines == []


@pytest.mark.usefixtures("small")
def test_of_a_huge_file_the_end_is_shown_with_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for count in (30, 31, 500, 503):
        path.write_text("".join(f"line {n}\n" for n in range(1, count + 1)))
        page = read(path)
        assert page.truncated
        assert page.total == count
        assert all(text == f"line {n}" for n, text in page.lines)


@pytest.mark.usefixtures("small")
def test_what_was_counted_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("line\n" * 1_000)
    counted: list[int] = []
    count = log_pages._count

    def watched(path: Path, start: int, length: int) -> int:
        counted.append(length)
        return count(path, start, length)

    monkeypatch.setattr(log_pages, "_count", watched)
    assert read(path).total == 1_000
    assert sum(counted) == 4_900
    counted.clear()
    with path.open("a") as stream:
        stream.write("line\n" * 4)
    assert read(path).total == 1_004
    assert sum(counted) < 3 * 64
    # Another file in its place, with as many bytes.
    other = tmp_path / "other"
    other.write_text("l\n" * 2_510)
    other.replace(path)
    assert read(path).total == 2_510
