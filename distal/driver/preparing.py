"""Prepare a pool for all runs that will share it: decode and embed what is missing, here or on a cluster."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from distal.config import Config
from distal.data.encryption import warn_of_copies
from distal.data.prepared import PreparedFolder
from distal.data.split import holdout_fraction
from distal.data.table import ImageTable, open_images
from distal.driver.resources import choose_shards
from distal.errors import ConfigError, UntrainedError
from distal.features.network import FeatureNetwork
from distal.places import absolute, with_absolute_places
from distal.pool.preparing import Made, Preparing, Stretch
from distal.pool.sight import Frozen
from distal.run.artefacts import Folder

OUT = "--out"


@dataclass(frozen=True)
class Wanted:
    """Say what is to be made of a pool, and where it goes; travels to whoever makes it.

    network: None for pixels alone. verify: read what is there, and make what is damaged anew. mark: of the folder, by
    which a node knows that it sees the same.
    """

    images: ImageTable
    network: Frozen | None
    out: str
    verify: bool
    mark: bytes = b""

    def on(self, device: torch.device) -> Preparing:
        """Open it where it is made.

        Raises:
            ConfigError: the network learns from the pool in a run, or cannot be had. StorageError: the folder is not
                the one that the driver holds.
        """
        folder = PreparedFolder(self.out, OUT)
        folder.require(self.mark)
        return Preparing(self.images, self.made(device), folder, device, self.verify)

    def made(self, device: torch.device) -> FeatureNetwork | None:
        """Make the network on a device."""
        try:
            return None if self.network is None else self.network(device)
        except UntrainedError:
            assert self.network is not None
            raise ConfigError(
                f"features.network: {self.network.name} learns from the pool in a run, so its features cannot be made "
                "before one.\nPrepare the pixels alone with classifier=head, or take another feature network."
            ) from None


@dataclass(frozen=True)
class Prepared:
    """State what lies prepared now: of which rows, in how many files written now, how many cannot be decoded of these.

    place: for people. features: the network's name, None for pixels alone. seconds: of this call.
    """

    rows: int
    image_size: int
    channels: int
    features: str | None
    place: str
    files: int
    skipped: int
    seconds: float

    def __str__(self) -> str:
        kind = "grey" if self.channels == 1 else "colour"
        seen = f", and their features by {self.features}" if self.features else ""
        made = f"{self.files:,} files made in {self.seconds:,.0f} s" if self.files else "nothing was missing"
        lost = f"; {self.skipped:,} images of these cannot be decoded" if self.skipped else ""
        return (
            f"{self.rows:,} rows at {self.image_size} x {self.image_size}, {kind}{seen}, lie in {self.place}\n"
            f"{made}{lost}\nRuns fetch them with pool.prepared={self.place}"
        )


def prepare_pool(
    config: Config, out: str, verify: bool = False, tell: Callable[[int, int], None] = lambda done, total: None
) -> Prepared:
    """Decode a pool, and embed it by `features.network` unless `classifier` is head, to `out`; what is there is kept.

    A small pool is prepared in this process; a large one, or one on a cluster (`address`), by Ray.

    Args:
        out: folder or URI. tell: hears how many of the rows that were missing are done, and how many there are.

    Raises:
        ConfigError, PoolError: the pool or the network cannot be prepared. StorageError: `out` cannot be written, or is
            not one folder for all nodes.
        RunLockedError: another process prepares there. ClusterError: the cluster cannot be joined.
    """
    config, began = with_absolute_places(config), time.monotonic()
    images = open_images(config.pool.model_copy(update={"prepared": None}))
    holdout = holdout_fraction(config.evaluate, images.first_rows)
    store = Folder(images.cache_folder)
    network = None if config.classifier == "head" else Frozen.of(config, images, holdout, store)
    wanted = Wanted(images, network, absolute(out), verify)
    if images.source.encrypted:
        warn_of_copies(wanted.out)
    files = skipped = done = 0
    folder = PreparedFolder(wanted.out, OUT)
    with folder.written():
        wanted = replace(wanted, mark=folder.mark())
        if choose_shards(config, images.rows):
            from distal.driver.preparing_tasks import prepare_on_cluster

            stretches, made = prepare_on_cluster(config, wanted)
        else:
            stretches, made = _prepare_here(wanted)
        total = sum(_rows(stretch, images) for stretch in stretches)
        tell(0, total)
        for each in made:
            files, skipped, done = files + each.files, skipped + each.skipped, done + each.rows
            tell(done, total)
    name = None if network is None else network.name
    seconds = time.monotonic() - began
    size, channels = images.image_size, images.channels
    return Prepared(images.rows, size, channels, name, folder.place, files, skipped, seconds)


def _prepare_here(wanted: Wanted) -> tuple[Sequence[Stretch], Iterator[Made]]:
    preparing = wanted.on(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    preparing.begin()
    stretches = preparing.missing()
    return stretches, map(preparing.make, stretches)


def _rows(stretch: Stretch, images: ImageTable) -> int:
    size = images.decoded.chunk_rows
    return min(stretch.last * size, images.rows) - stretch.first * size
