"""Draw the images of a query that are the generator's own, keep them in the run, count what became of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from distal.config import Config
from distal.data.generated import decode_png, encode_image
from distal.models import Model
from distal.nets.threads import one_thread
from distal.query.synthesis import synthesize
from distal.run.directory import RunDirectory
from distal.run.generated import Generated, GeneratedImages, next_ids, read_generated, write_generated
from distal.run.ledger import Labels, Ledger
from distal.train.synthesized import Synthesized

Ids = npt.NDArray[np.int64]


def number_to_draw(config: Config, labels: Labels, batch: int, step: int) -> int:
    """Return how many of a batch are drawn: `query.synthesize` of it, rounded down, once there is a boundary.

    That is: the model has learned, and two classes have labels. step: updates that the model has had.
    """
    ready = step > 0 and len(np.unique(labels.labels)) > 1
    return int(config.query.synthesize * batch + 1e-9) if ready else 0


def draw_to_ask(
    run: RunDirectory, config: Config, model: Model, labels: Labels, n: int, round: int
) -> tuple[Ids, npt.NDArray[np.float32]]:
    """Draw n images, keep them as the round's generated.parquet, and return their row ids and scores; none for n = 0.

    With one CPU thread: a resumed run draws the same bytes.
    """
    if n == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    known, latent_dim = np.unique(labels.labels), config.net.latent_dim
    with one_thread():
        drawn = synthesize(model.generate, model.scorer(), known, n, latent_dim, config.seed, round)
    files = tuple(map(encode_image, drawn.images))
    row_ids = next_ids(run, round, n)
    write_generated(run, round, Generated(row_ids, files, drawn.classes, drawn.probs))
    return row_ids, drawn.scores


def answered_images(run: RunDirectory, answers: Labels) -> Synthesized | None:
    """Return what training learns of the answers to drawn images; None where there are none."""
    if not len(answers.row_ids):
        return None
    files = GeneratedImages(run).files(answers.row_ids)
    return Synthesized(np.stack([decode_png(data) for data, _ in files]), answers.labels)


def what_became(run: RunDirectory, ledger: Ledger) -> dict[str, Any] | None:
    """Count all answers to drawn images: how many there are, of the class they were drawn for, of another, of none.

    None where there are none.
    """
    answers = ledger.of_generated()
    if not len(answers.row_ids):
        return None
    parts = [each for round in run.rounds() if (each := read_generated(run, round)) is not None]
    row_ids = np.concatenate([part.row_ids for part in parts])
    drawn_for = np.concatenate([part.classes for part in parts])[np.searchsorted(row_ids, answers.row_ids)]
    as_drawn, nothing = int((answers.labels == drawn_for).sum()), int((answers.labels < 0).sum())
    other = len(answers.row_ids) - as_drawn - nothing
    return {"answers": len(answers.row_ids), "as_drawn": as_drawn, "another": other, "nothing": nothing}
