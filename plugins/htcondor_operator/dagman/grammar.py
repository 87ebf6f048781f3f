"""From the words of one command to the command: the syntax of every command of HTCondor 25.

One small function per command, called with the words after the keyword. What is refused here is
what DAGMan's own parser (``dag_parser.cpp``) refuses; whether a node that a command names exists
is a question for :mod:`htcondor_operator.dagman.assembly`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from htcondor_operator.dagman import commands as c
from htcondor_operator.dagman.errors import DagSyntaxError, Refused
from htcondor_operator.dagman.lexer import Lexer, Lines, is_keyword, whole_number
from htcondor_operator.dagman.node_grammar import NODE_PARSERS
from htcondor_operator.dagman.words import Words

_NODE = "<name> (<submit file> | <description> | {{) [DIR <directory>] [NOOP] [DONE]"
SYNTAX = {
    "JOB": f"JOB {_NODE}",
    "FINAL": f"FINAL {_NODE}",
    "PROVISIONER": f"PROVISIONER {_NODE}",
    "SERVICE": f"SERVICE {_NODE}",
    "SUBDAG": "SUBDAG EXTERNAL <name> <dag file> [DIR <directory>] [NOOP] [DONE]",
    "SPLICE": "SPLICE <name> <dag file> [DIR <directory>]",
    "INCLUDE": "INCLUDE <dag file>",
    "SUBMIT_DESCRIPTION": "SUBMIT-DESCRIPTION <name> {{, the description's lines, }}",
    "CATEGORY": "CATEGORY <node> <category>",
    "PARENT": "PARENT <node> ... CHILD <node> ...",
    "WEAK": "WEAK PARENT <node> ... CHILD <node> ...",
    "SCRIPT": "SCRIPT [DEFER <status> <seconds>] [DEBUG <file> (STDOUT|STDERR|ALL)] "
    "(PRE|POST|HOLD) <node> <executable> [<arguments>]",
    "RETRY": "RETRY <node> <number> [UNLESS-EXIT <code>]",
    "ABORT_DAG_ON": "ABORT-DAG-ON <node> <exit code> [RETURN <0..255>]",
    "VARS": 'VARS <node> [PREPEND|APPEND] <name>="<value>" ...',
    "PRIORITY": "PRIORITY <node> <number>",
    "PRE_SKIP": "PRE_SKIP <node> <exit code>",
    "TOLERANCE": "TOLERANCE <node> <number>[%] [FAIL-FAST|WAIT]",
    "DONE": "DONE <node>",
    "MAXJOBS": "MAXJOBS <category> <number>",
    "CONFIG": "CONFIG <file>",
    "DOT": "DOT <file> [UPDATE|DONT-UPDATE] [OVERWRITE|DONT-OVERWRITE] [INCLUDE <header file>]",
    "NODE_STATUS_FILE": "NODE_STATUS_FILE <file> [<seconds>] [ALWAYS-UPDATE]",
    "JOBSTATE_LOG": "JOBSTATE_LOG <file>",
    "SAVE_POINT_FILE": "SAVE_POINT_FILE <node> [<file>]",
    "SET_JOB_ATTR": "SET_JOB_ATTR <name> = <value>",
    "ENV": "ENV SET <name>=<value>;... or ENV GET <name> ...",
    "REJECT": "REJECT",
    "CONNECT": "CONNECT <splice> <splice>",
    "PIN_IN": "PIN_IN <node> <number from 1>",
    "PIN_OUT": "PIN_OUT <node> <number from 1>",
}
SYNTAX = {keyword: text.replace("{{", "{").replace("}}", "}") for keyword, text in SYNTAX.items()}

SUBMIT_TIME = frozenset({"CONFIG", "SET_JOB_ATTR", "ENV"})
"""Read when a DAG is submitted, and only in the file that is submitted."""


_UNDERSCORED = frozenset(
    {"PRE_SKIP", "NODE_STATUS_FILE", "JOBSTATE_LOG", "SAVE_POINT_FILE", "SET_JOB_ATTR"}
    | {"PIN_IN", "PIN_OUT"}
)


def parse_commands(text: str, file: str, *, top: bool = True) -> Iterator[c.Command]:
    """Yield the commands of a file in its order.

    Parameters
    ----------
    top
        Whether this is the file that is submitted. In a splice or an included file DAGMan skips
        CONFIG, SET_JOB_ATTR and ENV unread.
    """
    lines = Lines(text, file)
    for line in lines:
        keyword = ""
        try:
            first = Lexer(line.text).word()
            keyword = first.upper().replace("-", "_")
            if keyword in _PARSERS:
                if top or keyword not in SUBMIT_TIME:
                    yield _PARSERS[keyword](Words(keyword, line, lines, file))
            else:
                raise Refused(f"{first!r} is not a DAGMan command; remove the line or correct it")
        except Refused as refused:
            reason = str(refused)
            if keyword in SYNTAX:
                shown = keyword if keyword in _UNDERSCORED else keyword.replace("_", "-")
                reason = f"{shown}: {reason}; write: {SYNTAX[keyword]}"
            raise DagSyntaxError(file, line.number, reason) from None


def _max_jobs(w: Words) -> c.Command:
    command = c.MaxJobs(*w.place, w.need("the category"), w.number("the limit", 0))
    w.end()
    return command


def _one_file(make: Callable[[str, int, str], c.Command]) -> Callable[[Words], c.Command]:
    def parse(w: Words) -> c.Command:
        command = make(*w.place, w.need("the file's name", unquote=True))
        w.end()
        return command

    return parse


def _dot(w: Words) -> c.Command:
    path = w.need("the file's name", unquote=True)
    options: list[str] = []
    known = ("UPDATE", "DONT_UPDATE", "OVERWRITE", "DONT_OVERWRITE", "INCLUDE")
    while word := w.word():
        if not any(is_keyword(word, option) for option in known):
            raise Refused(f"unexpected {word!r}")
        options.append(word.upper().replace("_", "-"))
        if is_keyword(word, "INCLUDE"):
            options.append(w.need("the header file after INCLUDE"))
    return c.Dot(*w.place, path, tuple(options))


def _node_status(w: Words) -> c.Command:
    path = w.need("the file's name", unquote=True)
    options: list[str] = []
    while word := w.word():
        if is_keyword(word, "ALWAYS_UPDATE"):
            options.append("ALWAYS-UPDATE")
        elif (seconds := whole_number(word)) is not None:
            options.append(str(seconds))
        else:
            raise Refused(f"unexpected {word!r}")
    return c.NodeStatusFile(*w.place, path, tuple(options))


def _job_attribute(w: Words) -> c.Command:
    name, equals, value = w.rest().partition("=")
    if not equals or not name.strip() or not value.strip():
        raise Refused("an attribute and its value are needed")
    return c.JobAttribute(*w.place, name.strip(), value.strip())


def _env(w: Words) -> c.Command:
    action = w.need("SET or GET")
    if not (is_keyword(action, "SET") or is_keyword(action, "GET")):
        raise Refused(f"unexpected {action!r}; SET or GET is needed")
    rest = w.rest()
    if not rest:
        raise Refused("no variable is given")
    if is_keyword(action, "GET"):
        return c.EnvironmentGet(*w.place, tuple(rest.replace(",", " ").split()))
    pairs = (one.partition("=") for one in _environment(rest))
    return c.EnvironmentSet(*w.place, tuple((name, value) for name, _, value in pairs))


def _environment(text: str) -> list[str]:
    """Split as condor_submit does: ``a=1;b=2``, or in double quotes, by blanks."""
    if len(text) < 2 or not (text[0] == text[-1] == '"'):
        return [one.strip() for one in text.split(";") if one.strip()]
    words: list[str] = [""]
    quoted = False
    for char in text[1:-1].replace('""', '"'):
        if char == "'":
            quoted = not quoted
        elif char in " \t" and not quoted:
            words.append("")
        else:
            words[-1] += char
    return [word for word in words if word]


def _reject(w: Words) -> c.Command:
    w.end()
    return c.Reject(*w.place)


def _connect(w: Words) -> c.Command:
    command = c.Connect(*w.place, w.need("the parent splice"), w.need("the child splice"))
    w.end()
    return command


_PARSERS: dict[str, Callable[[Words], c.Command]] = {
    **NODE_PARSERS,
    "INCLUDE": _one_file(c.Include),
    "MAXJOBS": _max_jobs,
    "CONFIG": _one_file(c.Config),
    "DOT": _dot,
    "NODE_STATUS_FILE": _node_status,
    "JOBSTATE_LOG": _one_file(c.JobstateLog),
    "SET_JOB_ATTR": _job_attribute,
    "ENV": _env,
    "REJECT": _reject,
    "CONNECT": _connect,
}
