"""Ask for labels: who answers is a name.

dataset     dataset.py      the pool's hidden label column, with errors and costs
callable    callable.py     a Python function in the driver's process
files       files.py        people, with a folder of PNGs and a CSV

A third party adds one by an entry point of the group ``distal.oracles``: a function with the signature of `Builder`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distal.config import Config
from distal.errors import ConfigError, nearest_name
from distal.oracle.annotate import annotate, answered
from distal.oracle.callable import CallableOracle, Item, LabelFunction
from distal.oracle.classes import Classes
from distal.oracle.dataset import DatasetOracle
from distal.oracle.files import FilesOracle
from distal.oracle.protocol import Images, Oracle
from distal.plugins import known_names, load_plugin
from distal.run.directory import RunDirectory

ENTRY_POINTS = "distal.oracles"


@dataclass(frozen=True)
class Setting:
    """Everything that an oracle may be built from. function: the one given from Python, if any."""

    config: Config
    images: Images
    classes: Classes
    run: RunDirectory
    function: LabelFunction | None


Builder = Callable[[Setting], Oracle]


def _dataset(s: Setting) -> Oracle:
    return DatasetOracle(s.images, s.classes, s.config.oracle.noise, s.config.seed)


def _callable(s: Setting) -> Oracle:
    if s.function is None:
        raise ConfigError(
            "oracle.kind: 'callable' needs a function from Python: distal.ActiveLearner(config, oracle=function)\n"
            "from the command line set oracle.kind=dataset or oracle.kind=files"
        )
    return CallableOracle(s.function, s.images, s.classes, s.config.pool.max_pixels)


def _files(s: Setting) -> Oracle:
    return FilesOracle(s.run, s.images, s.classes, s.config.pool.max_pixels)


ORACLES: dict[str, Builder] = {"dataset": _dataset, "callable": _callable, "files": _files}


def oracle_names() -> list[str]:
    """Return every known name, those of installed entry points included, sorted."""
    return known_names(ENTRY_POINTS, ORACLES)


def get_oracle(name: str) -> Builder:
    """Return the builder of this name; raise ConfigError with the known names and the nearest where there is none."""
    if name in ORACLES:
        return ORACLES[name]
    builder: Builder | None = load_plugin(ENTRY_POINTS, name)
    if builder is not None:
        return builder
    known = oracle_names()
    hint = nearest_name(name, known)
    raise ConfigError(
        f"oracle.kind: unknown oracle '{name}'" + (f"; {hint}" if hint else "") + f"\nknown: {', '.join(known)}"
    )


def build_oracle(
    config: Config, images: Images, classes: Sequence[str], run: RunDirectory, function: LabelFunction | None = None
) -> Oracle:
    """Build the oracle that `config.oracle.kind` names.

    classes: class names in label order. Raises ConfigError for an unknown kind, and for settings that do not fit it.
    """
    kind = config.oracle.kind
    builder = get_oracle(kind)
    if function is not None and kind != "callable":
        raise ConfigError(f"oracle.kind: '{kind}' takes no function\nset oracle.kind=callable, or give no function")
    if config.oracle.noise > 0.0 and kind in ("callable", "files"):
        raise ConfigError(f"oracle.noise: oracle '{kind}' makes its own errors\nexpected: 0, or oracle.kind=dataset")
    return builder(Setting(config, images, Classes(classes, config.oracle.cost), run, function))


__all__ = [
    "ORACLES",
    "Builder",
    "CallableOracle",
    "Classes",
    "DatasetOracle",
    "FilesOracle",
    "Images",
    "Item",
    "LabelFunction",
    "Oracle",
    "Setting",
    "annotate",
    "answered",
    "build_oracle",
    "get_oracle",
    "oracle_names",
]
