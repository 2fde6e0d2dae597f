"""Turn a model's tensors into the files of a checkpoint, and read them back, every byte accounted for by a hash."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from distal.config import NetConfig
from distal.errors import RunError
from distal.nets.weights import pack, unpack
from distal.run.seals import sha256
from distal.train.optimizers import restore_by_name

SHAPE = ("image_size", "channels", "classes")
MANIFEST = {"sha256", "step", *SHAPE}


def facts_of(step: int, shape: tuple[int, int, int], pace: float, net: NetConfig | None = None) -> dict[str, Any]:
    """Return what every manifest says of a model: updates done, image size, channels, classes; pace where it is not 1.

    net: of a model that has networks of its own.
    """
    facts: dict[str, Any] = {"step": step, **dict(zip(SHAPE, shape, strict=True))}
    facts |= {} if net is None else {"net": net.model_dump(mode="json")}
    return facts if pace == 1 else facts | {"pace": pace}


def to_files(tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return safetensors files by name, and manifest.json with the facts and the SHA-256 of each file.

    facts: `step`, `image_size`, `channels` and `classes`, and what else the model wants to compare.
    """
    return with_manifest({f"{name}.safetensors": pack(own) for name, own in tensors.items()}, facts)


def with_manifest(files: dict[str, bytes], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files and a manifest.json of them; facts: see `to_files`."""
    hashes = {name: sha256(data) for name, data in files.items()}
    manifest = {"format": 1, **facts, "sha256": hashes}
    return files | {"manifest.json": json.dumps(manifest, indent=2, sort_keys=True).encode()}


class Checkpoint:
    """Hold the files of a checkpoint whose hashes fit.

    files: as `to_files` made them. names: of the tensors that must be there. expected: image size, channels and number
    of classes; with it, nothing of another size is built.

    Raises:
        RunError: a file is missing or damaged, or of another shape.
    """

    def __init__(
        self, files: Mapping[str, bytes], names: Iterable[str], expected: tuple[int, int, int] | None = None
    ) -> None:
        self.files = files
        self.manifest = _read_manifest(files.get("manifest.json", b""), {f"{name}.safetensors" for name in names})
        for name, digest in self.manifest["sha256"].items():
            if sha256(files.get(name, b"")) != digest:
                raise damaged(name)
        self.shape: tuple[int, int, int] = tuple(self.manifest[name] for name in SHAPE)
        if expected is not None and self.shape != expected:
            raise damaged("manifest.json", f"its {', '.join(SHAPE)} are {self.shape}, the run's are {expected}")

    @property
    def pace(self) -> float:
        """Return the multiple of the configured steps that the model has come to."""
        return float(self.manifest.get("pace", 1.0))

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of this name, none where the checkpoint has no such file."""
        file = f"{name}.safetensors"
        if file not in self.manifest["sha256"]:
            return {}
        try:
            return unpack(self.files[file])
        except RunError as error:
            raise damaged(file, str(error)) from None

    def require_net(self, net: NetConfig) -> None:
        """Raise RunError where the networks that were saved are not those of `net`."""
        try:
            same = NetConfig.model_validate(self.manifest.get("net")) == net
        except ValidationError:
            same = False
        if not same:
            raise RunError("checkpoint: it was written with another `net` configuration; resume with the run's own.")

    def load_weights(self, name: str, module: nn.Module) -> None:
        """Put the weights and buffers of this name into a module."""
        tensors, wanted = self.tensors(name), module.state_dict()
        if {key: t.shape for key, t in tensors.items()} != {key: t.shape for key, t in wanted.items()}:
            raise damaged(f"{name}.safetensors", "its tensors are not those of the network")
        module.load_state_dict(tensors)

    def load_optimizer(self, name: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the state of this name, by parameter names of the module, into its optimizer."""
        if not restore_by_name(module, optimizer, self.tensors(name)):
            kind = type(optimizer).__name__
            raise damaged(f"{name}.safetensors", f"its tensors are not those of the optimizer, {kind}")


def _read_manifest(data: bytes, files: set[str]) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged("manifest.json", "it is no JSON") from None
    if not isinstance(manifest, dict) or not manifest.keys() >= MANIFEST:
        raise damaged("manifest.json", f"expected a JSON object with {', '.join(sorted(MANIFEST))}")
    for name in ("step", *SHAPE):
        if type(manifest[name]) is not int or not 0 <= manifest[name] < 2**63:
            raise damaged("manifest.json", f"its {name} is no count")
    if not isinstance(manifest["sha256"], dict) or not manifest["sha256"].keys() >= files:
        raise damaged("manifest.json", "its sha256 does not name every file")
    return manifest


def damaged(name: str, why: str = "its SHA-256 is not the manifest's") -> RunError:
    """Return the error that says which file of a checkpoint cannot be used, why, and what to do."""
    return RunError(
        f"checkpoint: {name} is missing or damaged ({why}).\n"
        "Restore it from a copy; or, if this is the last round, delete its COMMITTED and its folder checkpoint:\n"
        "distal resume then trains it again with the labels that it has."
    )
