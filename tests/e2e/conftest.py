"""One live stack for all tests of this folder, and cases that run in it at the same time.

``OWL_E2E_HOME`` names the home of a stack that runs already (started with ``OWL_TEMPLATES`` at a
folder that tests may write to); then nothing is started or stopped.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.launcher.home import Home
from tests.conftest import _cache
from tests.e2e.live_stack import (
    ROOT,
    Stack,
    install_alerts,
    install_templates,
    share_environment,
    until,
    variables_of,
)

LONGEST_S = 1500
"""A test may wait for the stack to start, or for all those that run beside one another."""
Case = Callable[[Stack], None]
HERE = Path(__file__).parent
BESIDE = "run_beside_others"
AT_ONCE = 16
"""Cases that run beside one another: with all of them two cores kept each waiting for minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this folder that time."""
    for item in items:
        if item.get_closest_marker("timeout") is None and HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST_S))


def beside(case: Case) -> Callable[..., None]:
    """Make a test of `case`, which runs at the same time as all other such cases."""

    @wraps(case)
    def test(outcomes: dict[str, Future[None]], request: pytest.FixtureRequest) -> None:
        outcomes[request.node.nodeid].result()

    setattr(test, BESIDE, case)
    del test.__wrapped__  # pytest would ask for the case's own arguments
    return pytest.mark.e2e(test)


@pytest.fixture(scope="session")
def stack(state_dir: Path) -> Iterator[Stack]:
    """The running stack."""
    control = state_dir / "control"
    control.mkdir()
    running = os.environ.get("OWL_E2E_HOME")
    if running:
        home = Home(Path(running))
        stack = Stack(home, control, variables_of(home.root, state_dir, _cache()))
        if stack.templates.is_relative_to(ROOT):
            pytest.fail("start the stack of OWL_E2E_HOME with OWL_TEMPLATES at a folder of its own")
        for name in ("OWL_TEMPLATES", "OWL_ALERTS", "OWL_POLLERS"):
            stack.variables[name] = stack.environment[name]
        install_templates(stack.templates)
        stack.operator.wait_for_dag("e2e_noisy")
        yield stack
        return
    home = Home(state_dir / "owl")
    home.root.mkdir()
    templates = state_dir / "templates"
    install_templates(templates)
    install_alerts(home.root)
    share_environment(home.root, Path(sys.prefix))
    stack = Stack(home, control, variables_of(home.root, templates, _cache()))
    try:
        started = stack.owl("up", timeout=400)
        assert started.returncode == 0, started.stdout + started.stderr
        stack.operator.wait_for_dag("e2e_noisy")
        yield stack
    finally:
        stopped = stack.owl("down", "--purge", timeout=200)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@pytest.fixture(scope="session")
def outcomes(stack: Stack, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """Start all chosen cases that run beside one another; what becomes of each."""
    cases: dict[str, Any] = {
        item.nodeid: case
        for item in request.session.items
        if (case := getattr(getattr(item, "function", None), BESIDE, None)) is not None
    }
    pool = ThreadPoolExecutor(AT_ONCE)
    futures: dict[str, Future[None]] = {}
    for name, case in cases.items():
        futures[name] = pool.submit(case, stack)
        time.sleep(0.1)
    yield futures
    pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def alone(stack: Stack, outcomes: dict[str, Future[None]]) -> Stack:
    """The stack, once nothing else goes on in it and it has got over what the last test did."""
    _, left = wait(outcomes.values(), timeout=LONGEST_S / 2)
    assert not left, f"{len(left)} cases that run beside others are not over"
    until("every service is healthy", stack.is_healthy, every=1)
    return stack
