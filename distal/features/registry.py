"""List the feature networks by name; what follows a name's colon, as in efficientnet_lite0:224, goes to the builder."""

from functools import partial

from distal.errors import ConfigError
from distal.features.autoencoder import build_autoencoder
from distal.features.efficientnet import build_efficientnet, build_scales
from distal.features.inception import build_inception, check_path
from distal.features.network import FeatureBuilder
from distal.features.pixels import build_pixels
from distal.features.timm_networks import build_timm, check_timm
from distal.features.torchscript import build_torchscript, check_torchscript
from distal.registry import Registry

SMALLEST_PHOTOGRAPH = 16  # px; below it the pixels say it all, and no network trained on photographs sees more


class FeatureRegistry(Registry[FeatureBuilder]):
    """Map names to builders; an entry whose name ends in a colon takes an argument: builder(request, argument)."""

    def find(self, name: str, key: str | None = None) -> FeatureBuilder:
        """Return the builder of this name, its argument given. ConfigError as in `Registry.find`, or without one."""
        base, colon, argument = name.partition(":")
        builder = super().find(base + colon, key)
        if not colon:
            return builder
        if not argument:
            raise ConfigError(f"{key or self.key}: '{name}' needs what follows the colon.\nGive it, as in {name}...")
        return partial(builder, argument=argument)


FEATURES = FeatureRegistry(
    "evaluate.extractor",
    "feature network",
    "distal.extractors",
    {
        "autoencoder": build_autoencoder,
        "efficientnet_lite0": build_efficientnet,
        "efficientnet_lite0:": build_efficientnet,
        "efficientnet_lite0_scales": build_scales,
        "efficientnet_lite0_scales:": build_scales,
        "inception": build_inception,
        "pixels": build_pixels,
        "timm:": build_timm,
        "torchscript:": build_torchscript,
    },
)


def network_name(configured: str, image_size: int) -> str:
    """Return features.network, where auto becomes the network for a pool of images of this side."""
    if configured != "auto":
        return configured
    return "pixels" if image_size < SMALLEST_PHOTOGRAPH else "efficientnet_lite0_scales"


def check_network(name: str, path: str | None, key: str | None = None) -> None:
    """Refuse at the start what the registry or a builder would refuse once the run is under way.

    path: evaluate.extractor_path. Raises ConfigError for an unknown name, a missing path or package, EvaluationError
    for a local file that cannot be one.
    """
    FEATURES.find(name, key)
    kind, _, argument = name.partition(":")
    if kind == "inception":
        check_path(path)
    elif kind == "torchscript":
        check_torchscript(argument)
    elif kind == "timm":
        check_timm(name)
