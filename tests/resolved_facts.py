"""What a run's config.yaml keeps under `resolved`, for tests that write one without images."""

from typing import Any

RESOLVED: dict[str, Any] = {
    "distal": "0.1.0",
    "fingerprint": "a",
    "reference_fingerprint": "a",
    "rows": 1797,
    "image_size": 8,
    "channels": 1,
    "classes": ["cat", "dog"],
}
