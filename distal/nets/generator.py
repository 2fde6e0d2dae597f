"""Make the generator conditional: a body that knows latents only, under one wrapper that knows classes."""

import torch
from torch import Tensor, nn

from distal.nets.encoder import Encoder


class Generator(nn.Module):
    """Map latents z [n, latent_dim] and classes y [n, K] to images [n, C, H, W] in [-1, 1].

    y is one-hot or a distribution over classes; its embedding y @ E has the size and the scale of z and is
    concatenated to it, as R3GAN does (Huang et al. 2024, section 3.4), so that a class weighs as much as the noise,
    times class_scale. encoder: says which latents a real image has, where that is learned as well.
    """

    def __init__(self, body: nn.Module, latent_dim: int, classes: int, class_scale: float = 1.0) -> None:
        super().__init__()
        self.latent_dim, self.classes, self.class_scale = latent_dim, classes, class_scale
        # Stored [latent_dim, K], so that the common rule "variance 1 / fan-in" times sqrt(K) gives unit entries.
        self.embedding = nn.Linear(classes, latent_dim, bias=False)
        self.body = body
        self.encoder: Encoder | None = None

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images float [n, C, H, W] in [-1, 1]."""
        e = self.embedding(y) * (self.class_scale * self.classes**0.5)
        return torch.tanh(self.body(torch.cat([z, e], 1)))
