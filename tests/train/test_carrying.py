"""A GPU's batches travel packed and ahead of need, and every number of a run is what it is without."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_case import config, labeled_rows, weights

import distal.train.batch
from distal.communicator import Alone
from distal.config import Config
from distal.models import MODELS
from distal.train import TrainingRows, carrying, train_round
from distal.train.carrying import ALIGNMENT, Packed
from distal.train.synthesized import Synthesized

ANSWERED = Synthesized(np.full((3, 1, 8, 8), 90, np.uint8), np.array([0, 1, -1]))


def test_tensors_of_several_types_come_out_of_one_buffer_as_they_went_in() -> None:
    given = {
        "pixels": torch.arange(2 * 3 * 5, dtype=torch.uint8).view(2, 3, 5),
        ("signs", 2): torch.rand(3, 2),
        "labels": torch.tensor([2**40, -1]),
        "nothing": torch.zeros(0, 4),
        "strided": torch.rand(4, 6)[:, 1:3],
    }
    packed = Packed.of(given, pinned=False)
    found = packed.tensors()
    assert list(found) == list(given)
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
        assert found[name].data_ptr() % tensor.dtype.itemsize == 0
        assert (found[name].data_ptr() - packed.buffer.data_ptr()) % ALIGNMENT == 0 or not tensor.numel()
    found["labels"][0] = 7
    assert packed.tensors()["labels"].tolist() == [7, -1]
    assert given["labels"][0] == 2**40


class Stream:
    """Stand for a stream of a GPU; note what it is told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def __enter__(self) -> None:
        self.told.append(f"begin to ask {self.name}")

    def __exit__(self, *failure: object) -> None:
        self.told.append(f"asked {self.name}")

    def record_event(self) -> str:
        self.told.append(f"{self.name}: event")
        return f"event of {self.name}"

    def wait_event(self, event: str) -> None:
        self.told.append(f"{self.name}: wait for {event}")


def test_what_is_sent_is_awaited_by_the_stream_that_uses_it_and_its_memory_kept_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    of, to = Packed.of, Tensor.to

    def packed(tensors: Mapping[Any, Tensor], pinned: bool) -> Packed:
        told.append(f"pack, pinned {pinned}")
        return of(tensors, pinned=False)

    def copied(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        told.append(f"copy, non-blocking {non_blocking}")
        return to(tensor, device, non_blocking=non_blocking).clone()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("copying", told))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("computing", told))
    monkeypatch.setattr(Packed, "of", packed)
    monkeypatch.setattr(Tensor, "to", copied)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: told.append(f"keep for {stream.name}"))
    given = {"labels": torch.tensor([3, 1]), "latents": torch.rand(2, 3)}
    receive = carrying.Carrier(torch.device("cpu")).send(given)
    sent = ["begin to ask copying", "pack, pinned True", "copy, non-blocking True", "copying: event", "asked copying"]
    assert told == sent
    found = receive()
    assert told == [*sent, "computing: wait for event of copying", "keep for computing"]
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


class Carrier:
    """Stand for the way to a GPU: pack, and unpack from another buffer when it is received; note what was sent."""

    def __init__(self) -> None:
        self.sent: list[list[Hashable]] = []
        self.received = 0

    def send(self, tensors: Mapping[Any, Tensor]) -> Callable[[], dict[Hashable, Tensor]]:
        packed = Packed.of(tensors, pinned=False)
        self.sent.append(list(tensors))

        def receive() -> dict[Hashable, Tensor]:
            self.received += 1
            return Packed(packed.buffer.clone(), packed.places).tensors()

        return receive


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    made = Carrier()
    monkeypatch.setattr(distal.train.batch, "goes_ahead", lambda device: True)
    monkeypatch.setattr(distal.train.batch, "carrier", lambda device: made)
    return made


def after(c: Config, rows: TrainingRows, steps: int) -> Tensor:
    state = MODELS.find(c.model.kind).create(c, image_size=8, channels=1, classes=2)
    return weights(train_round(state, rows, Alone(), steps)[0])


RECIPES = {
    "one batch": config(),
    "two of D and two pieces": config(d_steps=2, accumulate=2),
    "uniforms of its own, now and then": config(regularizers={"r1_fd": 0.1, "r2_fd": 0.1}, lazy_interval=3),
    "all labels, and answered images": config(full_labels=True),
    "vae": config(model={"kind": "vae", "unlabeled": "sample"}),
    "by chance": config(
        adversarial="hinge", pseudo_label_weight=0, augment=[], regularizers={}, model={"privacy": {"noise": 1.0}}
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_round_whose_batches_were_carried_ahead_ends_in_the_same_bytes(
    recipe: str, request: pytest.FixtureRequest
) -> None:
    c = RECIPES[recipe]
    changes = {"synthesized": ANSWERED} if "answered" in recipe else {}
    plain = after(c, labeled_rows(**changes), 6)
    carrier: Carrier = request.getfixturevalue("carrier")
    assert torch.equal(after(c, labeled_rows(**changes), 6), plain)
    batches = 6 * c.train.accumulate * getattr(c.model, "d_steps", 1)
    assert carrier.received == batches
    assert len(carrier.sent) > batches - 1
    assert ("synthesized images" in carrier.sent[0]) == bool(changes)


def test_uniforms_that_were_asked_for_are_drawn_ahead_and_no_more_when_they_are_not(carrier: Carrier) -> None:
    rows = labeled_rows()
    c = config(regularizers={"r1_fd": 0.1})
    after(c, rows, 8)
    signs = ("signs", 2 * 64)
    assert signs not in carrier.sent[0]
    assert all(signs in sent for sent in carrier.sent[3:])
    rows.recent[signs] = -100
    carrier.sent.clear()
    after(config(), rows, 2)
    assert all(signs not in sent for sent in carrier.sent[2:])


def test_on_a_cpu_nothing_is_made_ahead_and_no_thread_is_started() -> None:
    rows = labeled_rows()
    after(config(), rows, 2)
    assert rows.ahead._thread is None
