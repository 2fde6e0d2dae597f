"""Describe what a sweep searches: one range or choice for each dotted key, some of them only where another was chosen.

A point is a plain mapping from dotted keys to values. It is drawn here, from a named stream, so that the same sweep
asks for the same points whatever runs when.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import yaml

from distal.errors import ConfigError, nearest_name
from distal.streams import stream

Point = dict[str, Any]
RangeKind = Literal["uniform", "loguniform", "quniform", "randint"]
RANGES = ("uniform", "loguniform", "quniform", "randint")
KINDS = ("choice", "grid", *RANGES)
LATE = {"query.strategy": 2}
"""The round from which on a key can make a difference, where that is not the first, which query.cold_start chooses."""


@dataclass(frozen=True)
class Condition:
    """Let a dimension exist only where the key `key` has one of `values`."""

    key: str
    values: tuple[Any, ...]

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Say whether the point, whose `key` is settled, has one of the values."""
        return self.key in point and point[self.key] in self.values


@dataclass(frozen=True)
class Choice:
    """Search among values: each draw is one of them; with `every`, all are tried."""

    key: str
    values: tuple[Any, ...]
    every: bool
    when: Condition | None = None

    def draw(self, uniform: float) -> Any:
        """Return the value that a number in [0, 1) stands for."""
        return self.values[int(uniform * len(self.values))]


@dataclass(frozen=True)
class Range:
    """Search between `low` and `high`: evenly, evenly in the logarithm, in steps of `step`, or whole numbers.

    quniform includes both ends where they are multiples of the step; randint is whole numbers in [low, high).
    """

    key: str
    kind: RangeKind
    low: float
    high: float
    step: float = 1.0
    when: Condition | None = None

    def draw(self, uniform: float) -> float | int:
        """Return the value that a number in [0, 1) stands for."""
        if self.kind == "loguniform":
            return float(math.exp(math.log(self.low) + uniform * (math.log(self.high) - math.log(self.low))))
        if self.kind == "randint":
            return int(self.low) + int(uniform * (int(self.high) - int(self.low)))
        value = self.low + uniform * (self.high - self.low)
        return self.clip(value) if self.kind == "quniform" else value

    def clip(self, value: float) -> float | int:
        """Return the nearest value that the range holds."""
        if self.kind == "randint":
            return int(min(max(round(value), self.low), self.high - 1))
        value = min(max(float(value), self.low), self.high)
        if self.kind != "quniform":
            return value
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        rounded = min(max(round(value / self.step), first), last) * self.step
        return int(rounded) if float(self.step).is_integer() else float(f"{rounded:.12g}")


Dimension = Choice | Range


