import hashlib
import json
from typing import Any

import dcgan
import pytest
import torch
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.errors import ConfigError, RunError
from distal.models import GAN
from distal.nets.weights import pack, unpack
from distal.train import train_round
from distal.train.round import spoiled


@pytest.mark.parametrize("net", ["dense", "residual"])
def test_saved_restored_and_continued_equals_unbroken_bit_for_bit(net: str) -> None:
    c = config(net, lazy_interval=2, regularizers={"r1": None, "r2": None, "lecam": None})
    unbroken, _ = trained(c, 10)
    broken, _ = trained(c, 5)
    restored = GAN.from_files(c, broken.to_files())
    assert restored.step == 5
    train_round(restored, labeled_rows(), Alone(), 5)
    assert torch.equal(weights(restored), weights(unbroken))
    assert restored.to_files() == unbroken.to_files()


def test_a_network_with_batchnorm_is_restored_whole_and_generates_by_its_averages() -> None:
    with dcgan.added():
        c = config("small_dcgan", regularizers={"r1": 0, "r2": 0})
        unbroken, _ = trained(c, 6)
        broken, _ = trained(c, 3)
        restored = GAN.from_files(c, broken.to_files())
        train_round(restored, labeled_rows(), Alone(), 3)
    assert restored.to_files() == unbroken.to_files()
    assert not torch.equal(restored.averaged_G.body[2].running_mean, torch.zeros(8)), "buffers are averaged"
    z, y = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1])
    assert torch.equal(restored.generate(z, y)[:1], restored.generate(z[:1], y[:1])), "an image depends on its own row"


def test_a_penalty_on_each_rows_gradient_refuses_a_discriminator_that_mixes_rows() -> None:
    with dcgan.added(), pytest.raises(ConfigError, match="r1, r2 need a discriminator whose rows do not mix"):
        GAN.create(config("small_dcgan"), 8, 1, 2)


def test_a_restored_state_learns_at_the_rates_and_weights_of_the_configuration_it_is_given() -> None:
    before, _ = trained(config(), 2)
    changed = config(learning_rate_g=7e-5, learning_rate_d=3e-5, regularizers={"r1": 0.7, "r2": 0.2})
    after = GAN.from_files(changed, before.to_files())
    assert [group["lr"] for optimizer in after.optimizers for group in optimizer.param_groups] == [7e-5, 3e-5]
    assert {name: weight for name, (_, weight) in after.objective.regularizers.items()} == {"r1": 0.7, "r2": 0.2}
    moved = weights(after).clone()
    train_round(after, labeled_rows(), Alone(), 1)
    same, _ = trained(config(), 3)
    assert not torch.equal(weights(after), moved)
    assert not torch.equal(weights(after), weights(same)), "the step was made at the old rates"


def test_a_scorer_is_not_ordered_to_the_arithmetic_of_the_device_that_trained_it() -> None:
    assert GAN.create(config(precision="auto"), 8, 1, 2).scorer().precision == "auto"


def test_a_damaged_file_is_refused_by_name() -> None:
    state, _ = trained(config(), 1)
    files = state.to_files()
    files["generator.safetensors"] = files["generator.safetensors"][:-1] + b"\x07"
    with pytest.raises(RunError, match=r"generator\.safetensors is missing or damaged"):
        GAN.from_files(config(), files)


def test_a_missing_manifest_is_refused() -> None:
    with pytest.raises(RunError, match=r"manifest\.json is missing"):
        GAN.from_files(config(), {})


