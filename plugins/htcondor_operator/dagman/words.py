"""The words of one command, with its place, and the wishes that a command has about them."""

from __future__ import annotations

from htcondor_operator.dagman.errors import Refused
from htcondor_operator.dagman.lexer import Lexer, Line, Lines, whole_number


class Words(Lexer):
    """The words of one command, with its place and the lines that follow it."""

    def __init__(self, keyword: str, line: Line, lines: Lines, file: str) -> None:
        super().__init__(line.text)
        self.word()
        self.keyword = keyword
        self.file = file
        self.line = line.number
        self.lines = lines

    @property
    def place(self) -> tuple[str, int]:
        """File and line of the command."""
        return self.file, self.line

    def need(self, what: str, *, unquote: bool = False) -> str:
        """Return the next word; refuse if there is none."""
        word = self.word(unquote=unquote)
        if not word:
            raise Refused(f"{what} is missing")
        return word

    def number(self, what: str, low: int | None = None, high: int | None = None) -> int:
        """Return the next word as a number within limits."""
        word = self.need(what)
        number = whole_number(word)
        too_low = low is not None and number is not None and number < low
        too_high = high is not None and number is not None and number > high
        if number is None or too_low or too_high:
            limits = ("" if low is None else f" from {low}") + (
                "" if high is None else f" to {high}"
            )
            raise Refused(f"{what} {word!r} is not a whole number{limits}")
        return number

    def end(self) -> None:
        """Refuse anything that is left."""
        if word := self.word():
            raise Refused(f"unexpected {word!r}")
