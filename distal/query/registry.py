"""Register query strategies by their standard names, with what each needs of the model.

A third party adds a strategy without touching distal: an entry point of the group ``distal.strategies`` whose name is
the strategy's and whose value is the module, function or class that the decorators below have registered. A script
passes such a function or class, or a function that nobody registered, to `distal.ActiveLearner`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from distal.errors import ConfigError, nearest_name
from distal.plugins import known_names, load_plugin

NEEDS = frozenset({"probs", "embeddings", "gradients", "realism"})
ENTRY_POINTS = "distal.strategies"

Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class Strategy:
    """Name one way to choose rows.

    needs: a subset of NEEDS; the shard keeps these and nothing else. ``gradients`` stands for the factors of the
    last layer's gradient, which are probs and embeddings. Raises ConfigError for another.
    kind: ``score``: `make` is a function from View to a float tensor [n], higher is asked first.
    ``batch``: `make` is a class without arguments that is a `distal.query.batch.Batch`.
    """

    name: str
    needs: frozenset[str]
    kind: Literal["score", "batch"]
    make: Callable[..., Any]

    def __post_init__(self) -> None:
        for need in sorted(self.needs - NEEDS):
            hint = nearest_name(need, NEEDS)
            raise ConfigError(
                f"strategy '{self.name}': unknown need '{need}'{'; ' + hint if hint else '.'}\n"
                f"Known: {', '.join(sorted(NEEDS))}."
            )

    @property
    def tensors(self) -> frozenset[str]:
        """Return the fields of View to fill: a subset of probs, embeddings, realism."""
        factors = {"probs", "embeddings"} if "gradients" in self.needs else set()
        return (self.needs - {"gradients"}) | factors


STRATEGIES: dict[str, Strategy] = {}


def _register(strategy: Strategy) -> None:
    taken = STRATEGIES.get(strategy.name)
    if taken is not None and _place(taken.make) != _place(strategy.make):
        raise ConfigError(f"strategy '{strategy.name}' is registered already, by {'.'.join(_place(taken.make))}")
    STRATEGIES[strategy.name] = strategy


def _place(make: Callable[..., Any]) -> tuple[str, str]:
    return make.__module__, make.__qualname__


def _decorator(name: str, needs: Iterable[str], kind: Literal["score", "batch"]) -> Callable[[Made], Made]:
    def register(make: Made) -> Made:
        _register(Strategy(name, frozenset([needs] if isinstance(needs, str) else needs), kind, make))
        return make

    return register


def score_strategy(name: str, needs: Iterable[str] = ()) -> Callable[[Made], Made]:
    """Register a function from View to a float tensor [n], higher = ask first.

    Raises ConfigError where the name is taken or a need is unknown.
    """

    return _decorator(name, needs, "score")


def batch_strategy(name: str, needs: Iterable[str] = ()) -> Callable[[Made], Made]:
    """Register a class that chooses rows one after another (`distal.query.batch.Batch`).

    Raises ConfigError where the name is taken or a need is unknown.
    """

    return _decorator(name, needs, "batch")


def strategy_names() -> list[str]:
    """Return every known name, those of installed entry points included, sorted."""
    return known_names(ENTRY_POINTS, STRATEGIES)


def get_strategy(name: str) -> Strategy:
    """Return the strategy of this name; raise ConfigError with the known names and the nearest where there is none."""
    if name not in STRATEGIES:
        load_plugin(ENTRY_POINTS, name)  # importing it registers it
    if name not in STRATEGIES:
        known = strategy_names()
        hint = nearest_name(name, known)
        raise ConfigError(f"unknown strategy '{name}'" + (f"; {hint}" if hint else "") + f"\nKnown: {', '.join(known)}")
    return STRATEGIES[name]


def as_strategy(given: Strategy | Callable[..., Any]) -> Strategy:
    """Return the strategy that a script gave: one as it is, a registered function or class, or any other function.

    A function that is not registered is a score strategy of its own name that needs all that a shard can compute.

    Raises:
        ConfigError: it is none of these, or a function whose name another strategy has.
    """
    if isinstance(given, Strategy):
        return given
    for strategy in STRATEGIES.values():
        if strategy.make is given:
            return strategy
    name = getattr(given, "__name__", "")
    if isinstance(given, type) or not callable(given) or not name.isidentifier():
        raise ConfigError(
            f"strategy: '{name or type(given).__name__}' is no function with a name of its own.\n"
            "Give a function from a view of a shard to one float a row, or what score_strategy or batch_strategy has\n"
            "registered: score_strategy('mine', needs=['probs'])(function). A name alone goes into query.strategy."
        )
    if name in strategy_names():
        raise ConfigError(
            f"strategy: the function {name}() has the name of another strategy.\n"
            "Rename it, or register it under a name of its own: @distal.score_strategy('mine', needs=['probs'])."
        )
    return Strategy(name, NEEDS, "score", given)
