"""Grow a generator of cracks from a script, with a person at the keyboard as the oracle: the script of README.md."""

from PIL import Image

import distal


def label(item: distal.Item) -> str | None:
    """Ask at the keyboard: a class name or its number, or nothing to decline."""
    Image.fromarray(item.image).show()  # uint8 [H, W] or [H, W, 3]; item.row_id and item.path say which it is
    return input("good or crack? ") or None


learner = distal.ActiveLearner(
    {
        "name": "scans",
        "pool": {"path": "scans.parquet", "classes": ["good", "crack"]},
        "query": {"batch": 20},
        "rounds": 10,
    },
    oracle=label,
    listen=distal.show_progress,
)
for result in learner.rounds():
    print(result.round, result.metrics["labels"], result.distance)
images = learner.generate(["crack"] * 100)  # uint8 [100, C, H, W]
