"""Training: the rows of a step, the step, the state, the round."""

from distal.train.round import train_round
from distal.train.rows import TrainingRows
from distal.train.state import TrainState

__all__ = ["TrainState", "TrainingRows", "train_round"]
