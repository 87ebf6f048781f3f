"""The command line: exit codes, one clear line, no traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from calibration import cli
from calibration.exit_codes import TABLE, CalibrationError, ExitCode
from calibration.names import dataset_name, reference_file


def call(tmp_path: Path, node: str, dataset: str = "j8bt05njq") -> int:
    folders = [f"--{n}={tmp_path / n}" for n in ("incoming", "work", "archive", "references")]
    return cli.main([node, "--dataset", dataset, *folders])


def test_every_code_has_a_name_and_a_sentence() -> None:
    assert set(TABLE) == {int(c) for c in ExitCode}
    names = [name for name, _ in TABLE.values()]
    assert len(set(names)) == len(names)
    assert all(sentence.endswith(".") for _, sentence in TABLE.values())
    assert all(0 <= code < 126 for code in TABLE)


@pytest.mark.parametrize("node", list(cli.NODES))
def test_every_node_fails_with_a_name_on_nothing(
    tmp_path: Path, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(tmp_path, node)
    error = capsys.readouterr().err
    assert code in TABLE
    assert code not in (ExitCode.OK, ExitCode.INTERNAL_ERROR)
    assert error.count("\n") == 1
    assert error.startswith(f"calibration: {node}: {TABLE[code][0]}: ")


@pytest.mark.parametrize("name", ["../etc", "", ".hidden", "a b", "x" * 64, "a/b", "ä", "a\n"])
def test_bad_dataset_names(tmp_path: Path, name: str) -> None:
    assert call(tmp_path, "BC", name) == ExitCode.BAD_NAME
    assert list(tmp_path.iterdir()) == []


def test_good_names() -> None:
    assert dataset_name("J8BT05NJQ") == "j8bt05njq"
    assert reference_file("jref$n3o1059hj_drk.fits", "DARKFILE") == "n3o1059hj_drk.fits"
    with pytest.raises(CalibrationError):
        reference_file("jref$../../etc/passwd", "DARKFILE")


def test_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["NOPE"]) == ExitCode.USAGE_ERROR
    assert cli.main(["CA", "--dataset", "x"]) == ExitCode.USAGE_ERROR
    assert "Traceback" not in capsys.readouterr().err
    assert cli.main(["exit-codes"]) == 0
    assert "reference_missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, ExitCode.DISK_FULL), (errno.EACCES, ExitCode.NOT_WRITABLE)],
)
def test_trouble_with_the_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, "trouble", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", fail)
    assert call(tmp_path, "2FITS") == code
