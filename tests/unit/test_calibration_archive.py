"""A dataset's shelf: the old state or the new one, wherever the program is killed."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from calibration import archive
from calibration.archive import Entry, faults, load, sha256_of, store

#: Everything that the archive does to the file system; it is killed before each single call.
CALLS = [(os, "fsync"), (os, "link"), (Path, "mkdir"), (Path, "rename"), (Path, "unlink"),
         (shutil, "copyfileobj"), (shutil, "rmtree"), (archive, "_rename_exchange")]  # fmt: skip


def sources(folder: Path, generation: int) -> dict[str, Entry]:
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[str, Entry] = {"note.json": Entry(f"{generation}".encode(), {})}
    for name in ("a_flt.fits", "b_drz.fits", f"only{generation}.fits"):
        path = folder / name
        path.write_text(f"{name} of generation {generation}")
        out[name] = Entry(path, {"obs_id": name[0]})
    return out


def put(root: Path, generation: int) -> None:
    store(root / "archive" / "ds", sources(root / "work", generation), {"run": generation})


def child(work: Callable[[], None]) -> int:
    """Run in a process of its own; return the signal that ended it, 0 for none."""
    number = os.fork()
    if number == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(number, 0)[1])


def killed_at(count: int, exchange: bool) -> Callable[[], None]:
    """Arrange (in a child) that this process is killed at the n-th call."""
    left = [count]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    def arrange() -> None:
        if not exchange:
            archive._rename_exchange = lambda *_: False  # type: ignore[assignment]
        for owner, name in CALLS:
            setattr(owner, name, counted(getattr(owner, name)))

    return arrange


def state(shelf: Path) -> tuple[Any, ...]:
    """What a reader sees; it must verify."""
    assert faults(shelf) == []
    manifest = load(shelf)
    present = {p.name for p in shelf.iterdir()} - {archive.MANIFEST}
    return manifest["run"], sorted(manifest["files"]), sorted(present)


OLD = (1, ["a_flt.fits", "b_drz.fits", "note.json", "only1.fits"],
       ["a_flt.fits", "b_drz.fits", "note.json", "only1.fits"])  # fmt: skip
NEW_FILES = ["a_flt.fits", "b_drz.fits", "note.json", "only1.fits", "only2.fits"]
NEW = (2, NEW_FILES, NEW_FILES)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what is tested writes through hundreds of times."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.mark.parametrize("first", [True, False], ids=["first time", "again"])
def test_killed_at_every_call(quick: Path, first: bool) -> None:
    seen = set()
    for count in range(1000):
        root = quick / f"at{count}"
        shelf = root / "archive" / "ds"
        shelf.parent.mkdir(parents=True)
        if not first:
            put(root, 1)

        def work(root: Path = root, count: int = count) -> None:
            entries = sources(root / "work", 2)
            killed_at(count, exchange=True)()
            store(root / "archive" / "ds", entries, {"run": 2})

        ended = child(work)
        seen.add(state(shelf)[0] if shelf.exists() else None)
        if shelf.exists():
            assert state(shelf) == ((2, *[sorted(sources(root / "work", 2))] * 2) if first else
                                    OLD if load(shelf)["run"] == 1 else NEW)  # fmt: skip
        # Nothing that looks for manifests sees what is being built.
        assert {p.parent.name for p in shelf.parent.glob("*/manifest.json")} <= {"ds"}
        put(root, 2)
        assert state(shelf)[0] == 2
        assert list((root / "archive" / archive.STAGING).iterdir()) == []
        if not ended:
            break
        shutil.rmtree(root)
    assert count >= 15
    assert seen == {None if first else 1, 2}


def test_a_file_system_that_cannot_exchange(quick: Path) -> None:
    """Then there is a moment without a shelf; the next call brings the old state back or ends."""
    gone = 0
    for count in range(1000):
        root = quick / f"at{count}"
        shelf = root / "archive" / "ds"
        put(root, 1)

        def work(root: Path = root, count: int = count) -> None:
            entries = sources(root / "work", 2)
            killed_at(count, exchange=False)()
            store(root / "archive" / "ds", entries, {"run": 2})

        ended = child(work)
        gone += not shelf.exists()
        assert not shelf.exists() or state(shelf) in (OLD, NEW)
        put(root, 2)
        assert state(shelf) == NEW
        if not ended:
            break
        shutil.rmtree(root)
    assert gone == 1


def test_the_same_again_changes_nothing_and_damage_is_repaired(tmp_path: Path) -> None:
    put(tmp_path, 1)
    shelf = tmp_path / "archive" / "ds"
    (shelf / "foreign.txt").write_text("kept")
    before = {p.name: p.stat().st_ino for p in shelf.iterdir()}
    assert store(shelf, sources(tmp_path / "work", 1), {"run": 1}) is False
    assert {p.name: p.stat().st_ino for p in shelf.iterdir()} == before
    archived = load(shelf)["files"]["a_flt.fits"]["archived"]
    (shelf / "a_flt.fits").write_text("damaged")
    assert faults(shelf) == ["a_flt.fits has another sha256 than the manifest"]
    assert store(shelf, sources(tmp_path / "work", 1), {"run": 1}) is True
    assert faults(shelf) == []
    assert load(shelf)["files"]["a_flt.fits"]["archived"] == archived
    after = {p.name: p.stat().st_ino for p in shelf.iterdir()}
    assert {n for n in after if after[n] == before[n]} == {
        "b_drz.fits", "note.json", "only1.fits", "foreign.txt",
    }  # fmt: skip


def test_several_at_once(tmp_path: Path) -> None:
    shelf = tmp_path / "archive" / "ds"

    def one(number: int) -> None:
        store(shelf, {f"{number}.txt": Entry(b"x" * number, {})}, {})

    threads = [threading.Thread(target=one, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults(shelf) == []
    assert len(load(shelf)["files"]) == 8


def test_a_copy_that_reads_back_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, 1)
    shelf = tmp_path / "archive" / "ds"
    monkeypatch.setattr(shutil, "copyfileobj", lambda stream, out, size: out.write(b"rubbish"))
    with pytest.raises(archive.CalibrationError, match="reads back differently"):
        put(tmp_path, 2)
    assert state(shelf) == OLD
    assert sha256_of(shelf / "note.json") == load(shelf)["files"]["note.json"]["sha256"]
