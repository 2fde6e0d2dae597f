"""Hold the models by name; what is made of other models looks for them here."""

from distal.config import Config
from distal.models.autoencoder import Autoencoder
from distal.models.gan import GAN
from distal.models.protocol import Bare, Model, Scorer, Weighable
from distal.models.several import Several
from distal.models.vae import VAE
from distal.nets.weights import header_of
from distal.registry import Registry

MODELS: Registry[type[Model]] = Registry(
    "model.kind",
    "model",
    "distal.models",
    {"gan": GAN, "gman": Several, "vae": VAE, "autoencoder": Autoencoder},
)


def read_scorer(data: bytes, device: object = "cpu", gains: bool | None = None) -> Scorer:
    """Rebuild a scorer from its `to_bytes`, whose header says whose it is; see `Model.read_scorer`."""
    return MODELS.find(header_of(data)["model"]).read_scorer(data, device, gains)  # type: ignore[arg-type]


def bare_model(config: Config, image_size: int, channels: int, classes: int) -> Bare | None:
    """Return the networks of the configured model without weights; None where its kind does not show them."""
    kind = MODELS.find(config.model.kind)
    return kind.bare(config, image_size, channels, classes) if issubclass(kind, Weighable) else None
