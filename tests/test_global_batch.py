"""A global batch given a worker at a time is settled when a run begins, and stays whatever workers it goes on with."""

from collections.abc import Callable
from typing import Any

import pytest

from distal.checkpoints import read_saved
from distal.config import Config, TrainConfig
from distal.driver.preparation import Preparation
from distal.driver.resources import possible_sizes
from distal.errors import RunError
from distal.resolve import override_config, read_config
from distal.run.directory import RunDirectory

Make = Callable[..., Config]


@pytest.fixture
def make(small_config: Make) -> Make:
    """Make configurations that name no global batch themselves."""

    def config(**train: Any) -> Config:
        return small_config(classifier="head", train={"batch_size": None, **train}, pool={"shards": 1})

    return config


def begun(config: Config) -> RunDirectory:
    """Begin a run: write what it is, and something of its first round."""
    run = RunDirectory.open(config.storage, config.name)
    Preparation(config, run).write(run)
    run.write("rounds/0001/samples.png", b"")
    return run


def gone_on(run: RunDirectory, config: Config) -> Config:
    """Take the run up under this configuration, as a driver does; return what it trains by."""
    opened = Preparation(config, run)
    opened.compare(run)
    opened.write(run)
    return opened.config


def test_the_batch_is_so_many_times_the_workers_one_where_there_are_none_and_64_where_nobody_says() -> None:
    assert TrainConfig(batch_per_worker=24, workers=4).global_batch == 96
    assert TrainConfig(batch_per_worker=24).global_batch == 24
    assert TrainConfig(workers=4).global_batch == TrainConfig().global_batch == 64
    assert possible_sizes(TrainConfig(batch_per_worker=3, workers=4, min_workers=1)) == [1, 2, 3, 4]


def test_a_run_keeps_its_batch_under_the_recorded_configuration_and_under_its_scripts_with_other_workers(
    make: Make,
) -> None:
    given = make(batch_per_worker=12, workers=4)
    run = begun(given)
    saved = read_saved(run)
    assert (saved.resolved["batch_size"], saved.config.train.batch_size) == (48, 48)
    assert gone_on(run, given).train == saved.config.train
    resumed = override_config(saved.config, ["train.workers=2"])
    assert gone_on(run, resumed).train == saved.config.train.model_copy(update={"workers": 2})
    assert gone_on(run, make(batch_per_worker=12, workers=8)).train.batch_size == 48


def test_another_batch_of_each_worker_is_another_run_unless_the_global_one_is_the_same(make: Make) -> None:
    run = begun(make(batch_per_worker=12, workers=4))
    with pytest.raises(RunError, match=r"differs in train\.batch_size"):
        gone_on(run, make(batch_per_worker=6, workers=4))
    with pytest.raises(RunError, match=r"differs in train\.batch_size"):
        gone_on(run, make(workers=4))
    assert gone_on(run, make(batch_per_worker=6, workers=8)).train.batch_size == 48
    assert gone_on(run, make(batch_size=48, workers=4)).train.batch_size == 48


def test_another_run_of_the_written_file_has_the_batch_of_its_own_workers(make: Make) -> None:
    run = begun(make(batch_per_worker=12, workers=4))
    assert run.local is not None
    file = run.local / "config.yaml"
    assert read_config(file, ["train.workers=3", "name=other"]).train.global_batch == 36


def test_a_run_of_an_older_distal_has_its_batch_among_its_keys(make: Make) -> None:
    run = begun(make(batch_size=16))
    text = run.read("config.yaml").decode()
    older = "\n".join(line for line in text.splitlines() if not line.startswith(("  batch_size: 16", "  digest:")))
    run.write("config.yaml", (older.replace("train:", "train:\n  batch_size: 16") + "\n").encode())
    assert "batch_size" not in read_saved(run).resolved
    assert gone_on(run, make(batch_size=16)).train.batch_size == 16
