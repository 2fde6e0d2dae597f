"""Hold a model under training, whole: networks, averages, optimizers and the step, which is the random state."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from distal.config import Config, NetConfig
from distal.errors import RunError, TrainingError
from distal.losses.supervised import one_hot
from distal.nets import Discriminator, Generator, build_discriminator, build_generator, get_network
from distal.nets.batchnorm import mixes_batch
from distal.nets.precision import autocast, resolve
from distal.nets.scorer import Scorer, to_bytes_image
from distal.nets.weights import pack, unpack
from distal.train.step import Objective

M = TypeVar("M", bound=nn.Module)

BETAS = (0.0, 0.99)
"""Adam's: no momentum, the usual choice against rotation around the equilibrium (Mescheder et al. 2018; R3GAN)."""

GENERATE_ROWS = 256
FILES = {
    f"{name}.safetensors"
    for network in ("generator", "discriminator")
    for name in (network, f"averaged_{network}", f"optimizer_{network}")
}
REGULARIZERS = "regularizers.safetensors"
"""What regularizers keep from step to step; there is no such file where none keeps anything."""

MANIFEST = {"sha256", "net", "step", "image_size", "channels", "classes"}
SHAPE = ("image_size", "channels", "classes")
MOMENTS = ("exp_avg", "exp_avg_sq")


