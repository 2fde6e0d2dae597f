"""Keep where a sample of the pool, the rows that were asked and those that were given lie in the plane, for people."""

import hashlib
import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from distal.communicator import Alone
from distal.errors import StorageError
from distal.features.plane import laid_out, placed, sampled
from distal.nets.threads import one_thread
from distal.run.artefacts import Folder, cached
from distal.run.directory import RunDirectory
from distal.run.map import PoolMap, read_map, write_map

logger = logging.getLogger(__name__)

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class MapOfPool:
    """Draw map.parquet once in a run, and add to it what is asked.

    cache: of this machine; runs that share a pool and its features share what takes time. project: row ids [m] to
    projected features float32 [m, d].
    """

    def __init__(self, run: RunDirectory, cache: Folder, project: Callable[[Ids], torch.Tensor]) -> None:
        self._run, self._cache, self._project = run, cache, project
        self._points: Floats | None = None

    def draw(self, rows: Ids, more: Ids) -> None:
        """Keep where a sample of these rows of the pool lies, and with it more rows.

        A map that is damaged is drawn again.
        """
        base = sampled(rows)
        if not len(base):
            return
        with one_thread():  # the bits of a product depend on the threads, and places on the bits
            if self._points is None:
                self._points = self._project(base).numpy()
            points, kept = self._points, self._read(base)
            drawn = kept or PoolMap(base, self._lay_out(points), np.ones(len(base), dtype=np.bool_))
            more = np.setdiff1d(more, drawn.row_ids)
            if kept is None or len(more):
                places = placed(self._project(more).numpy(), points, drawn.places[drawn.sample])
                write_map(self._run, drawn.with_rows(more, places))

    def _read(self, base: Ids) -> PoolMap | None:
        try:
            drawn = read_map(self._run)
        except StorageError as error:
            logger.warning("the map of the pool is drawn again: %s", error)
            return None
        return drawn if drawn is not None and np.array_equal(drawn.row_ids[drawn.sample], base) else None

    def _lay_out(self, points: Floats) -> Floats:
        name = hashlib.sha256(points.tobytes()).hexdigest()[:32]
        data = cached(self._cache, f"maps/{name}.f32", Alone(), lambda: laid_out(points).tobytes())
        return np.frombuffer(data, dtype=np.float32).reshape(len(points), 2)
