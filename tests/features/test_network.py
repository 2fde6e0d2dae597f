from pathlib import Path
from typing import Any

import pytest
import torch
from metric_fakes import on_ranks

from distal.communicator import Alone
from distal.features import FeatureNetwork, FeatureRequest, network
from distal.features.network import hash_of, resized, rgb
from distal.run.artefacts import Folder


def request(comm: Any, **other: Any) -> FeatureRequest:
    return FeatureRequest(image_size=8, channels=1, comm=comm, store=Folder(Path()), **other)


def test_features_are_float32_and_carry_no_graph() -> None:
    weight = torch.ones(4, requires_grad=True)
    eyes = FeatureNetwork("x", "00", 4, None, None, lambda images: (images.flatten(1) * weight).to(torch.bfloat16))
    features = eyes(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    assert (features.dtype, features.shape, features.requires_grad) == (torch.float32, (3, 4), False)


def test_all_ranks_see_in_the_arithmetic_that_each_gains_from(monkeypatch: pytest.MonkeyPatch) -> None:
    fast: list[bool] = [True, False]
    monkeypatch.setattr(network, "hardware_gains", lambda device: fast.pop())
    assert on_ranks(2, lambda comm: request(comm).precision()) == ["fp32", "fp32"]
    assert request(Alone(), gains=True).precision() == "bf16"


def test_parts_of_a_hash_cannot_be_cut_otherwise() -> None:
    assert hash_of("ab", "c") != hash_of("a", "bc")
    assert hash_of("ab", b"c") == hash_of(b"ab", "c")


def test_images_of_the_right_side_keep_their_pixels_and_others_stay_in_range() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat(1, 1, 8, 4)
    torch.testing.assert_close(resized(images, 8), images.float())
    larger = resized(images, 21)
    assert larger.shape == (1, 1, 21, 21)
    assert 0 <= float(larger.min()) <= float(larger.max()) <= 255
    assert rgb(images).shape == (1, 3, 8, 8)
