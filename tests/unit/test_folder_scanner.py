"""The scanner: which files of a folder are whole, at what cost, whatever the file system does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.queue.pollers.declarations import Completeness
from htcondor_operator.queue.pollers.scanning import FULL_LOOK_S, TEMPORARY, Scanner


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(folder: Path, name: str, clock: Clock, text: str = "x", age: float = 100.0) -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, (clock.now - age, clock.now - age))
    return path


def scanner(folder: Path, clock: Clock, seconds: float = 5.0, **more: Any) -> Scanner:
    return Scanner(folder, Completeness("settled", seconds), clock=clock, monotonic=clock, **more)


def names(found: Any) -> list[str]:
    return [item.name for item in found.found]


def test_a_file_is_whole_when_two_looks_agree_and_it_is_old(tmp_path: Path, clock: Clock) -> None:
    scan = scanner(tmp_path, clock)
    put(tmp_path, "old", clock)
    put(tmp_path, "young", clock, age=2)
    assert names(scan.look(9)) == []
    assert names(scan.look(9)) == ["old"]
    (tmp_path / "old").unlink()
    clock.now += 4
    assert names(scan.look(9)) == ["young"]


def test_growing_touched_and_replaced_files_wait(tmp_path: Path, clock: Clock) -> None:
    scan = scanner(tmp_path, clock, seconds=0)
    path = put(tmp_path, "a", clock)
    scan.look(9)
    put(tmp_path, "a", clock, text="xx")  # grown, with its old time
    assert names(scan.look(9)) == []
    os.utime(path, (clock.now, clock.now))
    assert names(scan.look(9)) == []
    other = put(tmp_path, "b.tmp", clock, text="yy")
    os.utime(other, (clock.now, clock.now))
    other.rename(path)
    assert names(scan.look(9)) == []
    assert names(scan.look(9)) == ["a"]


def test_a_time_in_the_future_counts_from_the_first_look(tmp_path: Path, clock: Clock) -> None:
    scan = scanner(tmp_path, clock)
    put(tmp_path, "a", clock, age=-3600)
    for _ in range(3):
        assert names(scan.look(9)) == []
        clock.now += 2
    assert names(scan.look(9)) == ["a"]


def test_the_oldest_first_in_portions(tmp_path: Path, clock: Clock) -> None:
    scan = scanner(tmp_path, clock)
    for number in range(10):
        put(tmp_path, f"f{number}", clock, age=100 - number)
    scan.look(9)
    first = scan.look(4)
    assert names(first) == ["f0", "f1", "f2", "f3"]
    assert first.more
    assert names(scan.look(4)) == ["f4", "f5", "f6", "f7"]
    last = scan.look(4)
    assert names(last) == ["f8", "f9"]
    assert not last.more


@pytest.mark.parametrize(
    "name",
    [".nfs000000012", ".x.fits.Ab12Cd", "x.fits.part", "x.TMP", "x.filepart", "x~", "x.swp"],
)
def test_names_of_files_that_are_being_written(name: str) -> None:
    assert TEMPORARY.search(name)
    assert not TEMPORARY.search("jaaa01abq_raw.fits")


def test_what_can_never_be_taken(tmp_path: Path, clock: Clock) -> None:
    scan = scanner(tmp_path, clock)
    (tmp_path / "link").symlink_to(put(tmp_path, ".hidden", clock))
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    faults = {item.name: item.fault for item in scan.look(9).found}
    assert faults == {
        "link": "it is a symbolic link: deliver the file itself",
        "dangling": "it is a symbolic link: deliver the file itself",
        "pipe": "it is not a regular file",
    }


class Entry:
    """A directory entry whose attributes cannot be had."""

    def __init__(self, entry: os.DirEntry[str], code: int) -> None:
        self.entry = entry
        self.name = entry.name
        self.code = code

    def inode(self) -> int:
        return self.entry.inode()

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        raise OSError(self.code, os.strerror(self.code))


def failing(faults: dict[str, int]) -> Callable[[str], Any]:
    """A listing like a network file system's: some entries cannot be looked at."""

    @contextmanager
    def scandir(folder: str) -> Iterator[Iterator[Any]]:
        with os.scandir(folder) as found:
            yield iter([Entry(e, faults[e.name]) if e.name in faults else e for e in found])

    return scandir


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOENT, errno.EIO, errno.ETIMEDOUT])
def test_entries_that_vanish_or_are_stale(tmp_path: Path, clock: Clock, code: int) -> None:
    faults = {"b": code}
    scan = scanner(tmp_path, clock, scandir=failing(faults))
    for name in "abc":
        put(tmp_path, name, clock)
    os.utime(tmp_path, (clock.now - 100, clock.now - 100))
    scan.look(9)
    assert names(scan.look(9)) == ["a", "c"]
    if code == errno.ENOENT:
        return  # really gone: the folder's time changes when it comes
    faults.clear()
    scan.look(9)
    assert "b" in names(scan.look(9))


