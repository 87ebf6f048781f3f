"""Syntax of the commands that declare nodes, join them, or say something about one of them."""

from __future__ import annotations

from collections.abc import Callable

from htcondor_operator.dagman import commands as c
from htcondor_operator.dagman.errors import Refused
from htcondor_operator.dagman.lexer import Lexer, is_keyword, whole_number
from htcondor_operator.dagman.model import NodeType, Script
from htcondor_operator.dagman.words import Words

RESERVED = frozenset({"PARENT", "CHILD", "ALL_NODES"})
ALL_NODES = "ALL_NODES"


def _closing(word: str) -> str | None:
    """Return what closes the inline description that `word` opens; None if it opens none."""
    if word.startswith("{"):
        return "}"
    if word.startswith("@="):
        if word == "@=":
            raise Refused("'@=' needs a closing word, for example @=end and a last line @end")
        return "@" + word[2:]
    return None


def _node(w: Words) -> c.Command:
    type_ = NodeType(w.keyword)
    name = w.need("the node's name")
    if name.upper() in RESERVED:
        raise Refused(f"{name!r} is a reserved word and cannot name a node")
    if "+" in name:
        raise Refused(f"node name {name!r} contains '+', which only splices may put there")
    what = "the DAG file" if type_ is NodeType.SUBDAG else "the submit description"
    submit: str | None = w.need(what, unquote=True)
    inline = None
    options: Lexer = w
    closing = _closing(submit or "") if type_ is not NodeType.SUBDAG else None
    if closing is not None:
        inline, following = w.lines.body(closing)
        submit = None
        options = Lexer(following)
    directory, noop, done = _node_options(options)
    return c.NodeDeclaration(*w.place, type_, name, submit, inline, directory, noop, done)


def _node_options(words: Lexer) -> tuple[str | None, bool, bool]:
    directory, noop, done = None, False, False
    while word := words.word():
        if is_keyword(word, "NOOP"):
            noop = True
        elif is_keyword(word, "DONE"):
            done = True
        elif is_keyword(word, "DIR"):
            directory = words.word(unquote=True)
            if not directory:
                raise Refused("the directory after DIR is missing")
        else:
            raise Refused(f"unexpected {word!r}")
    return directory, noop, done


def _subdag(w: Words) -> c.Command:
    if not is_keyword(w.word(), "EXTERNAL"):
        raise Refused("the word EXTERNAL is missing")
    return _node(w)


def _description(w: Words) -> c.Command:
    name = w.need("the description's name")
    closing = _closing(w.need("the inline description"))
    if closing is None:
        raise Refused("the inline description is missing")
    return c.Description(*w.place, name, w.lines.body(closing)[0])


def _splice(w: Words) -> c.Command:
    name = w.need("the splice's name")
    path = w.need("the DAG file", unquote=True)
    directory = None
    if word := w.word():
        if not is_keyword(word, "DIR"):
            raise Refused(f"unexpected {word!r}")
        directory = w.need("the directory after DIR", unquote=True)
        w.end()
    return c.SpliceDeclaration(*w.place, name, path, directory)


def _edges(w: Words) -> c.Command:
    weak = w.keyword == "WEAK"
    if weak and not is_keyword(w.word(), "PARENT"):
        raise Refused("the word PARENT is missing after WEAK")
    parents: dict[str, None] = {}
    children: dict[str, None] = {}
    into = parents
    while word := w.word():
        if is_keyword(word, "CHILD"):
            into = children
        else:
            into[word] = None
    if not parents:
        raise Refused("no parent is named")
    if not children:
        raise Refused("no child is named" if into is children else "the word CHILD is missing")
    return c.Edges(*w.place, tuple(parents), tuple(children), weak)


def _script(w: Words) -> c.Command:
    status = seconds = stream = path = None
    while (word := w.word()).upper() not in {"PRE", "POST", "HOLD"}:
        if is_keyword(word, "DEFER"):
            status = w.number("the status after DEFER")
            seconds = w.number("the time after DEFER")
        elif is_keyword(word, "DEBUG"):
            path = w.need("the file after DEBUG")
            stream = w.need("STDOUT, STDERR or ALL after DEBUG").upper()
            if stream not in {"STDOUT", "STDERR", "ALL"}:
                raise Refused(f"{stream!r} after DEBUG is not STDOUT, STDERR or ALL")
        else:
            raise Refused(f"PRE, POST or HOLD is missing{f' before {word!r}' if word else ''}")
    node = w.need("the node's name")
    executable, _, arguments = w.rest().replace("\t", " ").partition(" ")
    if not executable:
        raise Refused("the script is missing")
    script = Script(word.upper(), executable, arguments.strip(), status, seconds, path, stream)
    return c.ScriptSetting(*w.place, node, script)


