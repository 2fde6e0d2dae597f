"""Read a label as people give it, a class name or its index, and say what an answer costs."""

import operator
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from distal.errors import ConfigError, nearest_name


class UnreadableLabelError(ValueError):
    """Say in one line why a label cannot be taken; never leaves distal.oracle."""


class Classes:
    """Know the classes of a run by name and by index, and the cost of an answer in each.

    cost: cost by class name; classes that are not named, and declined rows, cost 1. Raises ConfigError for a name that
    is no class.
    """

    def __init__(self, names: Sequence[str], cost: Mapping[str, float]) -> None:
        self.names = tuple(names)
        self._exact = {name: index for index, name in enumerate(self.names)}
        folded = [name.strip().casefold() for name in self.names]
        times = Counter(folded)
        self._folded = {name: index for index, name in enumerate(folded) if times[name] == 1}
        for name in cost:
            if name not in self._exact:
                raise ConfigError(
                    f"oracle.cost: {name!r} is no class; {nearest_name(name, self.names)}".rstrip("; ")
                    + f"\nknown: {self.known()}"
                )
        self._cost = [float(cost.get(name, 1.0)) for name in self.names]

    def known(self) -> str:
        """Return the names for a message, the first 20 of many."""
        more = f", ... ({len(self.names)} in all)" if len(self.names) > 20 else ""
        return ", ".join(self.names[:20]) + more

    def cost(self, label: int | None) -> float:
        """Return what an answer of this class costs."""
        return 1.0 if label is None else self._cost[label]

    def index(self, given: object) -> int:
        """Return the class index of a name or an index. Raises UnreadableLabelError."""
        if isinstance(given, str):
            return self._index_of_text(given)
        try:
            if isinstance(given, (bool, np.bool_)):
                raise TypeError
            index = operator.index(given)  # type: ignore[arg-type]
        except TypeError:
            raise UnreadableLabelError(f"{shown(given)} ({type(given).__name__}) is no label") from None
        return self._checked(index)

    def _index_of_text(self, text: str) -> int:
        """Names win over indices, so that classes called 1, 2 and 3 mean what they say."""
        stripped = text.strip()
        for known, form in ((self._exact, text), (self._exact, stripped), (self._folded, stripped.casefold())):
            if form in known:
                return known[form]
        try:
            number = float(stripped)  # a spreadsheet or pandas writes 3 as 3.0 where cells of the column are empty
        except ValueError:
            number = float("nan")
        if number.is_integer():
            return self._checked(int(number))
        hint = nearest_name(stripped, self.names)
        raise UnreadableLabelError(f"{shown(stripped)} is no class" + (f"; {hint}" if hint else ""))

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self.names):
            raise UnreadableLabelError(f"{index} is no class index; expected 0 to {len(self.names) - 1}")
        return index


def shown(given: object) -> str:
    """Return the repr of what was given in one line, cut where it is long."""
    text = " ".join(repr(given).split())
    return text if len(text) <= 60 else text[:57] + "..."
