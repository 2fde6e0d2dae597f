"""The extractor ``inception``: any TorchScript module from a file or URL, first of all NVIDIA's Inception-v3 export.

``inception-2015-12-05.pt`` (TensorFlow's weights, with its resizing inside) is called with ``return_features=True`` and
gives the 2048 pool3 features that published FIDs are made of (Heusel et al. 2017). Another module is called with the
images alone. Only `torch.jit.load` reads the file, so nothing is unpickled; but a TorchScript file is a program, which
runs when it is loaded and called, with all that this process may do. Load only files that are trusted like code.
"""

import hashlib
import io
import logging
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distal.communicator import on_first_rank
from distal.errors import ConfigError, EvaluationError
from distal.features.network import FeatureNetwork, FeatureRequest, rgb
from distal.run.artefacts import cached

TIMEOUT_S = 30
LARGEST_BYTES = 2**30
NVIDIAS_SIDE = 299  # px, to which NVIDIA's export brings images of any other side
logger = logging.getLogger(__name__)


def build_inception(request: FeatureRequest) -> FeatureNetwork:
    """Load the module at evaluate.extractor_path and put it on the communicator's device.

    The module takes uint8 [N, 3, H, W] and resizes them itself; grey images are tiled to three channels. A URL is
    fetched once by rank 0 and kept in the store. Raises ConfigError without a path, EvaluationError where the file
    cannot be had or is no TorchScript module.
    """
    path = check_path(request.path)
    if path.startswith(("http://", "https://")):
        name = hashlib.sha256(path.encode()).hexdigest()[:32]
        data = cached(request.store, f"extractors/{name}.pt", request.comm, lambda: _fetch(path))
    else:
        data = on_first_rank(request.comm, lambda: _read(path))
    module = _load(data, path, request.comm.device)
    forward: Any = module.forward
    returns_features = any(argument.name == "return_features" for argument in forward.schema.arguments)

    def features(images: Tensor) -> Tensor:
        output: Tensor = module(rgb(images), return_features=True) if returns_features else module(rgb(images))
        if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(images):
            raise EvaluationError(f"{path} must return one feature vector an image, a tensor [N, F].")
        return output.flatten(1)

    side = NVIDIAS_SIDE if returns_features else None
    with torch.inference_mode():
        first = torch.zeros(1, 3, request.image_size, request.image_size, dtype=torch.uint8, device=request.comm.device)
        width = features(first).shape[1]
    return FeatureNetwork("inception", hashlib.sha256(data).hexdigest(), width, side, 3, features)


def check_path(path: str | None) -> str:
    """Return evaluate.extractor_path, having looked at a local file's first bytes; a URL is not fetched.

    Raises ConfigError without a path, EvaluationError where the file is missing or no zip archive, as TorchScript is.
    """
    if not path:
        raise ConfigError(
            "evaluate.extractor=inception needs evaluate.extractor_path: the path or URL of a TorchScript file\n"
            "(inception-2015-12-05.pt of stylegan2-ada-pytorch). Offline, use evaluate.extractor=pool-cnn."
        )
    if not path.startswith(("http://", "https://")):
        with _readable(path), Path(path).expanduser().open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                raise _no_torchscript(path)
    return path


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvaluationError(
            f"Cannot read evaluate.extractor_path={path}: {error.strerror}.\nGive a TorchScript file that is there."
        ) from error


def _no_torchscript(path: str) -> EvaluationError:
    return EvaluationError(
        f"evaluate.extractor_path={path} is not a TorchScript module.\n"
        "Give a file saved by torch.jit.save, such as inception-2015-12-05.pt."
    )


def _read(path: str) -> bytes:
    with _readable(path):
        return Path(path).expanduser().read_bytes()


def _fetch(url: str) -> bytes:
    logger.info("inception: fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            data: bytes = response.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise EvaluationError(
            f"Cannot fetch evaluate.extractor_path={url}: {reason}.\n"
            "Offline, give a local copy's path there, or use evaluate.extractor=pool-cnn."
        ) from error
    if len(data) > LARGEST_BYTES:
        raise EvaluationError(f"evaluate.extractor_path={url} is larger than {LARGEST_BYTES} bytes; not an extractor.")
    return data


def _load(data: bytes, path: str, device: torch.device) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():  # torch deprecates TorchScript; the published file exists in no other form
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(data), map_location=device
            )
    except (RuntimeError, ValueError) as error:
        raise _no_torchscript(path) from error
    return module.eval()
