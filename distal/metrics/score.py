"""Name a score completely: its value, by which extractor, on how many images, and what to beware of."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """State one measured quality of a generator or of its classifier head.

    name: for example ``fid`` or ``agreement``. value: None where it cannot be computed; `note` then says why.
    extractor, hash: whose features, and the SHA-256 of its weights; two distances are comparable only when the hashes
    agree. Of the head's accuracy: ``head``, and the hash of the held-out rows and labels that it is measured on.
    samples: generated images (of the accuracy: classified images). reference_samples: held-out images compared with.
    class_name: the class that the score is about, or None for all. error: the standard error of the value over other
    samples of as many images, None where it is not known.
    """

    name: str
    value: float | None
    extractor: str
    hash: str
    samples: int
    reference_samples: int
    class_name: str | None = None
    note: str | None = None
    error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of metrics.json; the class is under the key ``class``."""
        return {
            "name": self.name,
            "value": self.value,
            "extractor": self.extractor,
            "hash": self.hash,
            "samples": self.samples,
            "reference_samples": self.reference_samples,
            "class": self.class_name,
            "note": self.note,
            "error": self.error,
        }
