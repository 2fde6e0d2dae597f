"""Score images with a VAE that is not trained any more: classes, features, and how well it explains an image."""

from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from distal.config import NetConfig
from distal.models.vae.networks import Nets, build_nets
from distal.nets.precision import autocast, resolve
from distal.nets.scorer import Scores, to_unit
from distal.nets.weights import header_of, pack, unpack

GIVES = frozenset({"probs", "embeddings", "realism"})

S = TypeVar("S", bound="VaeScorer")


class VaeScorer:
    """Own networks on one device, in one precision.

    gains: whether "auto" may count on bfloat16 hardware, where several devices must score alike; None asks this one's.
    kind: the model's, by name. networks: what it is made of.
    """

    kind: ClassVar[str] = "vae"
    networks: ClassVar[type[Nets]] = Nets

    def __init__(
        self,
        nets: Nets,
        net: NetConfig,
        image_size: int,
        channels: int,
        precision: str = "auto",
        device: torch.device | str = "cpu",
        gains: bool | None = None,
    ) -> None:
        self.net, self.image_size, self.channels = net, image_size, channels
        self.precision, self.device = precision, torch.device(device)
        self._format = torch.channels_last if nets.convolutional else torch.contiguous_format
        self._arithmetic = resolve(precision, self.device, nets.convolutional, gains)
        self.nets = nets.to(self.device, memory_format=self._format).eval().requires_grad_(False)  # type: ignore[call-overload]

    @classmethod
    def from_bytes(cls: type[S], data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> S:
        """Rebuild a scorer from `to_bytes`."""
        header = header_of(data)
        net = NetConfig.model_validate(header["net"])
        size, channels = header["image_size"], header["channels"]
        nets = build_nets(net, size, channels, header["classes"], kind=cls.networks)
        nets.load_state_dict(unpack(data))
        return cls(nets, net, size, channels, header["precision"], device, gains)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes with a JSON header; nothing in them is executed when they are read."""
        header = {
            "model": self.kind,
            "net": self.net.model_dump(mode="json"),
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": self.nets.decoder.classes,
            "precision": self.precision,
        }
        return pack(self.nets.state_dict(), header)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Scores:
        """Score uint8 images [n, C, H, W] from any device; the results are on the scorer's device.

        probs: float32 [n, K]. embeddings: float32 [n, F]. realism: float32 [n], how well the networks explain an image
        (see their `explained`) by the mean of the posterior under the predicted classes.
        """
        x = to_unit(images.to(self.device)).contiguous(memory_format=self._format)
        with autocast(self._arithmetic, self.device):
            features = self.nets.features(x)
            probs = self.nets.classify(features).softmax(1)
            posterior = self.nets.posterior(features, probs)
            decoded = self.nets.decode(posterior.mean, probs)
        realism = self.nets.explained(x, decoded, posterior)
        return {"probs": probs, "embeddings": features.float(), "realism": realism}
