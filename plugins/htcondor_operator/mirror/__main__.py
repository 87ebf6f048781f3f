"""``python -m htcondor_operator.mirror``: mirror one schedd's event log into the blackboard."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from htcondor_operator.condor.bindings import Bindings, ScheddSilent
from htcondor_operator.mirror.daemon import Daemon, Options
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the daemon until SIGTERM."""
    parser = argparse.ArgumentParser(prog="owl mirror", description=__doc__)
    parser.add_argument("--schedd", default=os.environ.get("OWL_SCHEDD"), help="its name")
    parser.add_argument("--event-log", type=Path, help="default: the pool's EVENT_LOG")
    parser.add_argument("--poll", type=float, default=0.25, help="seconds between two looks")
    parser.add_argument("--reconcile", type=float, default=30.0, help="seconds between queries")
    given = parser.parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("OWL_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # The bindings give event times in local time without a zone: make that UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    options = Options(
        schedd=given.schedd or _schedd_name(),
        event_log=given.event_log or _event_log(),
        poll_seconds=given.poll,
        reconcile_seconds=given.reconcile,
    )
    Daemon(Settings.from_environment(), options).run()


def _param(name: str) -> str | None:
    import htcondor2

    value = htcondor2.param.get(name)
    return None if value is None else str(value)


def _event_log() -> Path:
    named = _param("EVENT_LOG")
    if named:
        return Path(named)
    raise OwlError(
        ErrorKind.BAD_CONF,
        "EVENT_LOG is not set in HTCondor's configuration of this access point. Set it and"
        " EVENT_LOG_JOB_AD_INFORMATION_ATTRS, then run condor_reconfig.",
    )


_NAME = re.compile(r'^Name\s*=\s*"([^"]+)"', re.MULTILINE)


def _schedd_name() -> str:
    """Return the schedd's name from the file it leaves, else by asking until it answers."""
    while True:
        try:
            text = Path(_param("SCHEDD_DAEMON_AD_FILE") or "").read_text(errors="replace")
        except OSError:
            text = ""
        if match := _NAME.search(text):
            return match[1]
        bindings = Bindings()
        try:
            return bindings.schedd_name()
        except ScheddSilent as error:
            log.warning("the schedd's name is not known yet: %s", error)
            time.sleep(2.0)
        finally:
            bindings.close()


if __name__ == "__main__":
    try:
        main()
    except OwlError as error:
        sys.exit(f"mirror: {error.kind.value}: {error.message}")