def test_what_is_known_is_not_looked_at_again(tmp_path: Path, clock: Clock) -> None:
    listings = 0

    @contextmanager
    def scandir(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        nonlocal listings
        listings += 1
        with os.scandir(folder) as found:
            yield found

    scan = scanner(tmp_path, clock, scandir=scandir)
    put(tmp_path, "a", clock)
    os.utime(tmp_path, (clock.now - 100, clock.now - 100))
    scan.look(9)
    (found,) = scan.look(9).found
    scan.leave(found)
    before = listings
    for _ in range(5):
        assert names(scan.look(9)) == []
    assert listings == before
    # Changed in place: the folder's time does not tell; the next full look does.
    put(tmp_path, "a", clock, text="longer")
    os.utime(tmp_path, (clock.now - 100, clock.now - 100))
    assert names(scan.look(9)) == []
    clock.now += FULL_LOOK_S + 1
    scan.look(9)
    (found,) = scan.look(9).found
    assert found.name == "a"
    scan.leave(found)
    # A new file changes the folder's time.
    put(tmp_path, "b", clock)
    scan.look(9)
    assert names(scan.look(9)) == ["b"]


def test_the_marker_rule(tmp_path: Path, clock: Clock) -> None:
    rule = Completeness("marker", 5, ".done")
    scan = Scanner(tmp_path, rule, clock=clock, monotonic=clock)
    put(tmp_path, "a", clock, age=0)
    put(tmp_path, "b.done", clock)
    assert names(scan.look(9)) == []
    put(tmp_path, "a.done", clock)
    (found,) = scan.look(9).found
    assert (found.name, found.companion) == ("a", "a.done")


class Costs:
    """Lists a folder, and counts what is asked of the file system."""

    def __init__(self) -> None:
        self.listings = 0
        self.entries = 0

    @contextmanager
    def scandir(self, folder: str) -> Iterator[Iterator[Any]]:
        self.listings += 1
        with os.scandir(folder) as found:
            yield (Counted(entry, self) for entry in found)

    def since_last(self) -> tuple[int, int]:
        """Return how many listings there were, and how many entries were looked at."""
        told = self.listings, self.entries
        self.listings = self.entries = 0
        return told


class Counted:
    """A directory entry that tells when it is looked at."""

    def __init__(self, entry: os.DirEntry[str], costs: Costs) -> None:
        self.entry = entry
        self.name = entry.name
        self.costs = costs

    def inode(self) -> int:
        return self.entry.inode()

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        self.costs.entries += 1
        return self.entry.stat(follow_symlinks=follow_symlinks)


def test_a_hundred_thousand_files(tmp_path: Path, clock: Clock) -> None:
    for number in range(100_000):
        os.close(os.open(tmp_path / f"f{number:06}.fits", os.O_CREAT | os.O_WRONLY))
    costs = Costs()
    scan = scanner(tmp_path, clock, seconds=0, scandir=costs.scandir)
    assert scan.look(1000).waiting == 100_000
    assert costs.since_last() == (1, 100_000)
    total = 0
    while found := scan.look(1000).found:
        total += len(found)
        for item in found:
            scan.leave(item)
    assert total == 100_000
    # Once for all portions; what is known is listed once more, and not looked at.
    assert costs.since_last() == (2, 100_000)
    os.utime(tmp_path, (clock.now - 200, clock.now - 200))  # as if something had come
    assert scan.look(1000).found == ()
    assert costs.since_last() == (1, 0)
    os.utime(tmp_path, (clock.now - 100, clock.now - 100))
    scan.look(1000)
    costs.since_last()
    assert scan.look(1000).found == ()
    assert costs.since_last() == (0, 0)
