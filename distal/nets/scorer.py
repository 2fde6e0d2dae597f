"""Score images with a frozen discriminator: class probabilities, embeddings, realism. Shards get one each round."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from distal.config import NetConfig
from distal.nets import Discriminator, build_discriminator, get_network
from distal.nets.precision import autocast, resolve
from distal.nets.weights import header_of, pack, unpack

Scores = Mapping[str, Tensor]
"""What strategies see of n images by name, n rows each."""

PROVIDERS: dict[str, Callable[[Discriminator, Tensor, Tensor], Tensor]] = {
    "probs": lambda D, features, probs: probs,
    "embeddings": lambda D, features, probs: features,
    "realism": lambda D, features, probs: D.logits(features, probs),
}
"""What this scorer gives, each from D, features [n, F] and class probabilities [n, K]: a new need is one entry.

probs float32 [n, K]; embeddings float32 [n, F]; realism float32 [n], D's logit for the image under its own predicted
classes: comparable within one scorer only, because a relativistic loss leaves its zero free.
"""


def to_unit(images: Tensor) -> Tensor:
    """Return uint8 images [n, C, H, W] as float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def to_bytes_image(images: Tensor) -> Tensor:
    """Return float images [n, C, H, W] in [-1, 1] as uint8."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0.0, 255.0).to(torch.uint8)


class Scorer:
    """Own a discriminator that is not trained any more, on one device, in one precision.

    gains: whether "auto" may count on bfloat16 hardware, where several devices must score alike; None asks this one's.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        net: NetConfig,
        image_size: int,
        channels: int,
        classes: int,
        precision: str = "auto",
        device: torch.device | str = "cpu",
        gains: bool | None = None,
    ) -> None:
        self.net, self.image_size, self.channels, self.classes = net, image_size, channels, classes
        self.precision, self.device = precision, torch.device(device)
        network = get_network(net.name, image_size)
        self._format = torch.channels_last if network.convolutional else torch.contiguous_format
        self._arithmetic = resolve(precision, self.device, network.convolutional, gains)
        self.discriminator = discriminator.to(self.device, memory_format=self._format).eval().requires_grad_(False)  # type: ignore[call-overload]

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> "Scorer":
        """Rebuild a scorer from `to_bytes`."""
        header = header_of(data)
        net = NetConfig.model_validate(header["net"])
        size, channels, classes = header["image_size"], header["channels"], header["classes"]
        discriminator = build_discriminator(net, size, channels, classes)
        discriminator.load_state_dict(unpack(data))
        return cls(discriminator, net, size, channels, classes, header["precision"], device, gains)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes with a JSON header; nothing in them is executed when they are read."""
        header = {
            "model": "gan",
            "net": self.net.model_dump(mode="json"),
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": self.classes,
            "precision": self.precision,
        }
        return pack(self.discriminator.state_dict(), header)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Scores:
        """Score uint8 images [n, C, H, W] from any device; the results are on the scorer's device."""
        x = to_unit(images.to(self.device)).contiguous(memory_format=self._format)
        with autocast(self._arithmetic, self.device):
            features = self.discriminator.features(x)
            probs = self.discriminator.classify(features).float().softmax(1)
            given = {name: provide(self.discriminator, features, probs) for name, provide in PROVIDERS.items()}
        return {name: tensor.float() for name, tensor in given.items()}
