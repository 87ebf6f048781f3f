"""``python -m htcondor_operator.launcher``: what ``./owl`` calls once Python is there."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.home import Home
from htcondor_operator.vocabulary import ErrorKind, OwlError

USAGE = """\
owl demo                    set up, start, run the main job on real frames
owl up | down | restart     start, stop everything (down --purge: remove everything)
owl status [--json]         every daemon, the mirror's lag, every dataset
owl logs NAME [-f]          the log of a service
owl test [fast|all]         style, types and tests
owl -- COMMAND              run a command in OWL's environment (owl -- bash)
owl NOUN ...                the owl command (owl dag show FILE --json, owl rescue DATASET)
"""


def say(text: str) -> None:
    """Print one line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def _up(home: Home, _arguments: argparse.Namespace) -> int:
    from htcondor_operator.launcher.stack import up

    stack = up(home, say)
    say(f"UI: {stack.address}  logins: {home.root / 'secrets.json'}")
    return 0


def _down(home: Home, arguments: argparse.Namespace) -> int:
    from htcondor_operator.launcher.stack import down, purge

    down(home, say)
    if arguments.purge:
        purge(home)
        say(f"removed everything in {home.root}")
    return 0


def _restart(home: Home, arguments: argparse.Namespace) -> int:
    from htcondor_operator.launcher.stack import down

    down(home, say)
    return _up(home, arguments)


def _status(home: Home, arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from htcondor_operator.launcher.status import show, status

    told = status(home)
    if arguments.json:
        sys.stdout.write(json.dumps(told, indent=1, default=str) + "\n")
    else:
        show(told, Console())
    return 0 if told["healthy"] else 3


def _logs(home: Home, arguments: argparse.Namespace) -> int:
    candidates = {p.stem: p for p in sorted((home.root / "pool" / "log").glob("*Log"))}
    candidates |= {p.stem: p for p in sorted(home.logs.glob("*.log"))}
    log = candidates.get(arguments.name)
    if log is None:
        known = ", ".join(sorted(candidates)) or "none yet"
        raise OwlError(
            ErrorKind.BAD_NAME, f"there is no log {arguments.name!r}. Known logs: {known}."
        )
    follow = ["-F"] if arguments.follow else []
    return subprocess.run(
        ["tail", "-n", str(arguments.lines), *follow, str(log)], check=False
    ).returncode


def _test(home: Home, arguments: argparse.Namespace) -> int:
    from htcondor_operator.launcher.checks import run

    return run(home, arguments.suite, arguments.options)


def _demo(home: Home, arguments: argparse.Namespace) -> int:
    from htcondor_operator.launcher.demo import demo

    return demo(home, say, timeout=arguments.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("owl", usage=USAGE)
    nouns = parser.add_subparsers(dest="noun", required=True)
    nouns.add_parser("up").set_defaults(act=_up)
    nouns.add_parser("restart").set_defaults(act=_restart)
    down = nouns.add_parser("down")
    down.add_argument("--purge", action="store_true", help="remove everything that OWL made")
    down.set_defaults(act=_down)
    status = nouns.add_parser("status")
    status.add_argument("--json", action="store_true")
    status.set_defaults(act=_status)
    logs = nouns.add_parser("logs")
    logs.add_argument("name")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", type=int, default=200)
    logs.set_defaults(act=_logs)
    test = nouns.add_parser("test")
    test.add_argument("suite", nargs="?", choices=("fast", "all"), default="all")
    test.add_argument("options", nargs=argparse.REMAINDER, help="further words for pytest")
    test.set_defaults(act=_test)
    demo = nouns.add_parser("demo")
    demo.add_argument("--timeout", type=float, default=900.0)
    demo.set_defaults(act=_demo)
    return parser


def _hand_over(home: Home, command: list[str]) -> int:
    """Become another command in the environment of the services."""
    env = {**environment.outside(home), **environment.read(home.environment_file)}
    env["OWL_HOME"] = str(home.root)
    env["PATH"] = os.pathsep.join(
        dict.fromkeys([str(Path(sys.executable).parent), *env["PATH"].split(os.pathsep)])
    )
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, env)  # noqa: S606
    except OSError as error:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE, f"cannot run {command[0]!r}: {error.strerror}."
        ) from error


def main(argv: list[str]) -> int:
    """Run one command; an :class:`OwlError` becomes a clear message and exit code 1."""
    home = Home.current()
    try:
        if argv and argv[0] == "--":
            return _hand_over(home, argv[1:] or [os.environ.get("SHELL", "/bin/bash")])
        if argv and argv[0] not in _NOUNS and not argv[0].startswith("-"):
            return _hand_over(home, [sys.executable, "-c", _CLI, *argv])
        arguments = _parser().parse_args(argv)
        return int(arguments.act(home, arguments))
    except OwlError as error:
        sys.stderr.write(f"owl: {error.message}\n")
        return 1


_CLI = "from htcondor_operator.cli import main; main()"
_NOUNS = frozenset({"up", "down", "restart", "status", "logs", "test", "demo"})

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
