"""The extractor ``pool-cnn``: a small convolutional classifier of the reference split, trained once and kept.

It learns the split's labels where it has them, and then also judges the class of generated images; else it learns
which quarter turn an image was given (Gidaris et al. 2018). No seed of a run enters it: all runs over one reference
split share one extractor, so their distances compare.
"""

import hashlib
import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from distal.communicator import Communicator
from distal.errors import ConfigError
from distal.features import FeatureNetwork, FeatureRequest
from distal.features.network import PhaseListener, unheard
from distal.metrics.extractor import ExtractorRequest
from distal.metrics.pool_cnn_training import RECIPE, train
from distal.metrics.reference import ReferenceSplit
from distal.run.artefacts import Store, cached

WIDTH = 64
logger = logging.getLogger(__name__)


class PoolCNN(nn.Module):
    """Map uint8 [N, C, S, S] to features [N, 64] and those to logits [N, K]; GroupNorm, so an image stands alone.

    Strided stages halve the side down to 4; their features keep the place of strokes and defects (no global pooling).
    """

    def __init__(self, image_size: int, channels: int, classes: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inputs, width, side = channels, {8: 48, 16: 48, 28: 48, 32: 48}.get(image_size, 16), image_size
        stride = 1 if image_size <= 16 else 2  # large images are halved at once, where a pixel is cheap to lose
        while True:
            stages += [nn.Conv2d(inputs, width, 3, stride, 1), nn.GroupNorm(8, width), nn.ReLU()]
            side = -(-side // stride)
            if side <= 4:
                break
            inputs, width, stride = width, min(64, 2 * width), 2
        self.stages = nn.Sequential(*stages)
        self.embed = nn.Linear(width * side * side, WIDTH)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return features float32 [N, 64], at least 0."""
        x = images.float() / 127.5 - 1
        return functional.relu(self.embed(self.stages(x).flatten(1)))

    def classify(self, features: Tensor) -> Tensor:
        """Return logits [N, K] of features."""
        logits: Tensor = self.head(features)
        return logits


@dataclass(frozen=True)
class Judge:
    """Decide which class an image shows; accuracy, balanced: on images kept out, of 1."""

    extractor: FeatureNetwork
    network: PoolCNN
    accuracy: float
    balanced: float

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Return what it makes of images with these features of `extractor`, [N, K], the largest for their class."""
        return self.network.classify(features)


def learns_labels(split: ReferenceSplit) -> bool:
    """Tell whether the split has labels of two classes or more."""
    return len(np.unique(split.labels[split.labels >= 0])) >= 2


def build_pool_cnn(request: FeatureRequest) -> FeatureNetwork:
    """Build the extractor; see `pool_judge`. ConfigError where it is asked for without held-out images."""
    if not isinstance(request, ExtractorRequest):
        raise ConfigError(
            "pool-cnn is trained on the held-out images, which only the evaluation may see.\n"
            "Take another feature network here, such as autoencoder; pool-cnn is for evaluate.extractor."
        )
    return pool_judge(request.split, request.store, request.comm, request.listen).extractor


def pool_judge(split: ReferenceSplit, store: Store, comm: Communicator, listen: PhaseListener = unheard) -> Judge:
    """Load the network of this split from the store, or train it on rank 0 and keep it, as safetensors."""
    images = split.images
    classes = len(split.class_names) if learns_labels(split) else 4
    network = PoolCNN(images.image_size, images.channels, classes)
    key = hashlib.sha256(f"{RECIPE} {network} {split.key}".encode()).hexdigest()[:32]

    def make() -> bytes:
        logger.info("pool-cnn: training on %d reference images", len(split))
        told = partial(listen, "extractor")
        measured = train(network.to(comm.device), split, learns_labels(split), comm.device, told)
        logger.info("pool-cnn: accuracy %.3f, balanced %.3f on images kept out", *measured)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        data: bytes = save(state | {"accuracy": torch.tensor(measured, dtype=torch.float64)})
        return data

    data = cached(store, f"extractors/pool-cnn-{key}.safetensors", comm, make)
    state = load(data)
    accuracy, balanced = state.pop("accuracy").tolist()
    network.load_state_dict(state)
    network.to(comm.device).eval().requires_grad_(False)
    task = "classes" if learns_labels(split) else "quarter turns"
    note = f"pool-cnn tells {task} of unseen real images with accuracy {accuracy:.3f} (balanced {balanced:.3f})"
    found = hashlib.sha256(data).hexdigest()
    extractor = FeatureNetwork("pool-cnn", found, WIDTH, None, None, network, note=note)
    return Judge(extractor, network, accuracy, balanced)
