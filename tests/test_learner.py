"""The driver's object, over real shard actors: rounds handed out, images by class, errors before any process starts."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distal import ActiveLearner, Config, ConfigError, EvaluationError, Event, OracleError, RunError, View
from distal.driver.preparation import Preparation
from distal.resolve import print_config
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger, Query

pytestmark = pytest.mark.system

Make = Callable[..., Config]


def test_rounds_are_handed_out_as_they_are_committed_and_an_object_may_go_on(
    local_ray: None, small_config: Make
) -> None:
    events: list[Event] = []
    learner = ActiveLearner(small_config(), listen=events.append)
    with pytest.raises(RunError, match="there is no run here"):
        learner.generate(["3"])
    first = next(iter(learner.rounds()))
    assert (first.round, first.metrics["labels"]) == (1, 10)
    assert learner.run_directory.committed() == [1]
    assert (events[0].phase, events[0].facts["rounds"], events[-1].phase) == ("prepare", 2, "end")
    assert learner.run().reason == "budget"
    assert [result.round for result in learner.results_] == [2]

    images = learner.generate(["3", 3, np.int64(7)], seed=5)
    assert images.shape == (3, 1, 8, 8)
    assert np.array_equal(images, learner.generate([3, "3", "7"], seed=5))
    assert not np.array_equal(images, learner.generate([3, 3, 7], seed=6))
    with pytest.raises(ConfigError, match=r"class '12' is unknown.*\nKnown: 0, 1"):
        learner.generate([12])


def test_queries_and_losses_are_the_same_in_process_and_with_three_shards_on_another_node(
    local_ray: None, small_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the node of the driver, which trains, decodes nothing of the pool."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = []
    for pool in ({"shards": 0}, {"shards": 3, "cache": None}):
        query = {"strategy": "badge", "cold_start": "coreset"}
        learner = ActiveLearner(small_config(name=f"on-{pool['shards']}", pool=pool, query=query))
        learner.run()
        queries = [Ledger(learner.run_directory).read_query(round) for round in (1, 2)]
        asked = [query.row_ids.tolist() for query in queries if query is not None]
        found.append((asked, [(r.metrics["losses"], r.metrics["scores"]) for r in learner.results_]))
    assert len(found[0][0]) == 2
    assert found[0] == found[1]
    assert list(tmp_path.rglob("*.parquet"))  # the embedded pool itself
    assert not list(tmp_path.rglob("chunk-*"))


def test_an_open_question_is_settled_before_anything_is_started(
    small_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distal.driver.serve.cluster", None)
    config = small_config(oracle={"kind": "files"}, pool={"shards": 1})
    run = RunDirectory.open(config.storage, config.name)
    Preparation(config).write(run)
    Ledger(run).write_query(Query(1, np.array([7, 3]), np.zeros(2, np.float32), "random"))
    assert "waiting for 2 labels" in ActiveLearner(config).run().message
    sheet = "rounds/0001/to-label/labels.csv"
    run.write(sheet, b"row_id,label\n7,1\n3,\n")
    assert "waiting for 1 label:" in ActiveLearner(config).run().message
    run.write(sheet, b"row_id,label\n7,2\n3,no class\n")
    with pytest.raises(OracleError, match=r"line 3: 'no class' is no class.*\(and 1 more\)"):
        ActiveLearner(config).run()
    run.write(sheet, b"row_id,label\n7,1\n3,skip\n")
    with pytest.raises(TypeError):  # there is no cluster to go on with
        ActiveLearner(config).run()
    assert [answer.label for answer in Ledger(run).answers(1)] == [1, None]


ALONE = """
import sys, torch, distal
torch.set_grad_enabled(False)
torch.set_num_threads(3)
learner = distal.ActiveLearner(sys.argv[1], oracle=lambda item: item.row_id % 10)
assert "matplotlib" not in sys.modules, "what draws a page is loaded by who draws none yet"
for result in learner.rounds():
    assert torch.get_num_threads() == 3 and not torch.is_grad_enabled()
    break
assert learner.run().reason == "budget"
assert learner.config.pool.shards == 0 and [result.round for result in learner.results_] == [2]
assert "ray" not in sys.modules, "a run in one process has loaded Ray"
assert not {"torch._dynamo", "scipy.stats"} & set(sys.modules), "a second or two of each process, and nobody needs them"
"""


def test_a_run_in_one_process_loads_no_ray_and_leaves_the_scripts_settings_of_torch(
    small_config: Make, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(print_config(small_config()))
    own = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    ran = subprocess.run([sys.executable, "-c", ALONE, tmp_path / "run.yaml"], capture_output=True, text=True, env=own)
    assert ran.returncode == 0, ran.stderr


def doubt(view: View) -> torch.Tensor:
    return -view.need("probs").amax(1)


def test_what_a_script_gives_is_checked_when_the_object_is_made(small_config: Make) -> None:
    learner = ActiveLearner(small_config(), strategy=doubt)
    assert learner.config.query.strategy == "doubt"
    with pytest.raises(ConfigError, match=r"'int' is no function"):
        ActiveLearner(small_config(), strategy=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"oracle: int has no submit"):
        ActiveLearner(small_config(), oracle=5)  # type: ignore[arg-type]
    for given in (0, "crack"):
        with pytest.raises(ConfigError, match=r"no list of classes.*\nGive one class for each image"):
            learner.generate(given)  # type: ignore[arg-type]


def test_a_wrong_name_is_refused_when_the_object_is_made(small_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"query\.strategy.*did you mean 'badge'"):
        ActiveLearner(small_config(query={"strategy": "bagde"}))


def test_a_frozen_network_that_cannot_be_had_is_refused_when_the_object_is_made(
    small_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distal.nets.efficientnet.WHEEL", "no-such-wheel")
    config = small_config(features={"network": "efficientnet_lite0"})
    with pytest.raises(ConfigError, match="pip install no-such-wheel"):
        ActiveLearner(config)
    assert not RunDirectory.open(config.storage, config.name).exists()
    with pytest.raises(EvaluationError, match=r"Cannot read torchscript:.*none\.pt"):
        ActiveLearner(small_config(features={"network": f"torchscript:{tmp_path}/none.pt"}))
    ActiveLearner(small_config(classifier="head", features={"network": "efficientnet_lite0"}))  # which needs none
