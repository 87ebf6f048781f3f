"""Programs that must exist before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from htcondor_operator.condor.executables import check_executables, submit_commands
from htcondor_operator.dagman.model import Dag, Node, Script
from htcondor_operator.vocabulary import ErrorKind, OwlError


def _dag(description: str, **node: object) -> Dag:
    return Dag(nodes={"A": Node("A", inline=description, **node)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "description",
    [
        "executable = /bin/sh",
        "executable = relative/program",
        "executable = $(PROGRAM)",
        "executable = /no/such\ncontainer_image = x.sif",
        "arguments = no executable at all",
    ],
)
def test_good_or_not_ours_to_judge(description: str) -> None:
    check_executables(_dag(description), Path("/"), shared=True)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(OwlError, match="Node A: executable /no/such does not exist") as caught:
        check_executables(_dag("Executable=/no/such"), Path("/"), shared=True)
    assert caught.value.kind is ErrorKind.MISSING_EXECUTABLE


def test_a_program_without_mode_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("")
    with pytest.raises(OwlError, match="cannot be executed by user"):
        check_executables(_dag(f"executable = {program}"), Path("/"), shared=True)


def test_a_program_of_the_execute_machine_is_not_looked_for_here() -> None:
    dag = _dag("executable = /no/such\ntransfer_executable = False")
    check_executables(dag, Path("/"), shared=False)
    with pytest.raises(OwlError):
        check_executables(dag, Path("/"), shared=True)


def test_scripts_run_here() -> None:
    dag = _dag("executable = /bin/sh", scripts={"PRE": Script("PRE", "/no/such.sh")})
    with pytest.raises(OwlError, match=r"/no/such\.sh"):
        check_executables(dag, Path("/"), shared=False)


def test_nodes_that_do_not_run_need_no_program() -> None:
    check_executables(_dag("executable = /no/such", noop=True), Path("/"), shared=True)


def test_submit_files_and_named_descriptions(tmp_path: Path) -> None:
    (tmp_path / "a.sub").write_text("executable = /no/a\n")
    dag = Dag(
        nodes={"A": Node("A", submit="a.sub"), "B": Node("B", submit="named")},
        descriptions={"named": "executable = /bin/sh"},
    )
    with pytest.raises(OwlError, match="Node A: executable /no/a"):
        check_executables(dag, tmp_path, shared=True)


def test_commands_of_a_description() -> None:
    text = "# executable = no\n Executable = /a \\\n  b\nMy.OwlRun = 3\n+X = 1\nexecutable=/c\n"
    found = submit_commands(text)
    assert found["executable"] == "/c"
    assert found["my.owlrun"] == "3"
