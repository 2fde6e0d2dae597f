"""A loss that is not finite or explodes is found at once, named, and ends the round or sends it back."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_case import config, labeled_rows

from distal.communicator import Alone, Communicator
from distal.config import Config
from distal.errors import TrainingError
from distal.train import TrainingRows, train_round
from distal.train.watch import Watch

Losses = Callable[[int, float], dict[str, float]]


class Scripted:
    """A model whose losses are a function of update and pace, and whose weight is the sum of its steps' sizes."""

    advice = "Halve it"
    script: Losses

    def __init__(self, config: Config, step: int = 0, pace: float = 1.0, way: float = 0.0) -> None:
        self.config, self.step, self.pace, self.device = config, step, pace, torch.device("cpu")
        self.weight = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.weight.weight, way)

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        self.step += 1
        with torch.no_grad():
            self.weight.weight += self.pace
        return {name: torch.tensor(value) for name, value in self.script(self.step, self.pace).items()}

    def modules(self) -> dict[str, nn.Module]:
        return {"weight": self.weight}

    def set_pace(self, pace: float) -> None:
        self.pace = pace

    def to_files(self) -> dict[str, bytes]:
        return {"all": json.dumps([self.step, self.pace, self.weight.weight.item()]).encode()}

    @classmethod
    def from_files(cls, config: Config, files: Mapping[str, bytes], device: Any = "cpu") -> "Scripted":
        return cls(config, *json.loads(files["all"]))


def run(script: Losses, steps: int = 250, **train: Any) -> tuple[Any, dict[str, float], list[int]]:
    kind = type("Model", (Scripted,), {"script": staticmethod(script)})
    heard: list[int] = []
    model, losses = train_round(
        kind(config(**train)), labeled_rows(), Alone(), steps, lambda done, losses: heard.append(done)
    )
    return model, losses, heard


@pytest.mark.parametrize(
    ("value", "said"), [(float("nan"), "d=nan"), (float("-inf"), "d=-inf"), (3e4, "d=3e\\+04, usually 2")]
)
def test_the_update_at_which_a_loss_goes_wrong_is_named_with_the_term(value: float, said: str) -> None:
    with pytest.raises(TrainingError, match=rf"by update 7 \(7 of this round's 250\): {said}\.\nHalve it"):
        run(lambda step, pace: {"g": 1.0, "d": value if step == 7 else 2.0})


def test_a_loss_that_grows_slowly_or_is_large_from_the_first_or_small_is_no_explosion() -> None:
    run(lambda step, pace: {"grows": 1.03**step, "large": 1e6, "small": 1e-9 if step < 9 else 10.0}, steps=200)


def test_what_counts_as_an_explosion_is_configured() -> None:
    with pytest.raises(TrainingError, match=r"by update 9 .*: d=25, usually 2"):
        run(lambda step, pace: {"d": 25.0 if step == 9 else 2.0}, explosion=10.0)


def test_a_round_goes_back_to_its_last_good_state_and_on_with_half_the_steps() -> None:
    def script(step: int, pace: float) -> dict[str, float]:
        return {"d": float("nan") if step == 133 and pace > 0.5 else float(step)}

    model, losses, heard = run(script, on_divergence="restore")
    assert (model.step, model.pace, heard[-1]) == (250, 0.5, 250)
    assert model.weight.weight.item() == 100 * 1.0 + 150 * 0.5, "100 updates were kept, the rest is of half steps"
    assert losses["d"] == pytest.approx(sum(range(189, 251)) / 62), "no loss of the update that went wrong counts"


def test_steps_are_halved_again_until_they_are_small_enough_and_a_hopeless_round_gives_up() -> None:
    model, _, _ = run(
        lambda step, pace: {"d": float("inf") if step == 40 and pace > 0.2 else 1.0}, on_divergence="restore"
    )
    assert (model.pace, model.weight.weight.item()) == (0.125, 250 * 0.125)
    with pytest.raises(TrainingError, match="5 times smaller steps did not help"):
        run(lambda step, pace: {"d": float("nan") if step == 40 else 1.0}, on_divergence="restore")


def test_numbers_that_a_watch_keeps_let_another_go_on_as_itself() -> None:
    values = [float(v) for v in torch.rand(60, generator=torch.Generator().manual_seed(0))]
    whole, first = Watch(50.0, 31), Watch(50.0, 31)
    for update, value in enumerate(values, 1):
        whole.see(update, {"d": torch.tensor(value)})
        if update <= 35:
            first.see(update, {"d": torch.tensor(value)})
    second = Watch.from_json(50.0, 31, json.loads(json.dumps(first.to_json())))
    for update, value in enumerate(values[35:], 36):
        second.see(update, {"d": torch.tensor(value)})
    assert second.to_json() == whole.to_json()
    assert (second.means(), second.report()) == (whole.means(), whole.report())
    exploded = {"d": torch.tensor(60.0)}
    assert second.see(61, exploded) == whole.see(61, exploded) == ["d=60, usually 0.47"]