def _retry(w: Words) -> c.Command:
    node = w.need("the node's name")
    retries = w.number("the number of retries", 0)
    unless = None
    if word := w.word():
        if not is_keyword(word, "UNLESS_EXIT"):
            raise Refused(f"unexpected {word!r}")
        # DAGMan takes 0 for "not given".
        unless = w.number("the exit code after UNLESS-EXIT") or None
        w.end()
    return c.Retry(*w.place, node, retries, unless)


def _abort(w: Words) -> c.Command:
    node = w.need("the node's name")
    exit_code = w.number("the exit code")
    returns = None
    if word := w.word():
        if not is_keyword(word, "RETURN"):
            raise Refused(f"unexpected {word!r}")
        returns = w.number("the value after RETURN", 0, 255)
        w.end()
    return c.AbortDagOn(*w.place, node, exit_code, returns)


def _vars(w: Words) -> c.Command:
    node = w.need("the node's name")
    placement = w.peek().upper()
    if placement in {"PREPEND", "APPEND"}:
        w.word()
    pairs: dict[str, str] = {}
    while (pair := w.pair()) is not None:
        name, value = pair
        if name in {"+", "My."}:
            raise Refused(f"variable name {name!r} has no letter or digit")
        if name.startswith("+"):
            name = "My." + name[1:]
        if name.lower().startswith("queue"):
            raise Refused(f"variable name {name!r} begins with 'queue'")
        pairs[name] = value
    if not pairs:
        raise Refused("no variable is given")
    where = placement if placement in {"PREPEND", "APPEND"} else None
    return c.Vars(*w.place, node, tuple(pairs.items()), where)


def _priority(w: Words) -> c.Command:
    command = c.Priority(*w.place, w.need("the node's name"), w.number("the priority"))
    w.end()
    return command


def _pre_skip(w: Words) -> c.Command:
    node = w.need("the node's name")
    command = c.PreSkip(*w.place, node, w.number("the exit code", 0, 255))
    w.end()
    return command


def _tolerance(w: Words) -> c.Command:
    node = w.need("the node's name")
    word = w.need("the number of failures")
    percent = word.endswith("%")
    failures = whole_number(word.removesuffix("%"))
    if failures is None or failures < 0:
        raise Refused(f"the number of failures {word!r} is not a whole number from 0")
    if not percent and w.peek() == "%":
        percent = bool(w.word())
    mode = w.word()
    if not mode:
        return c.Tolerance(*w.place, node, failures, percent, None)
    if not (is_keyword(mode, "FAIL_FAST") or is_keyword(mode, "WAIT")):
        raise Refused(f"unexpected {mode!r}")
    w.end()
    return c.Tolerance(*w.place, node, failures, percent, mode.upper().replace("_", "-"))


def _done(w: Words) -> c.Command:
    command = c.Done(*w.place, w.need("the node's name"))
    w.end()
    return command


def _save_point(w: Words) -> c.Command:
    node = w.need("the node's name")
    if is_keyword(node, ALL_NODES):
        raise Refused("ALL_NODES cannot have a save point; name one node")
    path = w.word(unquote=True) or f"{node}-{w.file.rpartition('/')[2]}.save"
    w.end()
    return c.SavePoint(*w.place, node, path)


def _category(w: Words) -> c.Command:
    command = c.Category(*w.place, w.need("the node's name"), w.need("the category"))
    w.end()
    return command


def _pin(w: Words) -> c.Command:
    node = w.need("the node's name")
    number = w.number("the pin's number", 1)
    w.end()
    return c.Pin(*w.place, node, number, w.keyword == "PIN_IN")


NODE_PARSERS: dict[str, Callable[[Words], c.Command]] = {
    "JOB": _node,
    "FINAL": _node,
    "PROVISIONER": _node,
    "SERVICE": _node,
    "SUBDAG": _subdag,
    "SPLICE": _splice,
    "SUBMIT_DESCRIPTION": _description,
    "CATEGORY": _category,
    "PARENT": _edges,
    "WEAK": _edges,
    "SCRIPT": _script,
    "RETRY": _retry,
    "ABORT_DAG_ON": _abort,
    "VARS": _vars,
    "PRIORITY": _priority,
    "PRE_SKIP": _pre_skip,
    "TOLERANCE": _tolerance,
    "DONE": _done,
    "SAVE_POINT_FILE": _save_point,
    "PIN_IN": _pin,
    "PIN_OUT": _pin,
}
