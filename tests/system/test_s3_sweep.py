"""A sweep whose folder lies on a real S3 server: trials in processes of their own, found again by --resume."""

from pathlib import Path
from typing import Any

import pytest
from buckets import S3Server
from small_pools import write_extractor
from small_sweeps import sweep_tree

from distal.errors import RunError
from distal.run.directory import RunDirectory
from distal.sweep.resolve import make_sweep
from distal.sweep.results import Results
from distal.sweep.tuner import run_sweep

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]

SPACE = {"query.strategy": {"grid": ["random", "margin"]}}


def committed(sweep: RunDirectory) -> dict[str, dict[int, float]]:
    """Return when each round of each trial was committed."""
    runs = {name: sweep.inside("trials", name) for name in sweep.list("trials") if name != "evaluation-cache"}
    return {
        name: {number: run.modified(f"rounds/{number:04d}/COMMITTED") for number in run.committed()}
        for name, run in runs.items()
    }


def test_a_sweep_on_s3_ends_with_its_results_and_is_taken_up_again_without_computing(
    s3_server: S3Server, decoded: Path, tmp_path: Path
) -> None:
    storage: Any = s3_server.uri(f"{s3_server.bucket()}/sweeps")
    extractor = {"extractor": "inception", "extractor_path": str(write_extractor(tmp_path / "coarse.pt"))}
    base = {"rounds": 1, "train": {"steps": 5}, "evaluate": extractor}
    whole = sweep_tree(
        storage, decoded, SPACE, shared=False, searcher="grid", base=base, early_stop={"scheduler": "none"}
    )
    sweep = make_sweep(whole)

    results = run_sweep(sweep)

    assert [trial.state for trial in results.trials] == ["finished", "finished"]
    directory = RunDirectory.open(storage, "sweep")
    for name in ("sweep.yaml", "results.parquet", "curves.parquet", "best.yaml", "report.html"):
        assert directory.read(name), name
    assert b"test:test" not in directory.read("report.html")
    assert directory.holder() is None
    before = committed(directory)
    assert [len(rounds) for rounds in before.values()] == [1, 1]

    with pytest.raises(RunError, match="--resume"):
        run_sweep(sweep)
    again = run_sweep(sweep, resume=True)

    assert committed(directory) == before
    assert [trial.point for trial in again.trials] == [trial.point for trial in results.trials]
    assert Results.read(directory).best.point == results.best.point
