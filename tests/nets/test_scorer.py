import pytest
import torch

from distal.config import NetConfig
from distal.nets import build_discriminator
from distal.nets.scorer import Scorer, to_bytes_image, to_unit

IMAGES = torch.randint(0, 256, (9, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def scorer(precision: str = "fp32") -> Scorer:
    net = NetConfig(width=8, features=16)
    return Scorer(build_discriminator(net, 16, 1, 3, seed=2), net, 16, 1, 3, precision)


def test_scores_have_the_documented_shapes_and_types() -> None:
    scores = scorer()(IMAGES)
    assert scores["probs"].shape == (9, 3)
    assert scores["embeddings"].shape == (9, 16)
    assert scores["realism"].shape == (9,)
    assert {t.dtype for t in (scores["probs"], scores["embeddings"], scores["realism"])} == {torch.float32}
    torch.testing.assert_close(scores["probs"].sum(1), torch.ones(9))


def test_a_scorer_from_its_bytes_scores_bit_for_bit_alike() -> None:
    first = scorer()
    again = Scorer.from_bytes(first.to_bytes())
    assert torch.equal(first(IMAGES)["probs"], again(IMAGES)["probs"])
    assert torch.equal(first(IMAGES)["embeddings"], again(IMAGES)["embeddings"])
    assert again.to_bytes() == first.to_bytes()


def test_bf16_scores_are_near_fp32_scores() -> None:
    # bfloat16 keeps 8 bits; a dozen layers of rounding errors of 2^-9 add up to about one per cent.
    exact, fast = scorer("fp32")(IMAGES), scorer("bf16")(IMAGES)
    torch.testing.assert_close(fast["probs"], exact["probs"], rtol=0.05, atol=0.02)


def test_auto_is_what_the_devices_that_must_score_alike_agree_on() -> None:
    data = scorer("auto").to_bytes()
    for gains, precision in ((False, "fp32"), (True, "bf16")):
        agreed = Scorer.from_bytes(data, gains=gains)(IMAGES)
        assert torch.equal(agreed["probs"], scorer(precision)(IMAGES)["probs"])


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
def test_uint8_survives_the_way_to_floats_and_back(value: int) -> None:
    image = torch.full((1, 1, 2, 2), value, dtype=torch.uint8)
    assert torch.equal(to_bytes_image(to_unit(image)), image)
