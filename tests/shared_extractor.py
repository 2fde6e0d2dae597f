"""What a test process trains once for all its runs: the network by which the digits are judged."""

import tempfile
from pathlib import Path

from distal.config import EVALUATION_CACHE


def share_extractor(storage: Path) -> None:
    """Let the storages of this test process share the extractor and its features, which take seconds to make.

    A file system of its own keeps its own: that of a test that fills it.
    """
    place, shared = storage / EVALUATION_CACHE, Path(tempfile.gettempdir()) / EVALUATION_CACHE
    if not storage.is_mount() and not place.is_symlink() and not place.exists():
        shared.mkdir(exist_ok=True)
        storage.mkdir(parents=True, exist_ok=True)
        place.symlink_to(shared)
