"""Ask for labels: who answers is a name.

dataset     dataset.py      the pool's hidden label column, with errors and costs
callable    callable.py     a Python function in the driver's process
files       files.py        people, with a folder of PNGs and a CSV
label_studio label_studio.py people who work in Label Studio
told        told.py         whoever brings answers: a script that asks and tells, or a file that is imported
page        page.py         people, on a page in their browser, which `distal.label` serves

A third party adds one by an entry point of the group ``distal.oracles``: a `Builder`, a function or a class. Where it
has an attribute `section`, a subclass of `distal.config.OracleSection`, that is what stands under `oracle:`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distal.config import Config, DatasetConfig
from distal.errors import ConfigError
from distal.oracle.annotate import annotate, answered
from distal.oracle.asked import Asked
from distal.oracle.callable import CallableOracle, Item, LabelFunction
from distal.oracle.classes import Classes
from distal.oracle.dataset import DatasetOracle
from distal.oracle.files import FilesOracle
from distal.oracle.label_studio import LabelStudioConfig, LabelStudioOracle
from distal.oracle.page import PageConfig, PageOracle
from distal.oracle.protocol import Images, Oracle
from distal.oracle.told import ToldOracle
from distal.registry import Registry
from distal.run.directory import RunDirectory


@dataclass(frozen=True)
class OracleRequest:
    """Everything that an oracle may be built from. function: the one given from Python, if any."""

    config: Config
    images: Images
    classes: Classes
    run: RunDirectory
    function: LabelFunction | None


Builder = Callable[[OracleRequest], Oracle]


class _Dataset:
    """Build the dataset oracle; a class, so that it may say its section."""

    section = DatasetConfig

    def __call__(self, s: OracleRequest) -> Oracle:
        assert isinstance(s.config.oracle, DatasetConfig)
        if s.config.query.synthesize:
            raise ConfigError(
                "query.synthesize: oracle.kind=dataset reads a column of labels, and generated images are in none.\n"
                "Let people answer (oracle.kind=page, files, told or label_studio) or a function (callable)."
            )
        return DatasetOracle(s.images, s.classes, s.config.oracle.noise, s.config.seed)


def _callable(s: OracleRequest) -> Oracle:
    if s.function is None:
        raise ConfigError(
            "oracle.kind: 'callable' needs a function from Python: distal.ActiveLearner(config, oracle=function)\n"
            "from the command line set oracle.kind=dataset or oracle.kind=files"
        )
    return CallableOracle(s.function, s.images, s.classes, s.config.pool.max_pixels)


def _files(s: OracleRequest) -> Oracle:
    return FilesOracle(s.run, s.images, s.classes, s.config.pool.max_pixels)


class _LabelStudio:
    """Build the oracle that asks in Label Studio; a class, so that it may say its section."""

    section = LabelStudioConfig

    def __call__(self, s: OracleRequest) -> Oracle:
        assert isinstance(s.config.oracle, LabelStudioConfig)
        return LabelStudioOracle(s.run, s.images, s.classes, s.config.oracle, s.config.pool.max_pixels)


def _told(s: OracleRequest) -> Oracle:
    return ToldOracle(s.run.uri)


class _Page:
    """Build the page's oracle; a class, so that it may say its section."""

    section = PageConfig

    def __call__(self, s: OracleRequest) -> Oracle:
        assert isinstance(s.config.oracle, PageConfig)
        return PageOracle(s.run, s.classes, s.config.oracle.wait_s)


ORACLES: Registry[Builder] = Registry(
    "oracle.kind",
    "oracle",
    "distal.oracles",
    {
        "dataset": _Dataset(),
        "callable": _callable,
        "files": _files,
        "label_studio": _LabelStudio(),
        "page": _Page(),
        "told": _told,
    },
)


def build_oracle(
    config: Config, images: Images, classes: Sequence[str], run: RunDirectory, function: LabelFunction | None = None
) -> Oracle:
    """Build the oracle that `config.oracle.kind` names.

    classes: class names in label order. Raises ConfigError for an unknown kind, and for settings that do not fit it.
    """
    kind = config.oracle.kind
    builder = ORACLES.find(kind)
    if function is not None and kind != "callable":
        raise ConfigError(f"oracle.kind: '{kind}' takes no function\nset oracle.kind=callable, or give no function")
    return builder(OracleRequest(config, images, Classes(classes, config.oracle.cost), run, function))


__all__ = [
    "ORACLES",
    "Asked",
    "Builder",
    "CallableOracle",
    "Classes",
    "DatasetOracle",
    "FilesOracle",
    "Images",
    "Item",
    "LabelFunction",
    "LabelStudioOracle",
    "Oracle",
    "OracleRequest",
    "PageConfig",
    "PageOracle",
    "ToldOracle",
    "annotate",
    "answered",
    "build_oracle",
]
