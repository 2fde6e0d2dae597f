"""Training starts with the workers that have a place, where fewer are allowed."""

from pathlib import Path

import pytest
from two_rounds import run_of, tree

import distal
from distal.errors import ClusterError
from distal.results import read_result

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]


def test_a_group_of_one_to_four_runs_on_a_cluster_with_room_for_two(local_ray: None, tmp_path: Path) -> None:
    """Whatever their number, the workers share one global batch: the losses are those of a run in this process."""
    alone, elastic = tmp_path / "alone", tmp_path / "elastic"
    wanted = {"workers": 4, "cpus_per_worker": 0.5}
    base = {**tree(elastic), "oracle": {"kind": "dataset"}, "pool": {"shards": 1, "cpus_per_shard": 1.0}}
    with pytest.raises(ClusterError, match="1 shards and 4 workers need 3 CPUs"):
        distal.ActiveLearner({**base, "train": {**base["train"], **wanted}}).run()
    distal.ActiveLearner({**base, "train": {**base["train"], **wanted, "min_workers": 1}}).run()
    distal.ActiveLearner({**base, "storage": str(alone)}).run()
    for round in (1, 2):
        ours, theirs = (read_result(run_of(place), round).metrics["losses"] for place in (elastic, alone))
        assert ours == pytest.approx(theirs, rel=2e-2, abs=2e-3)
