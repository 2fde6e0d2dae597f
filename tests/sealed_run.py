"""A tiny run as distal writes it, without training: round 1 committed, round 2 trained and not yet committed."""

import json
from pathlib import Path

import numpy as np

from distal.checkpoints import write_checkpoint
from distal.models import GAN
from distal.report.grid import sample_grid
from distal.resolve import make_config, print_config
from distal.run.directory import CONFIG, RunDirectory, round_path
from distal.run.ledger import Answer, Ledger, Query
from distal.run.predictions import Predictions, write_predictions

CLASSES = ["cat", "dog"]
SHAPE = (8, 1, len(CLASSES))
RESOLVED = {"distal": "0.1.0", "fingerprint": "a", "reference_fingerprint": "b", "rows": 99, "holdout": 0.3}
RESOLVED |= {"image_size": SHAPE[0], "channels": SHAPE[1], "classes": CLASSES}


def write_sealed_run(storage: Path) -> RunDirectory:
    """Write the run ``r``."""
    tree = {"name": "r", "storage": str(storage), "net": {"name": "dense", "width": 4, "latent_dim": 4, "features": 4}}
    config = make_config(tree)
    run = RunDirectory.open(str(storage), "r")
    run.write(CONFIG, print_config(config, RESOLVED).encode())
    ledger, state = Ledger(run, len(CLASSES)), GAN.create(config, *SHAPE)
    for round in (1, 2):
        rows = np.arange(4, dtype=np.int64) + 10 * round
        ledger.write_query(Query(round, rows, np.linspace(1, 0, 4, dtype=np.float32), "margin"))
        said = np.linspace(0.1, 0.9, 8, dtype=np.float32).reshape(4, 2)
        write_predictions(run, round, Predictions(rows, said, said[::-1]))
        ledger.record(round, [Answer(int(row), int(row) % 2, "somebody", 1.7e9 + float(row)) for row in rows])
        state.step = 5 * round
        write_checkpoint(run, round, state, {"generator": 0.5 / round, "discriminator": 0.25})
    score = {"name": "fid", "value": 20.5, "class": None}
    metrics = {"round": 1, "goal": "fid", "labels": 4, "steps": 5, "scores": [score]}
    run.write(round_path(1, "samples.png"), sample_grid(np.full((4, 1, 8, 8), 99, np.uint8), 2, row_names=CLASSES))
    run.write(round_path(1, "metrics.json"), json.dumps(metrics).encode())
    run.commit(1)
    return run


def unseal(run: RunDirectory) -> None:
    """Make the run what distal wrote before there were seals and digests."""
    assert run.local is not None
    (run.local / "rounds/0001/COMMITTED").write_bytes(b"round 1\n")
    config = run.local / CONFIG
    config.write_text("\n".join(config.read_text().split("\n")[:-2]) + "\n")
    for round in (1, 2):
        path = run.local / round_path(round, "checkpoint", "manifest.json")
        manifest = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("digest", "round")}
        del manifest["sha256"]["losses.json"]
        path.write_text(json.dumps(manifest))
