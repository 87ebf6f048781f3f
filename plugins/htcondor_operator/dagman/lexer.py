"""Words and lines of a DAG file, by the rules of DAGMan 25's own ``DagLexer``.

Those rules are not what one would guess, and real files rely on them: quotes may stand anywhere in
a word, a backslash escapes inside quotes only, comments and empty lines inside a continued command
are skipped, and numbers are read as C++ ``std::stoi`` does (``3x`` is 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from htcondor_operator.dagman.errors import DagSyntaxError, Refused

_BLANKS = " \t\r"
_SPACE = " \t\n\v\f\r"
_QUOTES = "\"'"
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)


def is_keyword(word: str, keyword: str) -> bool:
    """Compare as DAGMan does: case does not matter, and ``-`` equals ``_``."""
    return word.lower().replace("-", "_") == keyword.lower().replace("-", "_")


def whole_number(word: str) -> int | None:
    """Return the 32-bit number that `word` begins with, or None."""
    match = _NUMBER.match(word)
    if match is None or len(match[1]) > 11:
        return None
    number = int(match[1])
    return number if -(2**31) <= number < 2**31 else None


class Lexer:
    """Takes the words of one command, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def word(self, *, unquote: bool = False) -> str:
        """Return the next word, or "" at the end.

        Parameters
        ----------
        unquote
            Leave the quotation marks themselves out.
        """
        word: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in _QUOTES:
                quoted = self._quoted()
                word.append(quoted if unquote else f"{char}{quoted}{char}")
            elif char not in _BLANKS:
                word.append(char)
                self._at += 1
            elif "".join(word):
                break
            else:
                self._at += 1
        return "".join(word)

    def _quoted(self) -> str:
        """Return what stands between the quotation mark here and the next one like it."""
        quote = self._text[self._at]
        inside: list[str] = []
        at = self._at + 1
        while at < len(self._text):
            char = self._text[at]
            at += 1
            if char == quote:
                self._at = at
                return "".join(inside)
            if char == "\\":
                char = self._text[at : at + 1]
                at += 1
            inside.append(char)
        raise Refused(f"a quotation mark ({quote}) is not closed")

    def peek(self) -> str:
        """Return the next word and leave it there."""
        at = self._at
        word = self.word()
        self._at = at
        return word

    def pair(self) -> tuple[str, str] | None:
        """Return the next ``key = value``, or None at the end."""
        key = self._key()
        if not key:
            return None
        self._skip(_BLANKS)
        if not self._text.startswith("=", self._at):
            rest = "'=' is missing" if self._at < len(self._text) else "it has no '=' and no value"
            raise Refused(f"variable {key!r}: {rest}")
        self._at += 1
        self._skip(_BLANKS)
        if self._text.startswith("=", self._at):
            raise Refused(f"variable {key!r}: there are two '='")
        value = self.word()
        if not value:
            raise Refused(f"variable {key!r} has no value")
        if value[0] in _QUOTES:
            value = value[1:-1]
        return key, value

    def _key(self) -> str:
        self._skip(_BLANKS)
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in _BLANKS + "=":
            if self._text[self._at] in _QUOTES:
                raise Refused("a variable's name contains a quotation mark")
            self._at += 1
        key = self._text[start : self._at]
        if not key and self._at < len(self._text):
            raise Refused("a variable's name is missing before '='")
        return key

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1

    def rest(self) -> str:
        """Return everything that is left, as it is written."""
        rest = self._text[self._at :].strip(_SPACE)
        self._at = len(self._text)
        return rest


@dataclass(frozen=True)
class Line:
    """A command's text (continuation lines joined) and the line that it begins on."""

    number: int
    text: str


class Lines:
    """The commands of a file; the body of an inline description is taken on demand."""

    def __init__(self, text: str, file: str) -> None:
        self._physical = enumerate(text.split("\n"), start=1)
        self._file = file

    def __iter__(self) -> Iterator[Line]:
        while (line := self._command()) is not None:
            yield line

    def _next(self) -> tuple[int, str] | None:
        """Return the next physical line that is neither empty nor a comment."""
        for number, raw in self._physical:
            line = raw.strip(_SPACE)
            if "\0" in line:
                raise DagSyntaxError(
                    self._file, number, "the line contains a NUL byte; is this a DAG file?"
                )
            if line and not line.startswith(("#", "//")):
                return number, line
        return None

    def _command(self) -> Line | None:
        found = self._next()
        if found is None:
            return None
        first, text = found
        while text.endswith("\\"):
            following = self._next()
            if following is None:
                # DAGMan drops such a command without a word.
                raise DagSyntaxError(
                    self._file, first, "the file ends in a continued line; remove the last '\\'"
                )
            text = f"{text[:-1]} {following[1]}"
        return Line(first, text)

    def body(self, end: str) -> tuple[str, str]:
        """Return the lines up to `end`, and what follows `end` on its line."""
        lines: list[str] = []
        while (found := self._next()) is not None:
            line = found[1]
            if line == end or line.startswith(end + " "):
                return "".join(f"{one}\n" for one in lines), line[len(end) :]
            lines.append(line)
        raise Refused(f"the inline description is not closed; end it with a line {end!r}")
