"""Export a committed round's generator, without Ray: made smaller if asked, written, read back, compared, scored."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from distal.checkpoints import TrainedGenerator, open_generator
from distal.communicator import Alone
from distal.config import EVALUATION_CACHE
from distal.driver.preparation import Preparation
from distal.errors import ConfigError
from distal.export.distill import distilled
from distal.export.formats import (
    LEAST_VALUES,
    Draw,
    from_onnx,
    from_torch,
    require_onnx,
    to_onnx,
    to_torch,
    with_int8_weights,
)
from distal.export.smaller import pruned_, rounded_
from distal.export.table import Costs, Smaller, compared_rows, costs, described, require_same_images
from distal.models import Exportable
from distal.nets.drawing import Drawing
from distal.places import absolute
from distal.resolve import override_config
from distal.run.directory import RunDirectory
from distal.run.files import LocalFiles

Listen = Callable[[str], None]


def export_round(
    run: RunDirectory, target: str, how: Smaller, overrides: Sequence[str], round: int | None, listen: Listen
) -> str:
    """Write the generator of a committed round, the last one by default, to `target`; return a table of what it costs.

    Raises:
        ConfigError: a target of another ending, an option that it cannot hold, a model that no single module draws for,
            or a package that is not installed. RunError: no such run or round, or the file draws other images.
    """
    onnx = _is_onnx(target, how)
    generator = open_generator(run, round)
    model = generator.state
    if not isinstance(model, Exportable):
        raise ConfigError(
            f"model.kind: {model.config.model.kind} is not drawn by one network, which is what a file holds.\n"
            "Export a run of a gan or a vae; distal generate draws of any model."
        )
    trained = model.drawing()
    rows = compared_rows(trained.generator.latent_dim, trained.generator.classes)
    with torch.no_grad():
        first = trained(*rows)
    distance = _scored(run, generator, overrides, listen)
    lines: list[Costs] = []
    stages = [("as trained", trained, False), *_made_smaller(generator, trained, how, listen)]
    data = b""
    for name, drawing, int8 in stages:
        listen(f"writing {name}")
        data = to_onnx(drawing) if onnx else to_torch(drawing)
        data = with_int8_weights(data) if int8 else data
        draw = from_onnx(data) if onnx else from_torch(data)
        with torch.no_grad():
            require_same_images(draw(*rows), drawing(*rows), target)
        lines.append(costs(name, data, draw, first, rows, distance))
    _write(target, data)
    return f"{described(lines)}\nwrote {lines[-1].name}, round {generator.round}, to {target}"


def _is_onnx(target: str, how: Smaller) -> bool:
    ending = Path(target).suffix
    if ending not in (".onnx", ".pt2"):
        raise ConfigError(f"--out: '{target}' ends in neither .onnx nor .pt2.\nGive one of these.")
    if how.int8 and ending != ".onnx":
        raise ConfigError("--int8: a .pt2 holds float32 weights alone.\nGive --out a name that ends in .onnx.")
    if ending == ".onnx":
        require_onnx()
    return ending == ".onnx"


def _made_smaller(
    generator: TrainedGenerator, trained: Drawing, how: Smaller, listen: Listen
) -> list[tuple[str, Drawing, bool]]:
    """Return what each further option makes of a generator: (name, drawing, whether its weights are kept as int8)."""
    config, drawing, name = generator.state.config, trained, ""
    stages: list[tuple[str, Drawing, bool]] = []
    if how.distill is not None:
        net = config.net.model_copy(update={"width": how.distill, "units_g": None})
        size, channels, _ = generator.saved.shape
        said = lambda done, loss: listen(f"distilling: {done} of {how.steps} updates, apart {loss:.4f}")  # noqa: E731
        drawing = distilled(trained, net, size, channels, how.steps, config.seed, said)
        name = f"distilled to width {how.distill}"
        stages.append((name, drawing, False))
    if how.prune is not None:
        drawing = copy.deepcopy(drawing)
        pruned_(drawing, how.prune)
        name = ", ".join(filter(None, [name, f"pruned by {how.prune:g}"]))
        stages.append((name, drawing, False))
    if how.int8:
        drawing = copy.deepcopy(drawing)
        rounded_(drawing, LEAST_VALUES)
        stages.append((", ".join(filter(None, [name, "int8"])), drawing, True))
    return stages


def _scored(
    run: RunDirectory, generator: TrainedGenerator, overrides: Sequence[str], listen: Listen
) -> Callable[[Draw], float | None]:
    """Return what measures the distance of a file's images, as `distal evaluate` does."""
    for override in overrides:
        if not override.startswith(("evaluate.", "pool.path=", "pool.cache=")):
            raise ConfigError(
                f"'{override}': only keys under evaluate., pool.path and pool.cache can be overridden here."
            )
    opened = Preparation(override_config(generator.saved.config, overrides), run)
    own_reference = not any(override.startswith("evaluate.path=") for override in overrides)
    opened.require_same_images(run, generator.saved, own_reference)
    comm = Alone()
    evaluator = opened.evaluator(run.beside(EVALUATION_CACHE))
    listen("describing the held-out images")
    evaluator.prepare(comm)

    def distance(draw: Draw) -> float | None:
        return evaluator.goal(evaluator.evaluate(draw, None, comm)).value

    return distance


def _write(target: str, data: bytes) -> None:
    place = Path(absolute(target))
    LocalFiles(place.parent).write(place.name, data)
