import re

import pytest

from distal.config import Config, TrainConfig
from distal.driver.resources import ROWS_IN_PROCESS, choose_shards, divide_resources, possible_sizes, sizes_to_hold
from distal.errors import ClusterError
from distal.resolve import make_config


def config(shards: int, workers: int, **train: float) -> Config:
    return make_config({"pool": {"shards": shards}, "train": {"workers": workers, "batch_size": 64, **train}})


@pytest.mark.parametrize(("shards", "workers"), [(1, 0), (2, 0), (2, 1), (2, 2), (7, 4), (256, 0), (256, 2)])
@pytest.mark.parametrize("cpus", [2.0, 16.0])
def test_default_shares_always_fit(shards: int, workers: int, cpus: float) -> None:
    r = divide_resources(config(shards, workers), [{"CPU": cpus}])
    assert 0 < r.shard_cpus <= 1
    assert shards * r.shard_cpus + workers * r.worker_cpus <= cpus + 1e-9


def test_training_in_process_leaves_all_cpus_to_the_shards() -> None:
    assert divide_resources(config(2, 0), [{"CPU": 2.0}]).shard_cpus == 1.0


def test_workers_take_a_gpu_each_where_there_are_enough() -> None:
    assert divide_resources(config(2, 2), [{"CPU": 8.0, "GPU": 2.0}]).worker_gpus == 1.0
    assert divide_resources(config(2, 2, gpus_per_worker=0.0), [{"CPU": 8.0, "GPU": 1.0}]).worker_gpus == 0.0


def test_idle_gpus_are_not_passed_over_in_silence() -> None:
    with pytest.raises(ClusterError, match=r"2 workers cannot have a GPU each.*\nSet train\.workers=1"):
        divide_resources(config(2, 2), [{"CPU": 8.0, "GPU": 1.0}])


def test_two_workers_on_one_gpu_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"0\.5 can put two of 2 workers on one GPU, which NCCL refuses"):
        divide_resources(config(2, 2, gpus_per_worker=0.5), [{"CPU": 8.0, "GPU": 1.0}])


def on_gpus(gpus: int, shards: int, share: float, workers: int, **train: float) -> tuple[float, float]:
    """Return what a shard and a worker take of a GPU."""
    tree = {"pool": {"shards": shards, "gpus_per_shard": share}, "train": {"workers": workers, **train}}
    resources = divide_resources(make_config(tree), [{"CPU": 32.0, "GPU": gpus / 2}] * 2)
    return resources.shard_gpus, resources.worker_gpus


@pytest.mark.parametrize(
    ("gpus", "shards", "share", "workers", "left"),
    [(8, 8, 0.25, 8, 0.75), (8, 16, 0.2, 8, 0.6), (8, 8, 0.25, 4, 1.0), (8, 8, 0.1, 4, 1.0), (4, 9, 0.25, 2, 0.75)],
)
def test_a_worker_takes_what_shards_leave_of_its_gpu(
    gpus: int, shards: int, share: float, workers: int, left: float
) -> None:
    assert on_gpus(gpus, shards, share, workers) == (share, pytest.approx(left))


def test_given_fractions_that_add_up_on_each_gpu_are_taken() -> None:
    assert on_gpus(8, 8, 0.4, 8, gpus_per_worker=0.6) == (0.4, 0.6)


@pytest.mark.parametrize(
    ("shards", "share", "train"),
    [(8, 0.5, {}), (8, 0.5, {"gpus_per_worker": 0.6}), (24, 0.3, {"gpus_per_worker": 0.7}), (9, 0.3, {})],
)
def test_what_does_not_add_up_on_one_gpu_is_refused_with_what_would(
    shards: int, share: float, train: dict[str, float]
) -> None:
    with pytest.raises(ClusterError, match="a fraction lies on one GPU") as refused:
        on_gpus(8, shards, share, 8, **train)
    found = re.search(r"pool\.gpus_per_shard=([\d.]+) train\.gpus_per_worker=([\d.]+),", str(refused.value))
    assert found is not None
    assert on_gpus(8, shards, float(found[1]), 8, gpus_per_worker=float(found[2])) == (float(found[1]), 0.6)


def test_shards_without_workers_fill_gpus_of_their_own() -> None:
    assert on_gpus(2, 6, 0.3, 0)[0] == 0.3
    with pytest.raises(
        ClusterError, match=r"of 7 shards of 0\.3 GPUs 6 fit on 2 GPUs, .*\n.*pool\.gpus_per_shard=0\.25,"
    ):
        on_gpus(2, 7, 0.3, 0)


