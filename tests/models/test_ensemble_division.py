"""Members that learn independently are divided among the ranks, and what comes of it is what one rank comes to."""

import threading
from collections.abc import Iterator
from typing import Any

import dcgan
import pytest
import torch
from metric_fakes import on_ranks
from torch import Tensor
from training_case import config, labeled_rows

from distal.communicator import Alone, Communicator
from distal.config import Config
from distal.errors import TrainingError
from distal.models import GAN, VAE, Ensemble
from distal.models.ensemble.division import divided, trained_here
from distal.nets.threads import one_thread
from distal.train import round as rounds
from distal.train import train_round
from distal.train.kept import Kept
from distal.train.variety import Variety

STACKED = {"how": "bagging", "combine": "stacking", "member": {"kind": "vae", "code_spread": 1.0}}
NORMALIZED = {"how": "seeds", "member": {"regularizers": {"r1": 0, "r2": 0}}}
STARTING = threading.Lock()
"""A BatchNorm starts by torch's generator, which the ranks of a test share."""


@pytest.fixture(autouse=True)
def _alike() -> Iterator[None]:
    with one_thread(), dcgan.added():
        yield


def of_three(own: dict[str, Any], net: str = "dense", **train: Any) -> Config:
    return config(net, model={"kind": "ensemble", "members": 3} | own, **train)


class Last:
    """Keep what is due after 20 updates, and no more; one rank asks at each, two ask as they report."""

    kept: Kept | None = None

    def __init__(self, comm: Communicator) -> None:
        self.asks = 20 if comm.size == 1 else 1

    def due(self) -> bool:
        self.asks -= 1
        return self.asks == 0

    def keep(self, kept: Kept) -> None:
        self.kept = kept


Outcome = tuple[dict[str, bytes], dict[str, float], Kept | None, list[dict[str, float]]]


def outcome(c: Config, steps: int, comm: Communicator, kept: Kept | None = None) -> Outcome:
    """Return the files that a round leaves, its losses, what was kept of it, and what was heard on the way."""
    with STARTING:
        model = Ensemble.create(c, 8, 1, 2) if kept is None else Ensemble.from_files(c, kept.files)
    rows, heard, keeper = labeled_rows(40), list[dict[str, float]](), Last(comm)
    watched = Variety(rows, ["across", "down"], c.net.latent_dim, 20) if comm.rank == 0 else None
    done = model, rows, comm, steps, lambda done, losses: heard.append(losses), keeper, kept, watched
    model, losses = train_round(*done)
    return model.to_files(), losses, keeper.kept, heard


@pytest.mark.parametrize(("own", "net", "steps"), [(STACKED, "dense", 25), (NORMALIZED, "small_dcgan", 21)], ids=str)
def test_a_round_of_two_ranks_leaves_the_bytes_of_one_and_tells_the_same(
    own: dict[str, Any], net: str, steps: int
) -> None:
    c = of_three(own, net)
    files, losses, kept, heard = outcome(c, steps, Alone())
    first, second = on_ranks(2, lambda comm: outcome(c, steps, comm))
    assert first == (files, losses, kept, heard)
    assert second[0] == files, "every rank draws and scores by all members"


def test_a_round_goes_on_from_what_two_ranks_kept_with_other_ranks_to_the_same_bytes() -> None:
    c = of_three(STACKED)
    kept = on_ranks(2, lambda comm: outcome(c, 25, comm))[0][2]
    assert (kept.done, [m for m in kept.files if m.startswith("member02")] != []) == (20, True)
    unbroken = outcome(c, 25, Alone())[0]
    for ranks in (1, 3):
        assert on_ranks(ranks, lambda comm: outcome(c, 25, comm, kept)[0]) == [unbroken] * ranks


def spoilt_once(monkeypatch: pytest.MonkeyPatch, c: Config, member: int) -> None:
    """Let the 31st update of a member be none, unless its steps have been made smaller."""
    seeds, advance = [m.config.seed for m in Ensemble.create(c, 8, 1, 2).members], VAE.advance

    def spoilt(self: VAE, *given: Any) -> dict[str, Tensor]:
        wrong = self.config.seed == seeds[member] and self.step == 30 and self.pace == 1.0
        losses = advance(self, *given)
        return losses | ({"kl": torch.tensor(torch.nan)} if wrong else {})

    monkeypatch.setattr(VAE, "advance", spoilt)


def test_a_loss_of_one_member_that_is_not_finite_sends_every_rank_back_to_the_same_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "GOOD_STEPS", 20)
    c = of_three({"how": "seeds", "member": {"kind": "vae"}}, on_divergence="restore")
    spoilt_once(monkeypatch, c, member=1)
    files = outcome(c, 40, Alone())[0]
    assert b'"pace": 0.5' in files["manifest.json"]
    assert [told[0] for told in on_ranks(2, lambda comm: outcome(c, 40, comm))] == [files] * 2


def test_weights_that_one_rank_alone_has_and_finds_spoiled_end_the_round_on_every_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c = of_three({"how": "seeds"})
    second, advance = Ensemble.create(c, 8, 1, 2).members[1].config.seed, GAN.advance

    def spoilt(self: GAN, *given: Any) -> dict[str, Tensor]:
        losses = advance(self, *given)
        if self.config.seed == second and self.step == 20:
            next(self.G.parameters()).data.fill_(torch.inf)
        return losses

    monkeypatch.setattr(GAN, "advance", spoilt)
    ended = on_ranks(2, lambda comm: outcome(c, 40, comm))
    assert [type(error) for error in ended] == [TrainingError] * 2
    assert all("by update 20 (20 of this round's 40): weights of member1.generator." in str(error) for error in ended)


def test_members_are_divided_only_where_they_learn_independently_and_each_rank_has_one() -> None:
    class OfThree(Alone):
        size, rank = 3, 1

    def sizes(**own: Any) -> tuple[int, int, list[int]]:
        section = of_three(own).model
        within, across = divided(section, OfThree())  # type: ignore[arg-type]
        return within.size, across.size, list(trained_here(section.members, across))  # type: ignore[attr-defined]

    assert sizes(how="bagging", members=7) == (1, 3, [1, 4])
    assert sizes(how="seeds") == (1, 3, [1])
    assert sizes(how="seeds", members=2) == (3, 1, [0, 1])
    assert sizes(how="boosting") == (3, 1, [0, 1, 2])


def test_files_without_what_other_ranks_trained_are_refused() -> None:
    c = of_three({"how": "seeds", "member": {"kind": "vae"}})

    def advanced(comm: Communicator) -> bool:
        model, rows = Ensemble.create(c, 8, 1, 2), labeled_rows()
        model.advance(rows, comm)
        with pytest.raises(RuntimeError, match="every rank has to gather first"):
            model.to_files()
        model.gather(comm)
        return len(model.to_files()) > 3

    assert on_ranks(2, advanced) == [True, True]