class TrainState:
    """Own G, D, their averages, both optimizers, what regularizers keep and the number of steps done.

    Every random number of step t comes from streams named by the seed and t, so this is all there is to save.
    """

    def __init__(
        self, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.image_size, self.channels, self.classes = config, image_size, channels, classes
        self.device = torch.device(device)
        network = get_network(config.net.name, image_size)
        self.layout = torch.channels_last if network.convolutional else torch.contiguous_format
        arithmetic = resolve(config.train.precision, self.device, network.convolutional)
        self.objective = Objective.resolve(config.train, image_size * image_size, arithmetic, self.device)
        self.regularizers = {
            name: {key: torch.zeros((), device=self.device) for key in r.state}
            for name, (r, _) in self.objective.regularizers.items()
            if r.state
        }
        self.step = 0
        shape = (image_size, channels, classes, config.seed)
        self.G = self._placed(build_generator(config.net, *shape))
        self.D = self._placed(build_discriminator(config.net, *shape))
        if mixes_batch(self.D):
            self.objective.require_no_gradient_of_a_row(config.net.name)
        self.averaged_G: Generator = copy.deepcopy(self.G).requires_grad_(False).eval()
        self.averaged_D: Discriminator = copy.deepcopy(self.D).requires_grad_(False).eval()
        self.optimizers = (
            _adam(self.G.parameters(), config.train.learning_rate_g),
            _adam(self.D.parameters(), config.train.learning_rate_d),
        )

    def _placed(self, module: M) -> M:
        return module.to(self.device, memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> "TrainState":
        """Start untrained, all weights a function of config.seed. ConfigError for unknown names in config."""
        return cls(config, image_size, channels, classes, device)

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W] of the averaged G for latents [n, latent_dim] and int64 labels [n].

        A class without any label yet may be asked for: the images are then of whatever the untrained embedding says.
        """
        images = []
        for z, y in zip(torch.split(latents, GENERATE_ROWS), torch.split(labels, GENERATE_ROWS), strict=True):
            classes = one_hot(y.to(self.device), self.classes)
            with autocast(self.objective.arithmetic, self.device):
                images.append(to_bytes_image(self.averaged_G(z.to(self.device), classes)))
        empty = torch.zeros(0, self.channels, self.image_size, self.image_size, dtype=torch.uint8, device=self.device)
        return torch.cat([empty, *images])

    def scorer(self) -> Scorer:
        """Return a scorer with a copy of the averaged D, in the arithmetic resolved here: all shards score alike."""
        size, channels, classes = self.image_size, self.channels, self.classes
        D = copy.deepcopy(self.averaged_D)
        return Scorer(D, self.config.net, size, channels, classes, self.objective.arithmetic, self.device)

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "generator": self.G,
            "discriminator": self.D,
            "averaged_generator": self.averaged_G,
            "averaged_discriminator": self.averaged_D,
        }

    def to_files(self) -> dict[str, bytes]:
        """Return the whole state as files by name: safetensors, and manifest.json with the SHA-256 of each."""
        files = {f"{name}.safetensors": pack(m.state_dict()) for name, m in self._modules().items()}
        for name, module, optimizer in self._optimized():
            files[f"optimizer_{name}.safetensors"] = pack(_moments(module, optimizer))
        if self.regularizers:
            kept = {f"{name}.{key}": t for name, own in self.regularizers.items() for key, t in own.items()}
            files[REGULARIZERS] = pack(kept)
        manifest = {
            "format": 1,
            "step": self.step,
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": self.classes,
            "net": self.config.net.model_dump(mode="json"),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }
        files["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True).encode()
        return files

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> "TrainState":
        """Restore `to_files` exactly. RunError where a file is missing or damaged or the networks differ.

        expected: image size, channels and number of classes; with it, nothing of another size is built.
        """
        manifest = _read_manifest(files.get("manifest.json", b""))
        for name, digest in manifest["sha256"].items():
            if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
                raise _damaged(name)
        if not _same_net(manifest["net"], config.net):
            raise RunError("checkpoint: it was written with another `net` configuration; resume with the run's own.")
        if expected is not None and (found := tuple(manifest[name] for name in SHAPE)) != expected:
            raise _damaged("manifest.json", f"its {', '.join(SHAPE)} are {found}, the run's are {expected}")
        state = cls(config, manifest["image_size"], manifest["channels"], manifest["classes"], device)
        state.step = manifest["step"]
        for name, module in state._modules().items():
            _load_weights(module, _unpacked(files, f"{name}.safetensors"), f"{name}.safetensors")
        for name, module, optimizer in state._optimized():
            _restore_moments(module, optimizer, _unpacked(files, f"optimizer_{name}.safetensors"), name)
        # A run that takes over another's checkpoint may weigh other regularizers: those begin at zero.
        kept = _unpacked(files, REGULARIZERS) if REGULARIZERS in files else {}
        for name, own in state.regularizers.items():
            for key, tensor in own.items():
                saved = kept.get(f"{name}.{key}", tensor)
                if saved.shape != tensor.shape:
                    raise _damaged(REGULARIZERS, "its tensors are not those of the regularizers")
                tensor.copy_(saved)
        return state

    def _optimized(self) -> list[tuple[str, nn.Module, torch.optim.Optimizer]]:
        return [("generator", self.G, self.optimizers[0]), ("discriminator", self.D, self.optimizers[1])]

    def require_finite(self, losses: Mapping[str, float], round_steps: str) -> None:
        """Raise TrainingError unless every loss and weight is finite: the last update spoils weights, not losses."""
        bad = [f"{name}={value:.3g}" for name, value in losses.items() if not abs(value) < float("inf")]
        for name, module in self._modules().items():
            if not all(bool(t.isfinite().all()) for t in module.state_dict().values()):
                bad.append(f"weights of {name.replace('_', ' ')}")
        if not bad:
            return
        raise TrainingError(
            f"training: not finite by update {self.step} ({round_steps}): {', '.join(bad)}.\n"
            "Halve train.learning_rate_g and train.learning_rate_d, or raise train.regularizers.r1 and r2 tenfold;\n"
            "if precision is bf16, try train.precision=fp32. The last committed round is intact: distal resume."
        )


def _read_manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged("manifest.json", "it is no JSON") from None
    if not isinstance(manifest, dict) or not manifest.keys() >= MANIFEST:
        raise _damaged("manifest.json", f"expected a JSON object with {', '.join(sorted(MANIFEST))}")
    for name in ("step", *SHAPE):
        if type(manifest[name]) is not int or not 0 <= manifest[name] < 2**63:
            raise _damaged("manifest.json", f"its {name} is no count")
    if not isinstance(manifest["sha256"], dict) or not manifest["sha256"].keys() >= FILES:
        raise _damaged("manifest.json", "its sha256 does not name every file")
    return manifest


def _same_net(written: Any, net: NetConfig) -> bool:
    try:
        return NetConfig.model_validate(written) == net
    except ValidationError:
        return False


def _unpacked(files: Mapping[str, bytes], name: str) -> dict[str, Tensor]:
    try:
        return unpack(files[name])
    except RunError as error:
        raise _damaged(name, str(error)) from None


def _load_weights(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    wanted = module.state_dict()
    if {key: t.shape for key, t in tensors.items()} != {key: t.shape for key, t in wanted.items()}:
        raise _damaged(name, "its tensors are not those of the network")
    module.load_state_dict(tensors)


def _damaged(name: str, why: str = "its SHA-256 is not the manifest's") -> RunError:
    return RunError(
        f"checkpoint: {name} is missing or damaged ({why}).\n"
        "Restore it from a copy; or, if this is the last round, delete its COMMITTED and its folder checkpoint:\n"
        "distal resume then trains it again with the labels that it has."
    )


def _adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=learning_rate, betas=BETAS, fused=True)


def _moments(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's state by parameter name; empty before the first step."""
    return {
        f"{key}.{name}": value
        for name, p in module.named_parameters()
        for key, value in optimizer.state.get(p, {}).items()
    }


def _restore_moments(
    module: nn.Module, optimizer: torch.optim.Optimizer, saved: Mapping[str, Tensor], network: str
) -> None:
    wanted = {f"step.{name}": torch.Size([]) for name, _ in module.named_parameters()}
    wanted |= {f"{key}.{name}": p.shape for name, p in module.named_parameters() for key in MOMENTS}
    # Empty before the first step, and a parameter that never had a gradient has no moments.
    if any(wanted.get(key) != t.shape for key, t in saved.items()) or any(
        f"{key}.{name}" not in saved
        for name, _ in module.named_parameters()
        if f"step.{name}" in saved
        for key in MOMENTS
    ):
        raise _damaged(f"optimizer_{network}.safetensors", "its tensors are not those of the optimizer")
    for name, p in module.named_parameters():
        if f"step.{name}" not in saved:
            continue
        # The fused kernel walks memory, not indices: moments must lie as their parameter does (channels-last).
        restored = {key: torch.empty_like(p).copy_(saved[f"{key}.{name}"]).detach() for key in MOMENTS}
        step_device = p.device if p.is_cuda else torch.device("cpu")
        optimizer.state[p] = {"step": saved[f"step.{name}"].to(step_device), **restored}
