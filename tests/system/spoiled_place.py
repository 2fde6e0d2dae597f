"""The place that bad input is tried in: good images, an extractor, a finished run to damage, a folder of its own."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from small_pools import QUICK, write_pool


@dataclass(frozen=True)
class Place:
    """Hold what the cases start from: good images, an extractor, and a folder of their own."""

    folder: Path
    pool: Path
    held_out: Path
    extractor: Path
    decoded: Path
    finished: Path

    @property
    def storage(self) -> Path:
        return self.folder / "runs"

    def settings(self, *overrides: str) -> list[str]:
        """Return the settings of a run that would succeed, then the overrides that spoil it."""
        good = (f"storage={self.storage}", "name=bad", f"pool.path={self.pool}", f"pool.cache={self.decoded}")
        held_out = (f"evaluate.path={self.held_out}", f"evaluate.extractor_path={self.extractor}")
        return [*good, *held_out, *QUICK, *overrides]

    def run(self, *overrides: str) -> list[str]:
        return ["run", *self.settings(*overrides)]

    def copied(self) -> Path:
        """Return the folder of a finished run, a copy that may be damaged."""
        return self._copy("finished")

    def _copy(self, name: str) -> Path:
        target = self.storage / name
        if not target.exists():
            shutil.copytree(self.finished, target)
        return target

    def file(self, name: str, content: bytes = b"") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def to(self, command: str, run: Path, *rest: str) -> list[str]:
        return [command, str(run), *rest]

    def as_pool(self, encoded: list[bytes], labels: object = None) -> str:
        return f"pool.path={self.pool_of(encoded, labels)}"

    def as_table(self, **columns: object) -> str:
        return f"pool.path={self.table(**columns)}"

    def pool_of(self, encoded: list[bytes], labels: object = None, name: str = "other.parquet") -> Path:
        return write_pool(self.folder / name, encoded, labels)

    def table(self, **columns: object) -> Path:
        path = self.folder / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    def damaged(self, path: str, content: bytes) -> Path:
        """Return the copied run with one file replaced."""
        run = self.copied()
        (run / path).parent.mkdir(exist_ok=True)
        (run / path).write_bytes(content)
        return run
