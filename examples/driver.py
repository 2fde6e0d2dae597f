"""Drive active learning from a script against a running Ray cluster, with a function of one's own as the oracle.

    ray start --head
    python examples/driver.py

Here the function looks the answer up in scikit-learn's digits, as a person would look at the image; put a question to
people, a measurement or another model in its place.
"""

import numpy as np
from sklearn.datasets import load_digits

from distal import ActiveLearner
from distal.oracle import Item

digits = load_digits()
SCANS = digits.images.astype(np.uint8)
KNOWN = {scan.tobytes(): int(label) for scan, label in zip(SCANS, digits.target, strict=True)}


def look_at(item: Item) -> int:
    """Return the class of one image; it runs here, in this process, whichever node trains."""
    grey = np.rint(item.image / 255 * 16).astype(np.uint8)
    return KNOWN[grey.tobytes()]


learner = ActiveLearner(
    {"name": "driver", "rounds": 3, "query": {"strategy": "badge", "batch": 10}, "train": {"steps": 200}},
    oracle=look_at,
    address="auto",
)
for result in learner.rounds():
    print(f"round {result.round}: {result.metrics['labels']} labels, distance {result.distance:.1f}")

threes = learner.generate([3] * 16, seed=1)
if learner.outcome_ is not None:
    print(f"{learner.outcome_.message}; generated {threes.shape} images of a 3")
