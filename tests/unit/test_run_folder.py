"""The run's folder is whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from htcondor_operator.condor.run_folder import create_run_folder, dag_file_for, run_dir_for
from htcondor_operator.vocabulary import ErrorKind, OwlError


def _dag_file(tmp_path: Path) -> Path:
    return dag_file_for(run_dir_for(tmp_path, "drill", "d1", 7), "drill", "d1")


def test_created_once_and_again(tmp_path: Path) -> None:
    dag_file = _dag_file(tmp_path)
    create_run_folder(dag_file, "JOB A a\n")
    assert dag_file == tmp_path / "drill" / "d1" / "r7" / "drill_d1.dag"
    (dag_file.parent / "logs" / "A.out").touch()
    create_run_folder(dag_file, "JOB B b\n")
    assert dag_file.read_text() == "JOB B b\n"
    assert sorted(p.name for p in dag_file.parent.rglob("*")) == ["A.out", "drill_d1.dag", "logs"]
    assert [p.name for p in dag_file.parent.parent.iterdir()] == ["r7"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OwlError, match="Permission denied") as caught:
        create_run_folder(_dag_file(tmp_path), "x")
    tmp_path.chmod(0o700)
    assert caught.value.kind is ErrorKind.NOT_WRITABLE


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "drill").touch()
    with pytest.raises(OwlError) as caught:
        create_run_folder(_dag_file(tmp_path), "x")
    assert caught.value.kind is ErrorKind.NOT_WRITABLE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real ENOSPC of the kernel: every new file is opened as /dev/full."""
    original = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", **k: original(Path("/dev/full") if "w" in mode else self, mode, **k),
    )
    with pytest.raises(OwlError) as caught:
        create_run_folder(_dag_file(tmp_path), "x")
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list((tmp_path / "drill" / "d1").iterdir()) == []
