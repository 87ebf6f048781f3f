"""The options of one kind of poller, taken one by one with their checks."""

from __future__ import annotations

from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.vocabulary import ErrorKind, OwlError


class Options:
    """What a declaration's ``options`` say.

    Parameters
    ----------
    declaration
        Its name is in every error.
    """

    def __init__(self, declaration: Declaration) -> None:
        self._poller = declaration.name
        self._options = declaration.options
        self._taken: set[str] = set()

    def _take(self, name: str) -> object:
        self._taken.add(name)
        return self._options.get(name)

    def wrong(self, name: str, value: object, fix: str) -> OwlError:
        """Return the error about an option."""
        words = f"Poller {self._poller}: options.{name} {value!r} is not right: {fix}."
        return OwlError(ErrorKind.BAD_CONF, words)

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds."""
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.wrong(name, value, "write a number of seconds")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self.wrong(name, value, "write a text")
        return value

    def words(self, name: str, known: set[str]) -> tuple[str, ...]:
        """Return a list of known words."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not set(map(str, value)) <= known:
            raise self.wrong(name, value, f"write a list of: {', '.join(sorted(known))}")
        return tuple(map(str, value))

    def nothing_else(self) -> None:
        """Raise when there are options that nobody has taken."""
        for name, value in self._options.items():
            if name not in self._taken:
                known = ", ".join(sorted(self._taken)) or "none"
                raise self.wrong(name, value, f"remove it; known are {known}")
