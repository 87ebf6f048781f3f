"""Numbers and text of rescue files."""

from __future__ import annotations

from pathlib import Path

import pytest

from htcondor_operator.condor.rescue_file import next_rescue_number, rescue_text, write_rescue
from htcondor_operator.vocabulary import ErrorKind, OwlError


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], 1),
        (["x.dag", "x.dag.lock"], 1),
        (["x.dag.rescue001", "x.dag.rescue003"], 4),
        (["x.dag.rescue001.old", "x.dag.rescue002_tmp"], 1),
        (["y.dag.rescue007", "xx.dag.rescue008"], 1),
        (["x.dag.rescue099", "x.dag.rescue100"], 101),
    ],
)
def test_the_number_is_one_above_the_highest(names: list[str], number: int) -> None:
    assert next_rescue_number("x.dag", names, 999) == number


def test_a_number_that_dagman_would_not_read_is_refused() -> None:
    with pytest.raises(OwlError, match="DAGMAN_MAX_RESCUE_NUM = 100") as caught:
        next_rescue_number("x.dag", ["x.dag.rescue100"], 100)
    assert caught.value.kind is ErrorKind.SUBMIT_REFUSED


def test_text() -> None:
    assert rescue_text({"NODE_A", "B"}, "why") == "# why\nDONE B\nDONE NODE_A\n"


def test_write(tmp_path: Path) -> None:
    dag_file = tmp_path / "x.dag"
    first = write_rescue(dag_file, ["A"], "one", 999)
    second = write_rescue(dag_file, ["A", "B"], "two", 999)
    assert [first.name, second.name] == ["x.dag.rescue001", "x.dag.rescue002"]
    assert second.read_text() == "# two\nDONE A\nDONE B\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name]
