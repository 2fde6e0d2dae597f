"""Whatever is wrong with a sweep is refused before anything starts, in at most three lines that name the key."""

from pathlib import Path
from typing import Any

import pytest

from distal.errors import ConfigError, RunError
from distal.resolve import make_config
from distal.run.directory import RunDirectory
from distal.sweep.resolve import check_point, check_sweep, make_sweep, print_sweep, read_saved_sweep, read_sweep

STRATEGIES = {"query.strategy": ["margin", "badge"]}
RATES = {"model.learning_rate_g": {"loguniform": [1e-4, 1e-3]}}
CONFIGS = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.yaml"))


def refusal(tree: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        check_sweep(make_sweep(tree))
    message = str(raised.value)
    assert len(message.splitlines()) <= 3
    return message


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_sweep_that_is_shipped_is_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    sweep = read_sweep(path)
    _, space, points = check_sweep(sweep)
    assert sweep.name == path.stem
    assert space.keys
    assert bool(points) != (sweep.searcher == "optuna")


def test_the_shipped_ones_are_those_that_the_readme_promises() -> None:
    assert [path.stem for path in CONFIGS] == ["joint", "pbt", "regularizers", "smoke", "strategies"]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, "space: nothing is searched"),
        ({"spac": STRATEGIES}, "did you mean 'space'"),
        ({"space": {"query.strategi": ["margin"]}}, "space.query.strategi: unknown key; did you mean 'query.strategy'"),
        ({"space": {"query.strategy": ["margni"]}}, "did you mean 'margin'"),
        ({"space": {"query.strategy": []}}, "space.query.strategy.choice: expected a list"),
        ({"space": {"train.steps": {"uniform": [1.5, 3]}}}, "space.train.steps"),
        (
            {"space": {"query.batch": [10, 20]}},
            "query.batch: this key is not searched: trials are compared",
        ),
        ({"space": {"model.regularizers.r9": [1.0]}}, "unknown regularizer 'r9'"),
        ({"space": {"model.learning_rate_g": {"uniform": [-1.0, 1.0]}}}, "greater than 0; given: -1.0"),
        ({"space": {"query": [{}]}}, "this is a section"),
        ({"space": {"seed": [1, 2]}}, "list of seeds"),
        ({"space": {"pool.image_size": [8, 16]}}, "incomparable"),
        ({"space": {"evaluate.samples": [100]}}, "incomparable"),
        ({"space": {"rounds": [1, 2]}}, "equal labels"),
        ({"space": {"train.workers": [0, 1]}}, "resources.workers"),
        ({"space": STRATEGIES, "metric": "fid"}, "unknown score 'fid'"),
        ({"space": STRATEGIES, "mode": "max"}, "set mode=min"),
        ({"space": STRATEGIES, "metric": "accuracy", "mode": "min"}, "set mode=max"),
        ({"space": STRATEGIES, "base": {"quer": {}}}, "base.quer: unknown key"),
        ({"space": STRATEGIES, "base": {"oracle": {"kind": "files"}}}, "base.oracle.kind"),
        ({"space": STRATEGIES, "base": {"rounds": 1}}, "leave nothing to stop"),
        ({"space": STRATEGIES, "early_stop": {"grace": 5}}, "leave nothing to stop"),
        ({"space": STRATEGIES, "early_stop": {"grace": 1}}, "the same run until round 2"),
        ({"space": STRATEGIES, "early_stop": {"grace": 1, "scheduler": "median"}}, "Set early_stop.grace=2 or more"),
        ({"space": STRATEGIES, "early_stop": {"reduction": 1}}, "early_stop.reduction"),
        ({"space": STRATEGIES, "early_stop": {"scheduler": "ahsa"}}, "early_stop.scheduler"),
        ({"space": STRATEGIES, "searcher": "optuna"}, "learns over ranges"),
        ({"space": RATES, "searcher": "grid"}, "cannot try all of a range"),
        ({"space": RATES | {"query.strategy": {"grid": ["margin"]}}, "searcher": "optuna"}, "Make it a choice"),
        ({"space": RATES, "searcher": "optuna", "seeds": [0, 1]}, "Give one"),
        ({"space": RATES, "searcher": "bohb", "early_stop": {"scheduler": "asha"}}, "learns from hyperband's rungs"),
        ({"space": STRATEGIES, "address": "ray://head:10001"}, "address=auto"),
        ({"space": RATES, "early_stop": {"scheduler": "hyperband"}, "concurrency": 2}, "pauses trials"),
        ({"space": STRATEGIES, "early_stop": {"scheduler": "pbt"}}, "keys under train."),
        ({"space": RATES, "early_stop": {"scheduler": "pbt"}, "seeds": [0, 1]}, "one population"),
        ({"space": RATES, "early_stop": {"scheduler": "pbt", "interval": 5}}, "no exchange"),
        ({"space": RATES, "early_stop": {"scheduler": "pbt"}, "trials": 3}, "could take over"),
        ({"space": RATES, "early_stop": {"scheduler": "pbt"}, "concurrency": 2}, "pauses trials"),
        ({"space": STRATEGIES, "seeds": []}, "seeds"),
        ({"space": STRATEGIES, "seeds": [1, 1]}, "twice"),
        ({"space": STRATEGIES, "loggers": ["mlflow"]}, "mlflow"),
        ({"space": {"train.batch_size": [64, 63]}, "base": {"train": {"workers": 2}}}, "train.batch_size"),
        ({"space": STRATEGIES, "resources": {"cpus": 0}}, "resources.cpus"),
        ({"space": STRATEGIES, "trials": 0}, "trials"),
        ({"space": STRATEGIES, "name": "a/b"}, "name"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tree: dict[str, Any], words: str) -> None:
    assert words in refusal(tree)