@pytest.mark.parametrize(
    ("gpus", "shards", "share", "train", "held"),
    [
        (8, 8, 0.25, {"workers": 8}, [8]),
        (8, 8, 0.25, {"workers": 8, "min_workers": 1}, [1, 2, 4, 8]),
        (8, 8, 0.25, {"workers": 8, "min_workers": 1, "gpus_per_worker": 1}, [1, 2, 4]),
        (4, 8, 0.25, {"workers": 8, "min_workers": 1}, [1, 2]),
        (4, 8, 0.0, {"workers": 2}, []),
        (4, 8, 0.25, {"workers": 2, "gpus_per_worker": 0}, []),
        (4, 8, 0.25, {"workers": 0}, []),
    ],
)
def test_places_are_held_for_as_many_workers_as_leave_the_shards_their_room(
    gpus: float, shards: int, share: float, train: dict[str, float], held: list[int]
) -> None:
    nodes = [{"CPU": 32.0, "GPU": float(gpus)}]
    made = make_config({"pool": {"shards": shards, "gpus_per_shard": share}, "train": train})
    assert sizes_to_hold(made, divide_resources(made, nodes), nodes) == held


def test_what_the_cluster_lacks_is_refused_with_both_figures() -> None:
    with pytest.raises(ClusterError, match="2 GPUs; the cluster has 2 and 0"):
        divide_resources(config(2, 2, gpus_per_worker=1.0), [{"CPU": 2.0}])


@pytest.mark.parametrize("nodes", [[1.0, 1.0], [1.0, 1.0, 1.0], [4.0, 1.0], [16.0, 16.0, 2.0], [0.0, 1.0, 1.0]])
@pytest.mark.parametrize(("shards", "workers"), [(2, 1), (2, 2), (3, 4), (5, 0)])
def test_shares_fit_on_single_nodes_since_halves_on_two_nodes_are_no_cpu(
    nodes: list[float], shards: int, workers: int
) -> None:
    r = divide_resources(config(shards, workers), [{"CPU": cpus} for cpus in nodes])
    for share, number in ((r.shard_cpus, shards), (r.worker_cpus, workers)):
        parts = [cpus / 2 if workers else cpus for cpus in nodes]
        assert number == 0 or sum(int(part / share + 1e-6) for part in parts) >= number


def test_a_growing_cluster_is_asked_for_whole_cpus_and_refuses_nothing_yet() -> None:
    growing = make_config({"autoscaling": True, "pool": {"shards": 8}, "train": {"workers": 4, "gpus_per_worker": 1}})
    r = divide_resources(growing, [{"CPU": 0.0}])
    assert (r.shard_cpus, r.worker_cpus, r.worker_gpus) == (1.0, 1.0, 1.0)


def test_the_cpus_that_the_driver_holds_are_not_given_away() -> None:
    held = make_config({"driver_cpus": 1, "pool": {"shards": 2}})
    assert divide_resources(held, [{"CPU": 1.0}, {"CPU": 1.0}]).shard_cpus == 0.5


def test_a_group_may_have_the_sizes_that_divide_the_batch() -> None:
    assert possible_sizes(TrainConfig(workers=4, min_workers=1, batch_size=64)) == [1, 2, 4]
    assert possible_sizes(TrainConfig(workers=4, batch_size=64)) == [4]
    assert possible_sizes(TrainConfig(workers=0)) == [0]


def test_a_cluster_that_holds_the_fewest_workers_is_enough() -> None:
    train = {"workers": 4, "min_workers": 2, "cpus_per_worker": 1.0, "batch_size": 64}
    config = make_config({"pool": {"shards": 2, "cpus_per_shard": 0.5}, "train": train})
    assert divide_resources(config, [{"CPU": 3.0}]).worker_cpus == 1.0
    assert divide_resources(config, [{"CPU": 3.0, "GPU": 3.0}]).worker_gpus == 1.0


def test_fewest_workers_that_do_not_divide_the_batch_are_not_what_is_needed() -> None:
    train = {"workers": 4, "min_workers": 3, "cpus_per_worker": 1.0, "batch_size": 64}
    with pytest.raises(ClusterError, match="4 workers need"):
        divide_resources(make_config({"pool": {"shards": 1, "cpus_per_shard": 0.5}, "train": train}), [{"CPU": 4.0}])


def test_only_a_small_pool_without_workers_or_a_cluster_is_scored_in_the_driver_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("distal.driver.resources.joined_ray", lambda: False)
    default = make_config({})
    assert choose_shards(default, ROWS_IN_PROCESS) == 0
    assert choose_shards(default, ROWS_IN_PROCESS + 1) == 2
    assert choose_shards(make_config({"train": {"workers": 1}}), 16) == 2
    assert choose_shards(default, 16, address="auto") == 2
    assert choose_shards(make_config({"address": "auto"}), 16) == 2
    assert choose_shards(config(3, 0), 16) == 3
    assert choose_shards(config(0, 0), 10**6, address="auto") == 0
    monkeypatch.setattr("distal.driver.resources.joined_ray", lambda: True)
    assert choose_shards(default, 16) == 2
    monkeypatch.setattr("distal.driver.resources.joined_ray", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert choose_shards(default, 16) == 2
