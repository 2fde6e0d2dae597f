"""A model that a package could add: a conditional VAE with a classifier, small, in one file, behind `distal.models`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from distal.communicator import Communicator
from distal.config import Config, ModelSection
from distal.models import Model, Scorer
from distal.nets.scorer import Scores, to_bytes_image, to_unit
from distal.nets.weights import header_of, initialised, pack, unpack
from distal.train import TrainingRows
from distal.train.batch import draw_batch
from distal.train.checkpoint import Checkpoint, to_files
from distal.train.optimizers import build_optimizer, state_by_name


class VaeConfig(ModelSection):
    """The VAE's own."""

    kind: Literal["flat_vae"] = Field("flat_vae", description="model by name")
    beta: float = Field(0.1, ge=0.0, description="weight of the divergence from the prior")
    learning_rate: float = Field(1e-3, gt=0.0, description="step size")


class Nets(nn.Module):
    """q(z | x), p(x | z, y) and p(y | x) over flat images."""

    def __init__(self, pixels: int, latent_dim: int, classes: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(pixels, 32)
        self.posterior = nn.Linear(32, 2 * latent_dim)
        self.head = nn.Linear(32, classes)
        self.decoder = nn.Sequential(nn.Linear(latent_dim + classes, 32), nn.ReLU(), nn.Linear(32, pixels), nn.Tanh())

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.encoder(x.flatten(1)))


class VaeScorer:
    """Score by the classifier, and say how badly an image is rebuilt, which no model of distal does."""

    def __init__(self, nets: Nets, header: Mapping[str, int | str], device: torch.device | str) -> None:
        self.nets, self.header, self.device = nets.to(device), header, device

    def to_bytes(self) -> bytes:
        return pack(self.nets.state_dict(), {"model": "flat_vae", **self.header})

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Scores:
        x = to_unit(images.to(self.device))
        h = self.nets.features(x)
        probs = self.nets.head(h).softmax(1)
        mean = self.nets.posterior(h).chunk(2, 1)[0]
        rebuilt = self.nets.decoder(torch.cat([mean, probs], 1))
        error = (rebuilt - x.flatten(1)).square().mean(1)
        return {"probs": probs, "embeddings": h, "rebuilt": error}


class VAE:
    """Fit `distal.models.Model`."""

    section: ClassVar[type[ModelSection]] = VaeConfig
    gives: ClassVar[frozenset[str]] = frozenset({"probs", "embeddings", "rebuilt"})
    advice = "Halve model.learning_rate"
    pace = 1.0

    def __init__(
        self, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str
    ) -> None:
        assert isinstance(config.model, VaeConfig)
        self.config, self.own, self.device, self.step = config, config.model, torch.device(device), 0
        self.shape, self.classes = (channels, image_size, image_size), classes
        sizes = (channels * image_size**2, config.net.latent_dim, classes)
        self.nets = initialised(lambda: Nets(*sizes), config.seed, "vae").to(self.device)
        train = config.train
        parameters = self.nets.parameters()
        self.optimizer = build_optimizer(train.optimizer, parameters, self.own.learning_rate, train.momentum)

    @classmethod
    def check(cls, config: Config) -> None:
        """Nothing here is a name."""

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> Model:
        return cls(config, image_size, channels, classes, device)

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> Model:
        saved = Checkpoint(files, ["vae", "optimizer"], expected)
        model = cls(config, *saved.shape, device)
        model.step = saved.manifest["step"]
        saved.load_weights("vae", model.nets)
        saved.load_optimizer("optimizer", model.nets, model.optimizer)
        return model

    def to_files(self) -> dict[str, bytes]:
        tensors = {"vae": self.nets.state_dict(), "optimizer": state_by_name(self.nets, self.optimizer)}
        channels, size, _ = self.shape
        facts = {"step": self.step, "image_size": size, "channels": channels, "classes": self.classes}
        return to_files(tensors, facts)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"vae": self.nets}

    def set_pace(self, pace: float) -> None:
        self.pace = pace
        for group in self.optimizer.param_groups:
            group["lr"] = self.own.learning_rate * pace

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        train, layout = self.config.train, torch.contiguous_format
        drawn = (self.step, train.global_batch, train.labeled_fraction, self.config.net.latent_dim, 0)
        batch = draw_batch(rows, *drawn, comm.rank, comm.size, self.device, layout)
        x, known = batch.images, len(batch.labels)
        h = self.nets.features(x)
        logits = self.nets.head(h)
        y = torch.cat([F.one_hot(batch.labels, self.classes).float(), logits[known:].softmax(1).detach()])
        mean, log_variance = self.nets.posterior(h).chunk(2, 1)
        z = mean + batch.latents * (0.5 * log_variance).exp()
        rebuilt = self.nets.decoder(torch.cat([z, y], 1))
        terms = {"rebuilt": (rebuilt - x.flatten(1)).square().sum() / batch.total}
        terms["divergence"] = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / batch.total
        loss = terms["rebuilt"] + self.own.beta * terms["divergence"]
        if batch.labeled_total:
            terms["head"] = F.cross_entropy(logits[:known], batch.labels, reduction="sum") / batch.labeled_total
            loss = loss + terms["head"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        totals = torch.stack([t.detach() for t in terms.values()])
        comm.sum_([*(p.grad for p in self.nets.parameters() if p.grad is not None), totals])
        self.optimizer.step()
        self.step += 1
        return dict(zip(terms, totals.unbind(), strict=True))

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        y = F.one_hot(labels.to(self.device), self.classes).float()
        return to_bytes_image(self.nets.decoder(torch.cat([latents.to(self.device), y], 1)).view(-1, *self.shape))

    def scorer(self) -> Scorer:
        channels, size, _ = self.shape
        header = {"pixels": channels * size**2, "latent_dim": self.config.net.latent_dim, "classes": self.classes}
        return self.read_scorer(pack(self.nets.state_dict(), header), self.device)

    @classmethod
    def read_scorer(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> Scorer:
        header = {key: value for key, value in header_of(data).items() if key != "model"}
        nets = Nets(**header)
        nets.load_state_dict(unpack(data))
        return VaeScorer(nets, header, device)