def test_points_that_do_not_go_together_are_refused_before_they_run() -> None:
    base = make_config({"train": {"workers": 2}})
    with pytest.raises(ConfigError, match=r"space: the point train\.batch_size=63 is refused:\ntrain\.batch_size"):
        check_point(base, {"train.batch_size": 63})


def test_where_the_first_round_tells_trials_apart_they_may_be_stopped_after_it() -> None:
    check_sweep(make_sweep({"space": RATES | {"query.cold_start": ["random", "coreset"]}, "early_stop": {"grace": 1}}))


def test_a_searcher_that_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install optuna" in refusal({"space": RATES, "searcher": "optuna"})


def test_a_base_may_be_a_file_beside_the_sweep_and_overrides_go_on_top(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("rounds: 7\nquery: {batch: 4}\n")
    (tmp_path / "sweep.yaml").write_text("base: base.yaml\nspace: {query.strategy: [margin, badge]}\n")
    sweep = read_sweep(tmp_path / "sweep.yaml", ["base.query.batch=6", "trials=3"])
    base, _, points = check_sweep(sweep)
    assert (base.rounds, base.query.batch, len(points)) == (7, 6, 2)


def test_a_sweep_is_written_and_read_back(tmp_path: Path) -> None:
    sweep = make_sweep({"space": STRATEGIES | RATES, "base": {"rounds": 3}, "storage": str(tmp_path), "name": "a"})
    base, *_ = check_sweep(sweep)
    directory = RunDirectory.open(str(tmp_path), "a")
    directory.write("sweep.yaml", print_sweep(sweep, base).encode())
    read, read_base = read_saved_sweep(directory)
    assert read_base == base
    assert read.space == sweep.space


@pytest.mark.parametrize("content", [b"- 1", b"name: [", b"space: 3", b""])
def test_a_damaged_sweep_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    directory = RunDirectory.open(str(tmp_path), "a")
    directory.write("sweep.yaml", content)
    with pytest.raises(RunError, match="damaged"):
        read_saved_sweep(directory)


def test_a_folder_without_a_sweep_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no sweep here"):
        read_saved_sweep(RunDirectory.open(str(tmp_path), "a"))
