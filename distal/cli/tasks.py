"""Carry what a run asks to a labeling tool, and bring back what was answered there, in files."""

import base64
import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distal.checkpoints import read_saved
from distal.data.digits import encode_png
from distal.data.generated import RunImages
from distal.driver.preparation import Preparation
from distal.errors import ConfigError, OracleError, RunError, StorageError
from distal.oracle import Asked, Classes
from distal.oracle.formats import FORMATS, Batch, Task, read_answers
from distal.oracle.formats.task import IN_PLACES, image_place
from distal.oracle.told import take
from distal.resolve import override_config
from distal.run.directory import RunDirectory
from distal.run.files import LocalFiles
from distal.run.generated import FIRST
from distal.run.ledger import Ledger
from distal.run.predictions import read_predictions

log = logging.getLogger(__name__)

SHOWN = 10
"""Refused answers that are named one by one."""


def export_tasks(
    run: RunDirectory, overrides: Sequence[str], out: str, form: str, url: str | None, suggest: bool
) -> str:
    """Write what awaits an answer into a new folder; return what was written, for people.

    url: says where the tool finds an image, from {row_id} and {path}; None: it travels along. suggest: tell what the
    probe takes each image for.

    Raises:
        ConfigError: an unknown format, or a folder that has such files. RunError: nothing is awaited.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format: '{form}' is none.\nKnown: {', '.join(FORMATS)}.")
    _check(url, overrides)
    saved = read_saved(run)
    asked = _awaited(run, Preparation(override_config(saved.config, overrides), run))
    files, embed = LocalFiles(Path(out).expanduser().absolute()), form == "label-studio"
    for name in FORMATS[form](Batch([], 1, "", saved.classes)):
        if files.has(name):
            raise ConfigError(
                f"--out: {files.root / name} is there already, and may hold answers.\nGive the name of a new folder."
            )
    said = read_predictions(run, asked.round) if suggest else None
    suggestions = {} if said is None else said.likeliest(saved.classes)
    tasks = []
    for item, score in zip(asked, asked.scores.tolist(), strict=True):
        name, place = f"images/{item.row_id}.png", ""
        if url is not None and item.row_id < FIRST:  # an image that the run drew lies nowhere else
            place = image_place(url, item.row_id, item.path)
        else:
            png = encode_png(item.image)
            place = f"data:image/png;base64,{base64.b64encode(png).decode()}" if embed else name
            if not embed:
                files.write(name, png)
        height, width = item.image.shape[:2]
        suggestion = suggestions.get(item.row_id)
        tasks.append(Task(item.row_id, place, item.path, score, (width, height), suggestion))
    batch = Batch(tasks, asked.round, str(saved.resolved["fingerprint"]), saved.classes)
    written = FORMATS[form](batch)
    for name, data in written.items():
        files.write(name, data)
    return (
        f"wrote {len(tasks)} tasks of round {asked.round} to {files.root}: {', '.join(written)}"
        f"{'' if embed or url else ', images/'}\nwhen they are answered: distal import-labels {run.uri} FILE"
    )


def import_labels(run: RunDirectory, place: str, annotator: str) -> str:
    """Keep the answers that a file brings, each line on its own; return how many, for people.

    annotator: stands where the file does not say who answered.

    Raises:
        OracleError: the file is none that can be read; or some answers are refused, after the others are kept.
    """
    saved = read_saved(run)
    classes = Classes(saved.classes, saved.config.oracle.cost)
    try:
        data = Path(place).expanduser().read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read {place}: {error.strerror}\nGive the file that the tool has exported."
        ) from None
    brought = read_answers(data, str(saved.resolved["fingerprint"]), annotator, time.time())
    with run.lock("driver"):
        ledger = Ledger(run, len(classes.names))
        taken = take(ledger, classes, brought.told)
        for round, answers in taken.answers.items():
            ledger.record(round, answers)
        query = ledger.read_query(len(run.committed()) + 1)
        pending = 0 if query is None else len(ledger.pending(query))
    declined = sum(answer.label is None for answers in taken.answers.values() for answer in answers)
    said = f"{taken.count} answers kept ({declined} decline their image), {len(taken.known)} were known"
    refused = [*brought.problems, *taken.refused]
    for line in refused[:SHOWN]:
        log.warning("not taken: %s", line)
    if refused:
        raise OracleError(
            f"{place}: {said}, {len(refused)} refused: {refused[0]}"
            + (f" (and {len(refused) - 1} more)" if len(refused) > 1 else "")
            + f"\nMend and import it again: what is kept stays. Known classes: {classes.known()}"
        )
    rest = f"{pending} labels are still awaited" if pending else f"to go on: distal resume {run.uri}"
    return f"{said}; {rest}"


def _awaited(run: RunDirectory, opened: Preparation) -> Asked:
    """Return what the open round asks and nobody has answered. Raises RunError where there is no such thing."""
    opened.require_same_images(run, read_saved(run))
    ledger, round = Ledger(run, len(opened.classes)), len(run.committed()) + 1
    query = ledger.read_query(round)
    pending = np.empty(0, np.int64) if query is None else ledger.pending(query)
    if query is None or not len(pending):
        raise RunError(f"{run.uri}: no label is awaited.\nGo on with it first: distal resume {run.uri}")
    images = RunImages(opened.images, run)
    return Asked(query, pending, images, opened.classes, opened.config.pool.max_pixels)


def _check(url: str | None, overrides: Sequence[str]) -> None:
    if url is not None and not re.search(IN_PLACES, url):
        raise ConfigError(
            f"--url: {url!r} is the same for every image.\n"
            "Give for example 'https://images.example/{path}'; {row_id} is known as well."
        )
    for override in overrides:
        if not override.startswith(("pool.path=", "pool.cache=")):
            raise ConfigError(f"'{override}': only pool.path and pool.cache fit here.\nLeave it out.")
