"""Register query strategies by their standard names, with what each needs of the model.

A third party adds a strategy without touching distal: an entry point of the group ``distal.strategies`` whose name is
the strategy's and whose value is the module, function or class that the decorators below have registered. A script
passes such a function or class, or a function that nobody registered, to `distal.ActiveLearner`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from distal.errors import ConfigError
from distal.query.view import FACTORS, NEEDS
from distal.registry import Registry

Kind = Literal["score", "batch", "staged"]
Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Strategy:
    """Name one way to choose rows.

    needs: names of what the model's scorer gives (NEEDS, or more of another model); the shard keeps these and nothing
    else. ``gradients`` stands for the factors of the last layer's gradient, which are probs and embeddings.
    kind: ``score``: `make` is a function from View to a float tensor [n], higher is asked first.
    ``batch``: `make` is a class without arguments that is a `distal.query.batch.Batch`.
    ``staged``: the same, a `distal.query.staged.Staged`.
    """

    name: str
    needs: frozenset[str]
    kind: Kind
    make: Callable[..., Any]

    @property
    def tensors(self) -> frozenset[str]:
        """Return the names of the tensors to show: probs and embeddings for gradients."""
        return frozenset(tensor for need in self.needs for tensor in FACTORS.get(need, (need,)))


STRATEGIES: Registry[Strategy] = Registry("query.strategy", "strategy", "distal.strategies", kind=Strategy)


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
