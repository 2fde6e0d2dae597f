"""Images drawn around the latents of labeled ones: which rows, on any ranks; that each model does it and keeps it."""

from collections.abc import Iterator
from typing import Any

import frozen_fake
import numpy as np
import pytest
import torch
from metric_fakes import on_ranks
from torch import Tensor
from training_case import config, labeled_rows, trained

from distal.communicator import Communicator
from distal.config import Config
from distal.errors import RunError
from distal.export.table import compared_rows
from distal.models import GAN, MODELS, VAE, Exportable
from distal.models.codes import IN_ALL, PER_CLASS, chosen, encode_labeled
from distal.nets.codes import CodeMixture
from distal.train import TrainingRows


@pytest.fixture(autouse=True)
def tiny() -> Iterator[frozen_fake.Tiny]:
    with frozen_fake.added() as network:
        yield network


def held(**changes: Any) -> Config:
    return config("projected", **{"backbone": "tiny", "reconstruction": 10.0, "latent_dim": 6} | changes)


def vae(**changes: Any) -> Config:
    return config(model={"kind": "vae", "code_spread": 1.0} | changes, latent_dim=6)


MEMBERS = config(model={"kind": "ensemble", "members": 2, "member": {"kind": "vae", "code_spread": 1.0}}, latent_dim=6)
KINDS = {"gan": held(), "vae": vae(), "autoencoder": vae(kind="autoencoder"), "ensemble": MEMBERS}
LATENTS, LABELS = compared_rows(6, 2)


def summed(images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Encode an image as the mean of its pixels, twice, as surely as the class says."""
    return images.mean((1, 2, 3))[:, None].expand(-1, 2), y[:, :1].expand(-1, 2)


def mixture(rows: TrainingRows, comm: Communicator) -> tuple[Tensor, ...]:
    codes = encode_labeled(rows, 2, 2, 3.0, summed, comm)
    assert codes is not None
    return codes.mean, codes.deviation, codes.count


def test_the_mixture_is_what_the_encoder_says_of_labeled_rows_by_class_on_any_number_of_ranks() -> None:
    (alone,) = on_ranks(1, lambda comm: mixture(labeled_rows(7), comm))
    ids = np.array([0, 2, 4, 6, 1, 3, 5])
    images = torch.from_numpy(labeled_rows().images.pixels(ids)).double() / 127.5 - 1
    means = images.mean((1, 2, 3)).float()
    for some in (slice(0, 4), slice(4, 7)):
        torch.testing.assert_close(alone[0][some, 0].sort().values, means[some].sort().values, atol=1e-6, rtol=0)
    torch.testing.assert_close(alone[1][:, 0], torch.tensor([3 * np.exp(0.5)] * 4 + [3.0] * 3, dtype=torch.float32))
    assert alone[2].tolist() == [4, 3]
    for ranks in (2, 9):
        for told in on_ranks(ranks, lambda comm: mixture(labeled_rows(7), comm)):
            torch.testing.assert_close(told, alone)


def test_of_a_class_with_many_labels_a_hash_chooses_and_of_many_classes_one_each_is_enough() -> None:
    rows = labeled_rows(200)
    at = chosen(rows, 2)
    assert np.bincount(rows.labels[at]).tolist() == [PER_CLASS, PER_CLASS]
    few = labeled_rows(60)
    assert set(few.labeled_ids[chosen(few, 2)]) == set(range(60))
    assert np.bincount(rows.labels[chosen(rows, IN_ALL)]).tolist() == [1, 1]


def test_without_a_label_there_is_no_mixture() -> None:
    assert on_ranks(1, lambda comm: encode_labeled(labeled_rows(0), 2, 2, 1.0, summed, comm)) == [None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_ends_with_images_around_the_labeled_ones_and_the_checkpoint_keeps_them(kind: str) -> None:
    model, _ = trained(KINDS[kind], 1)
    files = model.to_files()
    assert any(name.endswith("codes.safetensors") for name in files)
    restored = MODELS.find(kind).from_files(KINDS[kind], files)
    drawn = model.generate(LATENTS, LABELS)
    assert torch.equal(restored.generate(LATENTS, LABELS), drawn)
    assert restored.to_files() == files
    for each in (model, *getattr(model, "members", [])):
        each.codes = None
    assert not torch.equal(model.generate(LATENTS, LABELS), drawn)


@pytest.mark.parametrize("kind", ["gan", "vae", "autoencoder"])
def test_what_is_exported_and_what_latents_are_chosen_by_draw_around_them_as_well(kind: str) -> None:
    model, _ = trained(KINDS[kind], 1)
    assert isinstance(model, Exportable)
    assert isinstance(model.codes, CodeMixture)
    assert torch.equal(model.drawing()(LATENTS, LABELS), model.generate(LATENTS, LABELS))
    if isinstance(model, GAN):
        y = model.conditions(LABELS[:4])
        images = model.averaged_G(model.codes(LATENTS[:4], y), y)
        torch.testing.assert_close(model.feedback().G(LATENTS[:4], y), images)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (held(), held(code_spread=2.0)),
        (vae(), vae(code_spread=2.0)),
        (vae(kind="autoencoder"), vae(kind="autoencoder", code_spread=2.0)),
    ],
    ids=["gan", "vae", "autoencoder"],
)
def test_the_spread_multiplies_the_deviations(one: Config, other: Config) -> None:
    near, far = trained(one, 1)[0], trained(other, 1)[0]
    torch.testing.assert_close(far.codes.deviation, 2 * near.codes.deviation)
    torch.testing.assert_close(far.codes.mean, near.codes.mean)


@pytest.mark.parametrize("c", [held(code_spread=None), vae(code_spread=None)], ids=["gan", "vae"])
def test_no_spread_draws_from_everywhere(c: Config) -> None:
    assert trained(c, 1)[0].codes is None


@pytest.mark.parametrize("harm", ["count", "shape", "missing", "axes"])
def test_latents_that_are_not_those_of_the_model_are_refused_in_words(harm: str) -> None:
    model = VAE.create(vae(), 8, 1, 2)
    model.codes = CodeMixture(torch.zeros(3, 6), torch.ones(3, 6), torch.tensor([2, 1]))
    if harm == "count":
        model.codes.count = torch.tensor([2, 2])
    elif harm == "shape":
        model.codes.mean = torch.zeros(3, 5)
    elif harm == "axes":
        model.codes.axes = torch.zeros(6, 5)
    else:
        model.codes.deviation = torch.zeros(0)
    with pytest.raises(RunError, match=r"codes\.safetensors is missing or damaged"):
        VAE.from_files(vae(), model.to_files())


def test_a_checkpoint_of_before_there_were_any_draws_from_everywhere() -> None:
    model = VAE.create(vae(), 8, 1, 2)
    assert "codes.safetensors" not in model.to_files()
    assert VAE.from_files(vae(), model.to_files()).codes is None
