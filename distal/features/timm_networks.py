"""The feature network ``timm:NAME``: any image model of the package timm, as timm:vit_small_patch14_dinov2.lvd142m.

The extra `timm` installs it; it fetches the weights from the Hugging Face hub, or takes them from its cache there.
Images are brought to the side that the weights were trained with, and normalized by their means and deviations.
"""

import importlib
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from distal.errors import ConfigError, EvaluationError
from distal.features.network import FeatureNetwork, FeatureRequest, hash_of, resized, rgb
from distal.features.torchscript import one_vector_each, width_of
from distal.nets.precision import autocast


def build_timm(request: FeatureRequest, argument: str) -> FeatureNetwork:
    """Build timm's pretrained model of this name without its classifier.

    Raises ConfigError where timm is missing, cannot be imported or has no such model, EvaluationError where it cannot
    have the weights.
    """
    name, device = f"timm:{argument}", request.comm.device
    timm = _imported(name)
    if ":" not in argument and not timm.is_model(argument):  # with a colon it is a model of the hub, hf-hub:...
        raise ConfigError(
            f"{name}: timm {timm.__version__} has no such model.\n"
            'python -c "import timm; print(timm.list_models(pretrained=True))" lists them.'
        )
    try:
        model = timm.create_model(argument, pretrained=True, num_classes=0)
    except (RuntimeError, OSError, ValueError) as error:
        raise EvaluationError(
            f"{name}: timm cannot have its weights: {_reason(error)}\n"
            "Offline, copy the hub's cache (HF_HOME) of a machine that has them, or take efficientnet_lite0."
        ) from error
    model = model.to(device).eval().requires_grad_(False)
    trained = timm.data.resolve_model_data_config(model)
    size = int(trained["input_size"][-1])
    mean, std = (torch.tensor(trained[key], device=device).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    precision = request.precision()

    def features(images: Tensor) -> Tensor:
        x = (rgb(resized(images, size)) / 255 - mean) / std
        with autocast(precision, device):
            return one_vector_each(model(x), images, name)

    weights = [part for key, value in model.state_dict().items() for part in (key, _bytes(value))]
    recipe = f"RGB, {size} px bicubic, {trained['mean']}, {trained['std']}, {precision}"
    return FeatureNetwork(name, hash_of(*weights, recipe), width_of(features, size, device), size, 3, features)


def check_timm(name: str) -> None:
    """Raise ConfigError where timm is not installed; name: of the network."""
    if find_spec("timm") is None:
        raise ConfigError(f"{name} needs the package timm.\nInstall it with pip install 'distal[timm]'.")


def _imported(name: str) -> Any:
    check_timm(name)
    try:
        importlib.import_module("timm.data")
        return importlib.import_module("timm")
    except (ImportError, RuntimeError, AttributeError) as error:  # torchvision beside another torch raises any of these
        raise ConfigError(
            f"{name}: timm cannot be imported: {_reason(error)}\n"
            "Install torchvision of the release that belongs to the installed torch."
        ) from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _bytes(weights: Tensor) -> bytes:
    return weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
