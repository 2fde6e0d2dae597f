"""The feature network ``inception``: a TorchScript file or URL, first of all NVIDIA's export of Inception-v3.

``inception-2015-12-05.pt`` (TensorFlow's weights, with its resizing inside) is called with ``return_features=True`` and
gives the 2048 pool3 features that published FIDs are made of (Heusel et al. 2017). Another module is called with the
images alone, uint8 RGB. What is said of trust in `torchscript` holds here.
"""

import hashlib
import logging
import urllib.error
import urllib.request
from typing import Any

from torch import Tensor

from distal.communicator import on_first_rank
from distal.errors import ConfigError, EvaluationError
from distal.features.network import FeatureNetwork, FeatureRequest, rgb
from distal.features.torchscript import check_script, load_script, one_vector_each, read_script, width_of
from distal.run.artefacts import cached

TIMEOUT_S = 30
LARGEST_BYTES = 2**30
NVIDIAS_SIDE = 299  # px, to which NVIDIA's export brings images of any other side
logger = logging.getLogger(__name__)


def build_inception(request: FeatureRequest) -> FeatureNetwork:
    """Load the module at evaluate.extractor_path and put it on the communicator's device.

    The module resizes its images itself. A URL is fetched once by rank 0 and kept in the store. Raises ConfigError
    without a path, EvaluationError where the file cannot be had or is no TorchScript module.
    """
    path = check_path(request.path)
    where = f"evaluate.extractor_path={path}"
    if _is_url(path):
        name = hashlib.sha256(path.encode()).hexdigest()[:32]
        data = cached(request.store, f"extractors/{name}.pt", request.comm, lambda: _fetch(path))
    else:
        data = on_first_rank(request.comm, lambda: read_script(path, where))
    module = load_script(data, where, request.comm.device)
    forward: Any = module.forward
    is_nvidias = any(argument.name == "return_features" for argument in forward.schema.arguments)

    def features(images: Tensor) -> Tensor:
        output = module(rgb(images), return_features=True) if is_nvidias else module(rgb(images))
        return one_vector_each(output, images, path)

    width = width_of(features, request.image_size, request.comm.device)
    side = NVIDIAS_SIDE if is_nvidias else None
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
    if not _is_url(path):
        check_script(path, f"evaluate.extractor_path={path}")
    return path


def _is_url(path: str) -> bool:
    return path.startswith(("http://", "https://"))


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
