"""Write a drawing as ONNX or as torch.export's program, and read it back as what runs it would."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from distal.errors import ConfigError
from distal.nets.drawing import Drawing

Draw = Callable[[Tensor, Tensor], Tensor]
"""From latents float32 [n, z] and labels int64 [n] to images uint8 [n, C, H, W], on the CPU."""

MOST_ROWS = 65536
"""Rows of one call that the files accept, at most; at least one."""

LEAST_VALUES = 256
"""A weight of fewer values stays float32 in an int8 file: its scales would take as much as they save."""


def exported(drawing: Drawing) -> torch.export.ExportedProgram:
    """Return the program of a drawing on the CPU, for any number of rows."""
    n = torch.export.Dim("n", min=1, max=MOST_ROWS)
    latents = torch.zeros(3, drawing.generator.latent_dim)
    with torch.no_grad(), _quiet():
        return torch.export.export(
            drawing, (latents, torch.zeros(3, dtype=torch.int64)), dynamic_shapes=({0: n}, {0: n})
        )


def to_torch(drawing: Drawing) -> bytes:
    """Return a `.pt2` of torch.export, which `torch.export.load(file).module()` reads."""
    file = io.BytesIO()
    with _quiet():
        torch.export.save(exported(drawing), file)
    return file.getvalue()


def from_torch(data: bytes) -> Draw:
    """Return what a `.pt2` draws."""
    with _quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    def draw(latents: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            images: Tensor = module(latents, labels)
        return images

    return draw


def require_onnx() -> None:
    """Raise ConfigError where what writes and runs ONNX is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--out: a .onnx file needs a package that is not installed ({error.name}).\n"
            "Run: pip install 'distal[export]'; or give a .pt2, which torch alone writes and reads."
        ) from None


def to_onnx(drawing: Drawing) -> bytes:
    """Return an ONNX model with inputs `latents` and `labels` and the output `images`."""
    names = {"input_names": ["latents", "labels"], "output_names": ["images"]}
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(exported(drawing), **names, verbose=False)  # type: ignore[arg-type]
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def with_int8_weights(data: bytes) -> bytes:
    """Return an ONNX model whose matrices and kernels are int8, with a float32 scale for each output.

    Symmetric, by the largest value of an output's weights, as `smaller.rounded_` rounds: so images stay as they are.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(data)
    graph, nodes = model.graph, []
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        latents = weight.name.startswith("codes.")  # of labeled images: no weights
        if latents or weight.data_type != onnx.TensorProto.FLOAT or values.ndim < 2 or values.size < LEAST_VALUES:
            continue
        scale = _scales(values)
        whole = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
        name = weight.name
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(whole, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        inputs = [f"{name}.int8", f"{name}.scale"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    smaller: bytes = model.SerializeToString()
    return smaller


def _scales(values: np.ndarray) -> np.ndarray:
    most = np.abs(values.reshape(len(values), -1)).max(1)
    return np.where(most > 0, most / 127, 1).astype(np.float32)


def from_onnx(data: bytes) -> Draw:
    """Return what an ONNX model draws, by onnxruntime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def draw(latents: Tensor, labels: Tensor) -> Tensor:
        (images,) = session.run(["images"], {"latents": latents.numpy(), "labels": labels.numpy()})
        return torch.from_numpy(images)

    return draw


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes on packages that are not there, and on their own deprecated calls, to themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
