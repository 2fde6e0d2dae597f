"""The feature network ``autoencoder``: trained once on the pool's own images, for images unlike photographs.

Its encoder squeezes an image into 64 numbers from which its decoder draws it again; these numbers are the features. No
label and no seed of a run enters it, so all runs over one pool share one network, kept in the storage.
"""

import logging
from functools import partial

from torch import Tensor, nn

from distal.errors import ConfigError, UntrainedError
from distal.features.autoencoder_training import RECIPE, sampled, to_side, train
from distal.features.network import FeatureNetwork, FeatureRequest, PoolSample, hash_of
from distal.nets.weights import initialised, pack, unpack
from distal.run.artefacts import cached

WIDTH = 64
LARGEST_SIDE = 32  # px: larger images are shrunk, which bounds the time of training
CHANNELS = (32, 64, 64)  # of the stages, the last for all that follow
logger = logging.getLogger(__name__)


class Autoencoder(nn.Module):
    """Map images float32 [n, C, S, S] in [-1, 1] to codes [n, 64], and these to images; an image stands alone.

    Strided stages halve the side down to 4; the decoder mirrors them. S is a power of two from 8 on.
    """

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        widths = [CHANNELS[min(i, len(CHANNELS) - 1)] for i in range((side // 4).bit_length() - 1)]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for inputs, outputs in zip([channels, *widths], widths, strict=False):
            down += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(8, outputs), nn.ReLU()]
        for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], CHANNELS[0]], strict=True):
            up += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs, 3, 1, 1),
                nn.GroupNorm(8, outputs),
                nn.ReLU(),
            ]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(widths[-1] * 16, WIDTH))
        self.decoder = nn.Sequential(
            *(nn.Linear(WIDTH, widths[-1] * 16), nn.ReLU(), nn.Unflatten(1, (widths[-1], 4, 4))),
            *(*up, nn.Conv2d(CHANNELS[0], channels, 3, 1, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the images drawn again from their codes."""
        drawn: Tensor = self.decoder(self.encoder(images))
        return drawn


def build_autoencoder(request: FeatureRequest) -> FeatureNetwork:
    """Load this pool's network from the store, or train it on rank 0 and keep it.

    Raises ConfigError without a pool, UntrainedError where the store has none and the pool's pixels are not here.
    """
    pool = request.pool
    if pool is None:
        raise ConfigError(
            "autoencoder is trained on the pool's images, and here there is no pool.\nTake another feature network."
        )
    side = min(request.image_size, LARGEST_SIDE)
    network = initialised(partial(Autoencoder, side, request.channels), 0, "autoencoder", RECIPE)
    device = request.comm.device
    path = f"features/autoencoder-{hash_of(f'{RECIPE} {network} {pool.key} {request.image_size}')[:32]}.safetensors"

    def make() -> bytes:
        if pool.rows is None:
            raise UntrainedError(
                f"features.network: the autoencoder of this pool is not at {path} in the run's storage.\n"
                "The driver trains it there before it is needed; the shards must reach the same storage."
            )
        rows = sampled(pool.row_ids)
        logger.info("autoencoder: training on %d of the pool's images", len(rows))
        told = partial(request.listen, "extractor")
        left = train(network.to(device), PoolSample(pool.rows, rows, pool.key), side, device, told)
        logger.info("autoencoder: %.1f%% of the variance of the pixels is lost", 100 * left)
        return pack(network.state_dict(), {"left": left})

    data = cached(request.store, path, request.comm, make)
    network.load_state_dict(unpack(data))
    network.to(device).eval().requires_grad_(False)

    def features(images: Tensor) -> Tensor:
        codes: Tensor = network.encoder(to_side(images, side))
        return codes

    return FeatureNetwork("autoencoder", hash_of(data, f"{side} px bicubic"), WIDTH, None, None, features)
