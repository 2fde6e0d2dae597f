"""What learns: models by name behind one protocol, so that rounds, checkpoints and scores know none of them.

gan    gan/    a conditional GAN with a classifier head, semi-supervised

A new model is a class that fits `Model`, with one entry here, or in the entry points `distal.models` of a package.
"""

from typing import Any

from distal.errors import ConfigError, nearest_name
from distal.models.gan import GAN
from distal.models.protocol import Model, Scorer
from distal.nets.weights import header_of
from distal.plugins import known_names, load_plugin

__all__ = ["ENTRY_POINTS", "GAN", "MODELS", "Model", "Scorer", "get_model", "read_scorer"]

ENTRY_POINTS = "distal.models"

MODELS: dict[str, type[Model]] = {"gan": GAN}


def get_model(kind: str) -> type[Model]:
    """Return the model of this name. ConfigError with the known names where there is none."""
    if kind not in MODELS:
        added: Any = load_plugin(ENTRY_POINTS, kind)
        if added is not None:
            MODELS[kind] = added
    if kind not in MODELS:
        known = known_names(ENTRY_POINTS, MODELS)
        hint = nearest_name(kind, known)
        raise ConfigError(
            f"model.kind: unknown model '{kind}'{'; ' + hint if hint else '.'}\nKnown: {', '.join(known)}."
        )
    return MODELS[kind]


def read_scorer(data: bytes, device: Any = "cpu", gains: bool | None = None) -> Scorer:
    """Rebuild a scorer from its `to_bytes`, whose header says whose it is; see `Model.read_scorer`."""
    return get_model(header_of(data)["model"]).read_scorer(data, device, gains)
