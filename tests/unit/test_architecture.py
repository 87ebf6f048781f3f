"""The rooms of docs/architecture.md: imports only go down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins" / "htcondor_operator"
CALIBRATION = ROOT / "calibration"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"vocabulary", "settings", "exit_codes"}),
    frozenset({"dagman"}),
    frozenset({"blackboard"}),
    frozenset({"condor"}),
    frozenset({"mirror"}),
    frozenset({"queue"}),
    frozenset({"hooks"}),
    frozenset({"notifications", "alerts"}),
    frozenset({"triggers", "timetables"}),
    frozenset({"operators", "executors", "sensors"}),
    frozenset({"dag_factory", "poller_dags", "campaign_dags"}),
    frozenset({"launcher"}),
    frozenset({"bench"}),
    frozenset({"commands", "console", "cli", "plugin", "provider"}),
)
"""A room may import from lower floors and from itself."""

ALLOWED = {("cli", "commands"), ("plugin", "console")}
"""Doors on the top floor."""

BINDINGS = frozenset({"condor/bindings_worker.py", "mirror/__main__.py", "mirror/event_log.py"})
"""The only modules that may import HTCondor's bindings: the worker process and the mirror."""

PURE = ("vocabulary", "settings", "dagman")


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PLUGIN).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if name in rooms:
            return number
    pytest.fail(f"{name} has no floor: add it to FLOORS and to docs/architecture.md")


@pytest.mark.parametrize("path", modules(PLUGIN), ids=lambda p: str(p.relative_to(PLUGIN)))
def test_imports_go_down(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top != "htcondor_operator" or not rest:
            continue
        other = rest.partition(".")[0]
        if not (PLUGIN / other).is_dir() and not (PLUGIN / f"{other}.py").is_file():
            continue  # a name of the package itself
        if other != own and (own, other) not in ALLOWED:
            assert floor(other) < floor(own), f"{own} imports {name}"


@pytest.mark.parametrize(
    "path",
    [p for p in modules(PLUGIN) if room(p) in PURE],
    ids=lambda p: str(p.relative_to(PLUGIN)),
)
def test_the_ground_floor_knows_no_framework(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports(path)}
    assert not tops & {"airflow", "htcondor2", "classad2", "psycopg2", "sqlalchemy", "subprocess"}


def test_bindings_are_imported_only_where_they_may_hang() -> None:
    found = {
        str(path.relative_to(PLUGIN))
        for path in modules(PLUGIN)
        if room(path) != "bench"  # measures the bindings alone, in a process of its own
        and any(name.partition(".")[0] in {"htcondor2", "classad2"} for name in imports(path))
    }
    assert found == BINDINGS


AIRFLOW_WRITERS = {
    "executors/task_mirror.py",
    "executors/waiting.py",
    "executors/turns.py",
    # One INSERT: the shoveler makes DAG runs in the transaction in which entries leave the queue.
    "queue/shoveler/dag_runs.py",
    # In its throwaway database.
    "bench/console_site.py",
}


def test_only_these_modules_write_airflows_tables() -> None:
    writes = re.compile(r"(UPDATE|INSERT INTO|DELETE FROM)\s+(task_instance|dag_run)\b", re.I)
    found = {
        str(path.relative_to(PLUGIN))
        for path in modules(PLUGIN)
        if "migrations" not in path.parts and writes.search(path.read_text())
    }
    assert found == AIRFLOW_WRITERS


def test_payload_and_bridge_do_not_know_each_other() -> None:
    for path in modules(CALIBRATION):
        assert not {n for n in imports(path) if n.startswith(("htcondor", "airflow"))}, path
    for path in modules(PLUGIN):
        assert not {n for n in imports(path) if n.partition(".")[0] == "calibration"}, path


def test_dag_files_are_thin() -> None:
    for path in modules(ROOT / "dags"):
        assert len(path.read_text().splitlines()) < 100, path
