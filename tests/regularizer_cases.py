"""Names of all regularizers, for the tests that hold each of them to the same claim."""

from distal.losses.regularizers import REGULARIZERS

ALL = tuple(REGULARIZERS)
