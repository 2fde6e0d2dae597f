"""Register query strategies by their standard names, with what each needs of the model.

A third party adds a strategy without touching distal: an entry point of the group ``distal.strategies`` whose name is
the strategy's and whose value is the module, function or class that the decorators below have registered. A script
passes such a function or class, or a function that nobody registered, to `distal.ActiveLearner`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from distal.errors import ConfigError, nearest_name
from distal.query.view import BY_FEATURES, FACTORS, NEEDS, ROUNDS_BEFORE
from distal.registry import Registry

Kind = Literal["score", "batch", "staged", "phased"]
Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Strategy:
    """Name one way to choose rows.

    needs: names of what the model's scorer gives (NEEDS, or more of another model); the shard keeps these and nothing
    else. ``gradients`` stands for the factors of the last layer's gradient, which are probs and embeddings.
    kind: ``score``: `make` is a function from View to a float tensor [n], higher is asked first.
    ``batch``: `make` is a class without arguments that is a `distal.query.batch.Batch`.
    ``staged``: the same, a `distal.query.staged.Staged`.
    ``phased``: `make` is a function from the labels of each class, the rows asked and the budget to the
    `distal.query.phases.Phase` that names which other strategy chooses in a round.
    """

    name: str
    needs: frozenset[str]
    kind: Kind
    make: Callable[..., Any]

    @property
    def tensors(self) -> frozenset[str]:
        """Return the names of the tensors to show: probs and embeddings for gradients."""
        return frozenset(tensor for need in self.needs for tensor in FACTORS.get(need, (need,)))

    @property
    def rounds_before(self) -> int:
        """Return in how many rounds the model must have learned before what is needed says anything."""
        given = {"probs", *BY_FEATURES}  # whatever the model has learned
        return max((ROUNDS_BEFORE.get(t, 0 if t in given else 1) for t in self.tensors), default=0)


Parts = tuple[tuple[float, Strategy], ...]
"""Strategies by weight."""


class Strategies(Registry[Strategy]):
    """Know strategies by name, and those made of others.

    0.5*margin+0.5*entropy adds up the ranks of scores; MODIFIER:NAME is strategy NAME, or such a sum, under a modifier.
    """

    def __init__(self) -> None:
        super().__init__("query.strategy", "strategy", "distal.strategies", kind=Strategy)
        self.modifiers: dict[str, tuple[Callable[[str, Parts], Strategy], bool]] = {}

    def find(self, name: str, key: str | None = None) -> Strategy:
        """Return the strategy of this name; raises ConfigError as `Registry.find` does."""
        outer, colon, inner = name.partition(":")
        if colon:
            if outer not in self.modifiers:
                known = sorted(self.modifiers.keys() - {"+"})
                hint = nearest_name(outer, known)
                raise ConfigError(
                    f"{key or self.key}: '{outer}' in '{name}' is no modifier{'; ' + hint if hint else '.'}\n"
                    f"Known: {', '.join(f'{modifier}:NAME' for modifier in known)}."
                )
            make, apart = self.modifiers[outer]
            return make(name, self._parts(inner, key) if apart else ((1.0, self.find(inner, key)),))
        if "*" in name or "+" in name:
            return self.modifiers["+"][0](name, self._parts(name, key))
        return super().find(name, key)

    def _parts(self, name: str, key: str | None) -> Parts:
        parts = []
        for term in name.split("+"):
            weight, star, inner = term.rpartition("*")
            try:
                parts.append((float(weight) if star else 1.0, super().find(inner.strip(), key)))
            except ValueError:
                raise ConfigError(
                    f"{key or self.key}: '{weight}' in '{name}' is no weight.\n"
                    "Expected weights and names, for example 0.5*margin+0.5*entropy, or {margin: 0.5, entropy: 0.5}."
                ) from None
        return tuple(parts)


STRATEGIES = Strategies()


def _decorator(name: str, needs: Iterable[str], kind: Kind) -> Callable[[Made], Made]:
    def register(make: Made) -> Made:
        wanted = frozenset([needs] if isinstance(needs, str) else needs)
        STRATEGIES.add(name, Strategy(name, wanted, kind, make), make)
        return make

    return register


def score_strategy(name: str, needs: Iterable[str] = ()) -> Callable[[Made], Made]:
    """Register a function from View to a float tensor [n], higher = ask first.

    Raises ConfigError where the name is taken.
    """

    return _decorator(name, needs, "score")


def batch_strategy(name: str, needs: Iterable[str] = ()) -> Callable[[Made], Made]:
    """Register a class that chooses rows one after another (`distal.query.batch.Batch`).

    Raises ConfigError where the name is taken.
    """

    return _decorator(name, needs, "batch")


def staged_strategy(name: str, needs: Iterable[str] = ()) -> Callable[[Made], Made]:
    """Register a class that talks with the shards in its own way (`distal.query.staged.Staged`).

    Raises ConfigError where the name is taken.
    """

    return _decorator(name, needs, "staged")


def modifier(name: str, apart: bool = False) -> Callable[[Made], Made]:
    """Register a function from a name and weighted strategies to a strategy: of what follows NAME:, or of a sum ("+").

    apart: it is shown the terms of a sum one by one; else one strategy, of weight 1, of any kind.
    """

    def register(make: Made) -> Made:
        STRATEGIES.modifiers[name] = (make, apart)
        return make

    return register


def as_strategy(given: Strategy | Callable[..., Any], shown: frozenset[str] = NEEDS) -> Strategy:
    """Return the strategy that a script gave: one as it is, a registered function or class, or any other function.

    A function that is not registered is a score strategy of its own name that needs all of `shown`.

    Raises:
        ConfigError: it is none of these, or a function whose name another strategy has.
    """
    if isinstance(given, Strategy):
        return given
    for strategy in STRATEGIES.entries.values():
        if strategy.make is given:
            return strategy
    name = getattr(given, "__name__", "")
    if isinstance(given, type) or not callable(given) or not name.isidentifier():
        raise ConfigError(
            f"strategy: '{name or type(given).__name__}' is no function with a name of its own.\n"
            "Give a function from a view of a shard to one float a row, or what score_strategy or batch_strategy has\n"
            "registered: score_strategy('mine', needs=['probs'])(function). A name alone goes into query.strategy."
        )
    if name in STRATEGIES.names():
        raise ConfigError(
            f"strategy: the function {name}() has the name of another strategy.\n"
            "Rename it, or register it under a name of its own: @distal.score_strategy('mine', needs=['probs'])."
        )
    return Strategy(name, shown, "score", given)