@dataclass(frozen=True)
class Space:
    """Hold the dimensions in an order in which each condition comes after the key that it asks about."""

    dimensions: tuple[Dimension, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the searched keys."""
        return tuple(dimension.key for dimension in self.dimensions)

    @property
    def tells_from(self) -> int:
        """Return the round from which on every searched key can make a difference."""
        return max((LATE.get(key, 1) for key in self.keys), default=1)

    @property
    def has_ranges(self) -> bool:
        """Say whether some dimension is a range of numbers."""
        return any(isinstance(dimension, Range) for dimension in self.dimensions)

    def grid(self) -> list[Point]:
        """Return every combination of the values of `grid` and `choice`; ranges are refused."""
        choices = [dimension for dimension in self.dimensions if isinstance(dimension, Choice)]
        return list(self._combinations(choices, {}))

    def draw(self, seed: int, count: int) -> list[Point]:
        """Draw `count` different points for each combination of the `grid` keys; fewer where the space holds fewer."""
        grids = [dimension for dimension in self.dimensions if isinstance(dimension, Choice) and dimension.every]
        points: dict[str, Point] = {}
        for number, fixed in enumerate(self._combinations(grids, {})):
            found: dict[str, Point] = {}
            for attempt in range(50 * count):
                point = self._complete(fixed, stream(seed, "sweep", number, attempt))
                found.setdefault(point_id(point), point)
                if len(found) == count:
                    break
            points |= found
        return list(points.values())

    def _combinations(self, choices: list[Choice], point: Point) -> Iterator[Point]:
        if not choices:
            yield dict(point)
            return
        first, *rest = choices
        if first.when is not None and not first.when.holds(point):
            yield from self._combinations(rest, point)
            return
        for value in first.values:
            yield from self._combinations(rest, {**point, first.key: value})

    def _complete(self, fixed: Point, random: np.random.Generator) -> Point:
        point: Point = {}
        for dimension in self.dimensions:
            uniform = float(random.random())  # drawn for every dimension, so that a condition shifts no other draw
            if dimension.when is None or dimension.when.holds(point):
                point[dimension.key] = fixed[dimension.key] if dimension.key in fixed else dimension.draw(uniform)
        return point


def parse_space(tree: Mapping[str, Any]) -> Space:
    """Read a mapping such as ``{"model.learning_rate_g": {"loguniform": [1e-4, 1e-3]}}``.

    A plain list stands for ``choice``. ``when: {key: value or list}`` makes a dimension depend on another.

    Raises:
        ConfigError: naming the key, what was given and what is allowed.
    """
    if not tree:
        raise ConfigError(
            "space: nothing is searched.\nName at least one key, such as query.strategy: [margin, badge]."
        )
    dimensions = {str(key): _dimension(str(key), entry) for key, entry in tree.items()}
    ordered: dict[str, Dimension] = {}
    waiting = dict(dimensions)
    while waiting:
        ready = [key for key, dimension in waiting.items() if dimension.when is None or dimension.when.key in ordered]
        if not ready:
            key, dimension = next(iter(waiting.items()))
            assert dimension.when is not None
            raise ConfigError(
                f"space.{key}.when: '{dimension.when.key}' is not searched, or depends on '{key}' itself.\n"
                f"Searched: {', '.join(dimensions)}."
            )
        ordered.update((key, waiting.pop(key)) for key in ready)
    for dimension in ordered.values():
        _check_condition(dimension, ordered)
    return Space(tuple(ordered.values()))


def point_id(point: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that are a function of the point alone."""
    text = json.dumps(point, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def describe_point(point: Mapping[str, Any]) -> str:
    """Return a point in a few words: the last part of each key, short where that is clear, and its value."""
    return ", ".join(f"{name} {_short(point[key])}" for key, name in short_keys(point).items())


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return for each dotted key its last part, or the whole key where two end alike.

    >>> short_keys(["model.learning_rate_g", "query.batch"])
    {'model.learning_rate_g': 'learning_rate_g', 'query.batch': 'batch'}
    """
    keys = list(keys)
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    # One line of YAML, as the value stands in a configuration: true, null, [flip, cutout].
    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10_000).strip()[1:-1]


def _dimension(key: str, entry: Any) -> Dimension:
    if isinstance(entry, list):
        entry = {"choice": entry}
    if not isinstance(entry, Mapping):
        raise ConfigError(f"space.{key}: expected {{kind: values}}, given: {entry!r:.80}\nKinds: {', '.join(KINDS)}.")
    kinds = [name for name in entry if name != "when"]
    if len(kinds) != 1 or kinds[0] not in KINDS:
        unknown = next((name for name in kinds if name not in KINDS), "")
        hint = f"; {nearest_name(str(unknown), KINDS)}" if unknown and nearest_name(str(unknown), KINDS) else ""
        raise ConfigError(
            f"space.{key}: expected one kind of values, given: {', '.join(map(str, kinds)) or 'none'}{hint}\n"
            f"Kinds: {', '.join(KINDS)}; beside it only 'when'."
        )
    kind, when = kinds[0], _condition(key, entry.get("when"))
    if kind in ("choice", "grid"):
        return Choice(key, _values(key, kind, entry[kind]), kind == "grid", when)
    return _range(key, kind, entry[kind], when)


def _values(key: str, kind: str, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list) or not given:
        raise ConfigError(f"space.{key}.{kind}: expected a list of at least one value, given: {given!r:.80}")
    if any(value in given[:i] for i, value in enumerate(given)):
        raise ConfigError(f"space.{key}.{kind}: a value stands there twice: {given!r:.80}\nGive each value once.")
    return tuple(given)


def _range(key: str, kind: Any, given: Any, when: Condition | None) -> Range:
    length = 3 if kind == "quniform" else 2
    form = "[low, high, step]" if kind == "quniform" else "[low, high]"
    numeric = isinstance(given, list) and all(type(v) in (int, float) and math.isfinite(v) for v in given)
    if not numeric or len(given) != length:
        raise ConfigError(
            f"space.{key}.{kind}: expected {form} in numbers, given: {given!r:.80}\n"
            "YAML reads 1e-3 as text: write 1.0e-3 or 0.001."
        )
    low, high, *step = given
    if low >= high or (kind == "loguniform" and low <= 0) or (step and step[0] <= 0):
        above = "0 < low < high" if kind == "loguniform" else "low < high" + (" and step > 0" if step else "")
        raise ConfigError(f"space.{key}.{kind}: expected {above}, given: {given}")
    if kind == "randint" and any(type(v) is not int for v in given):
        raise ConfigError(f"space.{key}.randint: expected whole numbers, given: {given}\nhigh itself is not drawn.")
    return Range(key, kind, low, high, step[0] if step else 1.0, when)


def _condition(key: str, given: Any) -> Condition | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ConfigError(f"space.{key}.when: expected one key and its values, given: {given!r:.80}")
    ((other, values),) = given.items()
    return Condition(str(other), tuple(values) if isinstance(values, list) else (values,))


def _check_condition(dimension: Dimension, dimensions: Mapping[str, Dimension]) -> None:
    if dimension.when is None:
        return
    other = dimensions[dimension.when.key]
    if not isinstance(other, Choice):
        raise ConfigError(f"space.{dimension.key}.when: '{other.key}' is a range; a condition asks about a choice.")
    missing = [value for value in dimension.when.values if value not in other.values]
    if missing or not dimension.when.values:
        raise ConfigError(
            f"space.{dimension.key}.when: '{other.key}' is never {missing[0] if missing else 'nothing'}.\n"
            f"Its values: {', '.join(map(str, other.values))}."
        )
