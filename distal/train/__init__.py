"""What every model shares in training: rows, batches, augmentation, averages, optimizers, checkpoints, the loop."""

from distal.train.round import Trainable, train_round
from distal.train.rows import TrainingRows

__all__ = ["Trainable", "TrainingRows", "train_round"]
