"""Say, before anything starts, when training would ask for more memory than the machine has."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from distal.config import Config
from distal.errors import ConfigError
from distal.models.registry import bare_model

WEIGHT_BYTES = 5 * 4
"""Of each weight, in float32: itself, its gradient, Adam's two moments, its average."""

VALUE_BYTES = 2 * 2
"""Of each output of D's layers, for a real image and a generated one, in bfloat16; penalties need more."""

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says what a container may use."""


def require_memory(
    config: Config, image_size: int, channels: int, classes: int, ranks: int, device: torch.device | str
) -> None:
    """Refuse a model and a batch of which not even the least that a rank needs fits into its device's memory.

    A model that does not show its networks (`protocol.Weighable`) is let through.

    Raises:
        ConfigError: with the estimate, and what to lower.
    """
    net = config.net
    with torch.device("meta"):  # where nothing is allocated
        bare = bare_model(config, image_size, channels, classes)
    if bare is None:
        return
    parameters = [p for module in bare.modules for p in module.parameters()]
    weights = WEIGHT_BYTES * sum(p.numel() for p in parameters)
    images = math.ceil(config.train.global_batch / ranks)
    has = memory_bytes(torch.device(device))
    # First as if no layer made the image smaller: to count them, meta tensors import sympy, which takes a second.
    most = image_size**2 * sum(weight.shape[0] for weight in parameters if weight.ndim > 1)
    if weights + VALUE_BYTES * most * images <= has:
        return
    image = torch.empty(1, channels, image_size, image_size, device="meta")
    batch = VALUE_BYTES * outputs(lambda: bare.look(image)) * images
    if weights + batch <= has:
        return
    network_is = f"net.width={net.width}, net.latent_dim={net.latent_dim} and net.features={net.features}"
    batch_is = f"train.batch_size={config.train.global_batch}"
    raise ConfigError(
        f"{network_is if weights > batch else batch_is}: training needs at least "
        f"{weights / 2**30:,.1f} GiB for the networks and {batch / 2**30:,.1f} GiB for a batch; there are "
        f"{has / 2**30:,.1f} GiB.\nLower net.width, net.latent_dim or train.batch_size, or raise train.workers, which "
        "divide the batch."
    )


def outputs(call: Callable[[], object]) -> int:
    """Count the values that layers with weights give out in a call, those of a frozen network among them."""
    sizes: list[int] = []

    def note(layer: nn.Module, given: object, out: torch.Tensor) -> None:
        if isinstance(getattr(layer, "weight", None), nn.Parameter):
            sizes.append(out.numel())

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        with torch.no_grad():
            call()
    finally:
        hook.remove()
    return sum(sizes)


def memory_bytes(device: torch.device) -> int:
    """Return the size of the device's memory, or of this machine's as far as its container may use it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limits = [int(text) for path in LIMITS if path.exists() and (text := path.read_text().strip()).isdecimal()]
    return min([*limits, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")])
