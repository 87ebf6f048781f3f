"""Kind ``rescue`` (rescue_me): finds failed runs that the policy wants rescued.

The rescue itself is a clear through Airflow's own models, which a trigger's process may not touch:
``owl rescue_me now`` does it in a process of its own, which is started only when one is due.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.link import Link
from htcondor_operator.blackboard.rescue_candidates import candidates
from htcondor_operator.blackboard.setting_rows import get_setting
from htcondor_operator.queue.campaigns.rescue_policy import (
    HORIZON_S,
    SETTING,
    decide,
    read_policy,
)
from htcondor_operator.queue.pollers.kinds import RoundResult
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from htcondor_operator.queue.pollers.declarations import Declaration

TIMEOUT_S = 300
_MAIN = "from htcondor_operator.cli import main; main()"


class RescuePoller:
    """Looks which failed runs are due, and has them rescued.

    Parameters
    ----------
    settings
        Where the database is.
    name
        The poller's name: who asks, in the audit.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._link = Link(settings, f"poller {name}")

    def round(self) -> RoundResult:
        """Look once."""
        with self._link.transaction() as cur:
            policy = read_policy(get_setting(cur, SETTING))
            decisions = [decide(each, policy) for each in candidates(cur, HORIZON_S)]
        later = sum(decision.wait_s is not None for decision in decisions)
        note = f"{later} wait for their time" if later else ""
        if not any(decision.rescue for decision in decisions):
            return RoundResult(0, {}, note)
        told = self._rescue()
        counts = {name: len(told[name]) for name in ("rescued", "refused") if told[name]}
        return RoundResult(len(told["rescued"]), counts, note)

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()

    def _rescue(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, "rescue_me", "now", "--json", "--by", self._name],
            env=_environment(self._settings),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise OwlError(
                ErrorKind.INTERNAL, f"`owl rescue_me now` failed: {done.stderr.strip()[-500:]}"
            )
        # Airflow may have written lines of its own before.
        told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{\n") :])
        return told


def _environment(settings: Settings) -> dict[str, str]:
    """Return an environment in which Airflow's models may be used.

    Airflow takes the database away from processes that run triggers or tasks.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("_AIRFLOW")}
    if settings.database_url:
        url = f"postgresql+psycopg2://{settings.database_url.partition('://')[2]}"
        env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url
    return env


def make_poller(declaration: Declaration, settings: Settings) -> RescuePoller:
    """Make the poller; its policy is in the database (``owl rescue_me``)."""
    return RescuePoller(settings, declaration.name)
