"""Cut labeled rows into folds for cross-validation: each row is left out once, each fold has its part of a class."""

import numpy as np
import numpy.typing as npt

from distal.errors import ConfigError
from distal.streams import stream

Ints = npt.NDArray[np.int64]


def stratified(labels: Ints, folds: int, seed: int) -> Ints:
    """Return the fold of each label, int64 [n] in [0, folds): sizes differ by at most one, of each class as well.

    Raises:
        ConfigError: a fold would be empty, or would leave a single class to learn from.
    """
    order = np.lexsort((stream(seed, "folds").random(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    # Round and round the folds, without beginning anew at the next class: so the sizes are even over all classes.
    fold[order] = np.arange(len(labels)) % folds
    classes = [len(np.unique(labels[fold != f])) for f in range(folds)] if len(labels) >= folds else [0]
    if min(classes) < 2:
        raise ConfigError(
            f"--folds: {folds} folds cannot be made of {len(labels)} labels of {len(np.unique(labels))} classes;\n"
            "each takes a label, and the rest must have two classes. Label more, or lower --folds."
        )
    return fold
