"""Whatever bit of a run directory changes, readers name the file, or read what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sealed_run import CLASSES, SHAPE, unseal, write_sealed_run

from distal.checkpoints import read_checkpoint, read_losses, read_saved
from distal.errors import DistalError
from distal.ledger import Ledger
from distal.results import read_result
from distal.rundir import CONFIG, RunDirectory, round_path
from distal.seals import is_sealed_yaml, print_seal, read_seal, seal_yaml, tree_digest, with_digest
from distal.train import TrainState

FLIPS = 40
"""Of each file."""

CHECKPOINT = ("generator.safetensors", "losses.json", "manifest.json")
IN_ROUND = ("query.parquet", "labels.parquet", *(f"checkpoint/{name}" for name in CHECKPOINT))
FILES = [CONFIG, *(round_path(1, name) for name in ("metrics.json", "samples.png", "COMMITTED"))]
FILES += [round_path(round, name) for round in (1, 2) for name in IN_ROUND]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return write_sealed_run(tmp_path_factory.mktemp("sealed"))


def read(run: RunDirectory, path: str) -> Any:
    """Return what the file's own reader makes of it, in a process that has read nothing yet."""
    run = RunDirectory.open(run.storage, run.name)
    if path == CONFIG:
        saved = read_saved(run)
        return saved.config.model_dump(), saved.resolved
    round, ledger = int(path.split("/")[1]), Ledger(run, len(CLASSES))
    if path.endswith("query.parquet"):
        query = ledger.read_query(round)
        assert query is not None
        return query.row_ids.tolist(), query.scores.tolist(), query.strategy
    if path.endswith(("labels.parquet", "COMMITTED")):
        return ledger.answers(round)
    if path.endswith("metrics.json"):
        return read_result(run, round).metrics
    if path.endswith("samples.png"):
        return run.read(path)
    files = read_checkpoint(run, round)
    state = TrainState.from_files(read_saved(run).config, files, "cpu", SHAPE)
    return state.to_files(), read_losses(run, round, files)


@pytest.mark.parametrize("path", FILES)
def test_a_flipped_bit_is_refused_by_name_or_changes_nothing(written: RunDirectory, path: str) -> None:
    assert written.local is not None
    file, expected = written.local / path, read(written, path)
    whole, rng = file.read_bytes(), np.random.default_rng(FILES.index(path))
    refused = 0
    try:
        for bit in rng.choice(8 * len(whole), FLIPS, replace=False).tolist():
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            try:
                assert read(written, path) == expected, f"bit {bit}"
            except DistalError as error:
                assert file.name in str(error), f"bit {bit}: {error}"
                assert str(error).count("\n") <= 2
                refused += 1
    finally:
        file.write_bytes(whole)
    assert refused > FLIPS / 2
