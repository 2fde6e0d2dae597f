"""Build optimizers by name, and keep and restore what any of them knows, by the names of parameters."""

import inspect
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from distal.config import TrainConfig
from distal.errors import ConfigError
from distal.nets import uncompiled
from distal.registry import Registry
from distal.train.schedules import SCHEDULES

DECAY = 0.99
"""Of the second moment: GANs' usual choice (R3GAN, Huang et al. 2024), and RMSprop's default."""

Parameters = Iterable[nn.Parameter]

Optimizer = Callable[[Parameters, float, float], torch.optim.Optimizer]
"""From parameters, learning rate and momentum."""

OPTIMIZERS: Registry[Optimizer] = Registry(
    "train.optimizer",
    "optimizer",
    "distal.optimizers",
    {
        "adam": lambda p, rate, momentum: torch.optim.Adam(p, lr=rate, betas=(momentum, DECAY), fused=True),
        "adamw": lambda p, rate, momentum: torch.optim.AdamW(p, lr=rate, betas=(momentum, DECAY), fused=True),
        "rmsprop": lambda p, rate, momentum: torch.optim.RMSprop(p, lr=rate, alpha=DECAY, momentum=momentum),
        "sgd": lambda p, rate, momentum: torch.optim.SGD(p, lr=rate, momentum=momentum, fused=True),
    },
)


def build_optimizer(
    name: str,
    parameters: Parameters,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float | None = None,
) -> torch.optim.Optimizer:
    """Return the optimizer of this name; momentum is beta_1 of adam and adamw, a weight_decay of None is its own.

    Raises:
        ConfigError: an unknown name, or an optimizer that knows no weight decay.
    """
    optimizer = OPTIMIZERS.find(name)(parameters, learning_rate, momentum)
    if weight_decay is not None:
        for group in optimizer.param_groups:
            if "weight_decay" not in group:
                raise ConfigError(
                    f"train.weight_decay: the optimizer {name} knows none.\n"
                    "Leave it null, or set a weight for l2 in model.regularizers."
                )
            group["weight_decay"] = weight_decay
    return optimizer


def check_optimization(train: TrainConfig) -> None:
    """Raise ConfigError where the section `train` names an optimizer or a schedule that is not known."""
    OPTIMIZERS.find(train.optimizer)
    SCHEDULES.find(train.schedule)
    if train.schedule_restarts and train.schedule_steps is None:
        raise ConfigError(
            "train.schedule_restarts: there is nothing to begin anew after the whole run.\n"
            "Set train.schedule_steps, to train.steps for a schedule of each round."
        )


def state_by_name(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's tensors as `key.parameter`; empty before the first step."""
    return {
        f"{key}.{name}": value
        for name, p in module.named_parameters()
        for key, value in optimizer.state.get(p, {}).items()
        if isinstance(value, Tensor)
    }


def restore_by_name(module: nn.Module, optimizer: torch.optim.Optimizer, saved: Mapping[str, Tensor]) -> bool:
    """Put `state_by_name` back; False, and nothing changed, where these are not tensors of this optimizer.

    Empty before the first step, and a parameter that never had a gradient has none; any other has all.
    """
    keys = _keys(optimizer)
    parameters = dict(module.named_parameters())
    shapes = {
        f"{key}.{n}": p.shape if wide else torch.Size([]) for n, p in parameters.items() for key, wide in keys.items()
    }
    if any(shapes.get(key) != t.shape for key, t in saved.items()):
        return False
    known = {name for name in parameters if any(f"{key}.{name}" in saved for key in keys)}
    if any(f"{key}.{name}" not in saved for name in known for key in keys):
        return False
    for name in known:
        p = parameters[name]
        # A fused kernel walks memory, not indices: moments must lie as their parameter does (channels-last).
        optimizer.state[p] = {
            key: torch.empty_like(p).copy_(saved[f"{key}.{name}"]).detach()
            if wide
            else saved[f"{key}.{name}"].to(p.device if optimizer.defaults.get("fused") else "cpu")
            for key, wide in keys.items()
        }
    return True


def _keys(optimizer: torch.optim.Optimizer) -> dict[str, bool]:
    """Return what the optimizer keeps for a parameter, and whether it has the parameter's shape: a step tells."""
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.zeros(2)
    accepted = inspect.signature(type(optimizer)).parameters  # AdamW's defaults hold more than its constructor takes
    probe = type(optimizer)([p], **{key: value for key, value in optimizer.defaults.items() if key in accepted})
    uncompiled.step(probe)
    return {key: value.shape == p.shape for key, value in probe.state[p].items() if isinstance(value, Tensor)}
