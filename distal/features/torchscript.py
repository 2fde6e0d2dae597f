"""The feature network ``torchscript:PATH``: any TorchScript module that turns images into vectors, from a file.

It is called with RGB images [n, 3, S, S], uint8 where it takes them, else float32 between 0 and 1, and returns [n, F].
An attribute `size` of it, an int, says to which side images are brought first. Only `torch.jit.load` reads the file, so
nothing is unpickled; but a TorchScript file is a program, which runs when it is loaded and called, with all that this
process may do. Load only files that are trusted like code.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from distal.communicator import on_first_rank
from distal.errors import ConfigError, EvaluationError
from distal.features.network import FeatureNetwork, FeatureRequest, hash_of, resized, rgb


def build_torchscript(request: FeatureRequest, argument: str) -> FeatureNetwork:
    """Build the network of the file at the absolute path `argument`.

    Raises ConfigError for another path, EvaluationError where the file is no module or gives no vectors.
    """
    name = f"torchscript:{argument}"
    check_torchscript(argument)
    data = on_first_rank(request.comm, lambda: read_script(argument, name))
    module = load_script(data, name, request.comm.device)
    size = getattr(module, "size", None)
    size = size if isinstance(size, int) else None

    def as_bytes(images: Tensor) -> Tensor:
        return one_vector_each(module(rgb(images)), images, name)

    def as_floats(images: Tensor) -> Tensor:
        return one_vector_each(module(rgb(images).float() / 255), images, name)

    def sized(features: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        if size is None:
            return features
        return lambda images: features(resized(images, size).round().to(torch.uint8))

    side = size or request.image_size
    try:
        kind, width = "uint8", width_of(as_bytes, side, request.comm.device)
    except RuntimeError:  # what torch raises where an operation has no form for uint8, as a convolution
        kind, width = "float", _width_of_floats(as_floats, side, request.comm.device, name)
    features = sized(as_bytes if kind == "uint8" else as_floats)
    return FeatureNetwork(name, hash_of(data, f"{kind}, {size} px"), width, size, 3, features)


def check_torchscript(path: str) -> None:
    """Look at the path and at the first bytes of the file.

    Raises ConfigError where the path is not absolute, EvaluationError where no TorchScript file is there.
    """
    if not Path(path).is_absolute():
        raise ConfigError(
            f"torchscript:{path}: processes of a run stand in folders of their own, which do not have this path.\n"
            f"Give the path from the root on, torchscript:{Path(path).expanduser().absolute()}."
        )
    check_script(path, f"torchscript:{path}")


def check_script(path: str, where: str) -> None:
    """Raise EvaluationError where the file is missing or no zip archive, as TorchScript is; where: for messages."""
    with _readable(where), Path(path).expanduser().open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise _no_torchscript(where)


def read_script(path: str, where: str) -> bytes:
    """Return the file's bytes; EvaluationError where it cannot be read."""
    with _readable(where):
        return Path(path).expanduser().read_bytes()


def load_script(data: bytes, where: str, device: torch.device) -> torch.jit.ScriptModule:
    """Return the module in eval mode; EvaluationError where the bytes are none."""
    try:
        with warnings.catch_warnings():  # torch deprecates TorchScript; published files exist in no other form
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(data), map_location=device
            )
    except (RuntimeError, ValueError) as error:
        raise _no_torchscript(where) from error
    return module.eval()


def one_vector_each(output: object, images: Tensor, where: str) -> Tensor:
    """Return the output as [n, F]; EvaluationError where it is anything but one feature vector an image."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(images):
        raise EvaluationError(f"{where} must return one feature vector an image, a tensor [N, F].")
    return output.flatten(1)


@torch.inference_mode()
def width_of(features: Callable[[Tensor], Tensor], side: int, device: torch.device) -> int:
    """Return how wide the features of an image uint8 [1, 3, side, side] are, by looking at a black one."""
    return features(torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device)).shape[1]


def _width_of_floats(features: Callable[[Tensor], Tensor], side: int, device: torch.device, name: str) -> int:
    try:
        return width_of(features, side, device)
    except RuntimeError as error:
        detail = (str(error).strip() or type(error).__name__).splitlines()[-1][:120]
        raise EvaluationError(
            f"{name} takes images [n, 3, {side}, {side}] neither as uint8 nor as float32: {detail}\n"
            "Give a module that takes one of them; an attribute `size` of it says which side it wants."
        ) from error


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvaluationError(
            f"Cannot read {where}: {error.strerror}.\nGive a TorchScript file that is there."
        ) from error


def _no_torchscript(where: str) -> EvaluationError:
    return EvaluationError(
        f"{where} is not a TorchScript module.\nGive a file saved by torch.jit.save, such as inception-2015-12-05.pt."
    )
