"""Images and rows: open a pool, decode it once, split it, import one, describe one."""

from distal.data.chunks import Skipped
from distal.data.describe import PoolDescription, describe
from distal.data.importers import IMPORT_KINDS, ImportSummary, import_images
from distal.data.split import held_out
from distal.data.table import ImageTable, open_images

__all__ = [
    "IMPORT_KINDS",
    "ImageTable",
    "ImportSummary",
    "PoolDescription",
    "Skipped",
    "describe",
    "held_out",
    "import_images",
    "open_images",
]
