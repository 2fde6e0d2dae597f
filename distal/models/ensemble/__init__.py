"""Several models as one: the members in `model`, whom they learn from in `rows`, what they say together in `scorer`."""

from distal.models.ensemble.model import Ensemble
from distal.models.ensemble.section import EnsembleConfig

__all__ = ["Ensemble", "EnsembleConfig"]