def edited(
    change: dict[str, Any], weights: bytes | None = None, name: str = "generator.safetensors"
) -> dict[str, bytes]:
    """Return the files of a state whose manifest, and weights with a hash that fits, somebody else has written."""
    files = trained(config(), 1)[0].to_files()
    manifest = json.loads(files["manifest.json"]) | change
    if weights is not None:
        files[name] = weights
        manifest["sha256"][name] = hashlib.sha256(weights).hexdigest()
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": 5},
        {"sha256": {}},
        {"step": "one"},
        {"step": -1},
        {"image_size": "8"},
        {"image_size": 16},
        {"channels": 3},
        {"channels": None},
        {"classes": 10**10},
        {"classes": 1e10},
        {"classes": 3},
    ],
    ids=str,
)
def test_a_manifest_that_distal_never_wrote_is_refused_before_anything_is_built(change: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=r"manifest\.json is missing or damaged"):
        GAN.from_files(config(), edited(change), expected=(8, 1, 2))


@pytest.mark.parametrize("net", [5, {}, {"name": 5}, None])
def test_a_manifest_of_no_network_is_refused(net: Any) -> None:
    with pytest.raises(RunError, match="another `net` configuration"):
        GAN.from_files(config(), edited({"net": net}))


@pytest.mark.parametrize("name", ["generator.safetensors", "optimizer_generator.safetensors"])
@pytest.mark.parametrize(
    "weights", [b"", b"garbage", 8 * b"\xff", pack({"other": torch.zeros(2)})], ids=["empty", "text", "long", "other"]
)
def test_weights_that_are_none_are_refused_though_their_hash_fits(weights: bytes, name: str) -> None:
    with pytest.raises(RunError, match=rf"{name} is missing or damaged") as caught:
        GAN.from_files(config(), edited({}, weights, name))
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_is_restored_with_what_it_keeps(optimizer: str, momentum: float) -> None:
    c = config("residual", optimizer=optimizer, momentum=momentum)
    unbroken, _ = trained(c, 6)
    restored = GAN.from_files(c, trained(c, 3)[0].to_files())
    train_round(restored, labeled_rows(), Alone(), 3)
    assert restored.to_files() == unbroken.to_files()


def test_a_checkpoint_of_another_optimizer_is_refused() -> None:
    files = trained(config(), 1)[0].to_files()
    with pytest.raises(RunError, match=r"optimizer_generator\.safetensors .*not those of the optimizer, RMSprop"):
        GAN.from_files(config(optimizer="rmsprop"), files)


def test_an_optimizer_that_lacks_a_moment_is_refused() -> None:
    name = "optimizer_discriminator.safetensors"
    moments = unpack(trained(config(), 1)[0].to_files()[name])
    del moments[next(key for key in moments if key.startswith("exp_avg_sq."))]
    with pytest.raises(RunError, match=rf"{name} is missing or damaged"):
        GAN.from_files(config(), edited({}, pack(moments), name))


def test_another_network_configuration_is_refused() -> None:
    state, _ = trained(config(), 1)
    with pytest.raises(RunError, match="another `net` configuration"):
        GAN.from_files(config("residual"), state.to_files())


def test_generated_images_are_bytes_and_do_not_depend_on_how_many_are_asked_for() -> None:
    state, _ = trained(config(), 2)
    z = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    y = torch.arange(300) % 2
    images = state.generate(z, y)
    assert images.dtype == torch.uint8
    assert images.shape == (300, 1, 8, 8)
    # Another batch size may round a value that lies on the edge between two bytes to its neighbour.
    assert (state.generate(z[:5], y[:5]).int() - images[:5].int()).abs().max() <= 1
    assert state.generate(z[:0], y[:0]).shape == (0, 1, 8, 8)


def test_the_scorer_is_a_copy_that_later_training_does_not_change() -> None:
    state, _ = trained(config(), 2)
    scorer = state.scorer()
    before = scorer.to_bytes()
    train_round(state, labeled_rows(), Alone(), 2)
    assert scorer.to_bytes() == before


def test_weights_that_are_not_finite_are_named() -> None:
    state, _ = trained(config(), 1)
    assert spoiled(state, Alone()) == []
    with torch.no_grad():
        next(state.averaged_G.parameters()).fill_(float("nan"))
    assert spoiled(state, Alone()) == ["weights of averaged generator"]
