from pathlib import Path
from typing import Any

import dcgan
import frozen_fake
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from regularizer_cases import FAMILIES, OPTIONS
from training_case import ROWS, config, labeled_rows, trained, weights

from distal.communicator import Alone, Communicator, ProcessGroup
from distal.errors import ConfigError, TrainingError
from distal.models import GAN
from distal.train import train_round

STEPS = 6


CASES = {"dense": {"net": "dense"}, "residual": {"net": "residual"}}
CASES |= {"dcgan": {"net": "small_dcgan", "regularizers": {"r1": 0, "r2": 0}}}
CASES |= {"projected": {"net": "projected", "backbone": "tiny", "class_judged": 0.5, "class_fade": [1, 4]}}
# Behind its normalisation nearly every gradient of the first steps is a rounding error's: see below on Adam.
CASES["projected"] |= {"optimizer": "sgd", "learning_rate_g": 0.05, "learning_rate_d": 0.05}
for how, members in {"bagging": 3, "boosting": 2}.items():
    CASES[how] = {"net": "dense", "steps": STEPS, "model": {"kind": "ensemble", "members": members, "how": how}}
CASES |= {f"vae, {how}": {"net": "dense", "model": {"kind": "vae", "unlabeled": how}} for how in ("sum", "sample")}
CASES["autoencoder"] = {"net": "dense", "model": {"kind": "autoencoder", "decoder_weight": 1.0}}
CASES |= {name: {"regularizers": weights} for name, weights in FAMILIES.items()} | OPTIONS


def outcome(case: dict[str, Any], comm: Communicator) -> tuple[torch.Tensor, dict[str, float]]:
    given = dict(case)
    begun = given.pop("begun", 0)
    state, losses = trained(config(**given), STEPS, comm, begun=begun)
    return weights(state), losses


def one_rank(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    with dcgan.added(), frozen_fake.added():
        result = {name: outcome(case, ProcessGroup()) for name, case in CASES.items()}
    torch.save(result, f"{folder}/rank{rank}")
    dist.destroy_process_group()


def test_two_ranks_train_as_one_does(tmp_path: Path) -> None:
    mp.spawn(one_rank, args=(2, str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f"rank{r}") for r in range(2)]
    for name, case in CASES.items():
        with dcgan.added(), frozen_fake.added():
            alone, losses = outcome(case, Alone())
        (first, first_losses), (second, second_losses) = ranks[0][name], ranks[1][name]
        assert torch.equal(first, second), name
        assert first_losses == second_losses, name
        for term, value in losses.items():
            assert first_losses[term] == pytest.approx(value, rel=1e-4, abs=1e-6), (name, term)
        # Adam divides by the root of the second moment: where a gradient is itself a rounding error, its sign and with
        # it a whole step of 1e-3 an update is open. So: the typical weight to rounding, no weight beyond that bound.
        difference = (first - alone).abs()
        assert difference.mean() < 1e-6, name
        assert difference.max() < STEPS * 1e-3, name
        if name == "bagging":  # each member is one rank's, so that nothing is summed in another order
            assert torch.equal(first, alone)
            assert first_losses == losses


def test_progress_is_heard_of_and_ends_with_the_last_step() -> None:
    heard: list[tuple[int, dict[str, float]]] = []
    state = GAN.create(config(), 8, 1, 2)
    train_round(state, labeled_rows(), Alone(), 45, lambda done, losses: heard.append((done, losses)))
    assert [done for done, _ in heard] == [20, 40, 45]
    assert {"d", "g", "r1", "r2", "head"} <= set(heard[0][1])


def test_training_learns_the_two_classes_from_six_labels() -> None:
    state, _ = trained(config(augment=["zoom"], ema_half_life=20.0), 100)
    ids = torch.arange(100, ROWS).numpy()
    probs = state.scorer()(torch.from_numpy(labeled_rows().images.pixels(ids)))["probs"]
    assert (probs.argmax(1) == torch.from_numpy(ids % 2)).float().mean() > 0.95


def test_losses_that_are_not_finite_end_training_with_advice() -> None:
    c = config(learning_rate_d=1e20, learning_rate_g=1e20)
    with pytest.raises(TrainingError, match=r"not finite, or exploded, by update.*\n.*learning_rate") as caught:
        trained(c, 40)
    assert str(caught.value).count("\n") == 2


def test_more_workers_than_the_batch_can_feed_are_refused() -> None:
    class Many(Alone):
        size = 8

    with pytest.raises(ConfigError, match=r"train\.batch_size.*at least 16"):
        trained(config(), 1, Many())
