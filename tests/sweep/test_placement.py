"""As many trials run at a time as the nodes hold whole, or none starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distal.errors import ClusterError
from distal.sweep.config import TrialResources
from distal.sweep.placement import most_at_a_time, trial_bundles, trials_at_a_time, worker_bundles


def test_a_trial_in_its_own_process_takes_one_bundle() -> None:
    assert trial_bundles(TrialResources(cpus=2, gpus=0.5)) == [{"CPU": 2.0, "GPU": 0.5}]
    assert worker_bundles(TrialResources()) == []


def test_its_shards_come_out_of_the_same_group_and_its_workers_are_counted() -> None:
    resources = TrialResources(cpus=0.5, shards=2, cpus_per_shard=0.25, workers=2, cpus_per_worker=1, gpus_per_worker=1)
    assert trial_bundles(resources) == [{"CPU": 0.5}, {"CPU": 0.25}, {"CPU": 0.25}]
    assert worker_bundles(resources) == [{"CPU": 1.0, "GPU": 1.0}] * 2


@pytest.mark.parametrize(
    ("nodes", "resources", "expected"),
    [
        ([{"CPU": 2.0}], TrialResources(), 2),
        ([{"CPU": 2.0}], TrialResources(cpus=0.5), 4),
        ([{"CPU": 3.0}, {"CPU": 3.0}], TrialResources(cpus=2), 2),  # two halves of a trial are no trial
        ([{"CPU": 8.0, "GPU": 1.0}], TrialResources(gpus=0.25), 4),
        ([{"CPU": 4.0}], TrialResources(cpus=0.5, shards=2, cpus_per_shard=0.5, workers=1, cpus_per_worker=0.5), 2),
        ([{"CPU": 1.0}, {"memory": 5.0}], TrialResources(), 1),
    ],
)
def test_trials_at_a_time(nodes: list[dict[str, float]], resources: TrialResources, expected: int) -> None:
    assert trials_at_a_time(nodes, resources, most=100) == expected


def test_no_more_than_asked_for() -> None:
    assert trials_at_a_time([{"CPU": 64.0}], TrialResources(), most=3) == 3


@given(
    nodes=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    shards=st.integers(0, 3),
    workers=st.integers(0, 3),
    cpus=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
)
def test_what_runs_at_a_time_fits_together(nodes: list[int], shards: int, workers: int, cpus: float) -> None:
    resources = TrialResources(cpus=cpus, shards=shards, workers=workers, cpus_per_worker=0.5)
    whole = cpus + shards + 0.5 * workers
    try:
        count = trials_at_a_time([{"CPU": float(n)} for n in nodes], resources, most=50)
    except ClusterError:
        return
    assert count * whole <= sum(nodes) + 1e-6


def test_a_trial_that_fits_nowhere_is_refused_and_told_what_would() -> None:
    with pytest.raises(ClusterError) as refusal:
        trials_at_a_time([{"CPU": 2.0}], TrialResources(cpus=4, gpus=1), most=8)
    message = str(refusal.value)
    assert "needs 4 CPUs and 1 GPUs" in message
    assert "resources.cpus=2" in message
    assert "resources.gpus=0" in message
    assert len(message.splitlines()) <= 3


def test_trials_without_workers_are_as_many_as_find_a_place_on_nodes_that_join_as_well() -> None:
    assert most_at_a_time([{"CPU": 2.0}], TrialResources(), 1000, None, grows=False) is None
    assert most_at_a_time([{"CPU": 2.0}], TrialResources(), 1000, 3, grows=False) == 3
    with_workers = TrialResources(cpus=0.5, workers=1, cpus_per_worker=0.5)
    assert most_at_a_time([{"CPU": 2.0}], with_workers, 1000, None, grows=False) == 2


def test_a_head_without_cpus_is_refused_unless_the_cluster_grows() -> None:
    head = [{"CPU": 0.0}]
    with pytest.raises(ClusterError, match=r"Start a node, .*\n?.*base\.autoscaling=true"):
        most_at_a_time(head, TrialResources(), 12, None, grows=False)
    assert most_at_a_time(head, TrialResources(), 12, None, grows=True) is None
    assert most_at_a_time(head, TrialResources(gpus=1), 12, 8, grows=True) == 8
    with pytest.raises(ClusterError, match=r"Set concurrency"):
        most_at_a_time(head, TrialResources(workers=2), 12, None, grows=True)
    assert most_at_a_time(head, TrialResources(workers=2), 12, 4, grows=True) == 4
