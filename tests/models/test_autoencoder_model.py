"""The autoencoder: its loss against the paper's, each of its options, and what it says of images."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from metric_fakes import on_ranks
from training_case import config, labeled_rows, trained

from distal.communicator import Communicator
from distal.errors import ConfigError
from distal.models import Autoencoder
from distal.models.autoencoder.density import fit_density
from distal.resolve import make_config
from distal.train.batch import Batch, draw_batch


def model_of(**own: Any) -> Autoencoder:
    return Autoencoder.create(config(model={"kind": "autoencoder", **own}, augment=[], latent_dim=6), 8, 1, 2)


def batch() -> Batch:
    return draw_batch(labeled_rows(), 0, 12, 0.25, 6, 0, 0, 1, torch.device("cpu"), torch.contiguous_format)


def test_the_loss_is_that_of_the_paper_over_all_classes_of_an_unlabeled_row() -> None:
    model, rows = model_of(beta=2.0, decoder_weight=0.5, head_weight=3.0), batch()
    nets, known = model.nets, len(rows.labels)
    nets.noise.fill_(0.2)
    phi = nets.features(rows.images)
    q, each = nets.classify(phi).softmax(1), []
    for label in range(2):
        y = F.one_hot(torch.full((12,), label), 2).float()
        z = nets.posterior_of_features(phi) + nets.posterior_of_class(y)
        error = (rows.images - nets.decode(z, y)).square().sum((1, 2, 3))
        each.append((error + 2 * 0.2 * 2.0 * z.square().sum(1) / 2) / (2 * 0.2))  # equation 11 over 2 sigma^2
    per_class = torch.stack(each, 1) + 0.5 * 64 * np.log(2 * np.pi * 0.2)
    labeled = per_class[:known].gather(1, rows.labels[:, None]).sum()
    u = q[known:]
    unlabeled = (u * per_class[known:]).sum() + (u * (u.log() - np.log(0.5))).sum()
    weights = sum(p.square().sum() for p in nets.decoder.parameters())
    expected = (labeled + unlabeled) / 12 / 64 + 3.0 * F.cross_entropy(nets.classify(phi[:known]), rows.labels)
    torch.testing.assert_close(model._losses(rows)[0], expected + 0.5 * weights / 2 / 64, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "own",
    [{"beta": 0.0}, {"decoder_weight": 0.0}, {"unlabeled": "none"}, {"unlabeled": "sample"}, {"head_weight": 0.0}],
    ids=str,
)
def test_each_option_changes_what_is_stepped_down(own: dict[str, Any]) -> None:
    plain, other = model_of(), model_of(**own)
    for model in (plain, other):
        with torch.no_grad():
            model.nets.posterior_of_class.weight[:, 1] += 1.0  # as is, a row's latents are much the same of any class
    rows = batch()
    assert not torch.equal(plain._losses(rows)[0], other._losses(rows)[0])


def test_realism_is_minus_the_error_of_a_pixel_and_a_latent_is_one_whatever_the_noise() -> None:
    model, _ = trained(config(model={"kind": "autoencoder"}, latent_dim=6), 3)
    pixels = torch.from_numpy(labeled_rows().images.pixels(np.arange(5)))
    nets, x = model.averaged, pixels.float() / 127.5 - 1
    phi = nets.features(x)
    probs = nets.classify(phi).softmax(1)
    posterior = nets.posterior(phi, probs)
    assert torch.equal(posterior.sample(torch.randn(5, 6)), posterior.mean)
    error = (nets.decode(posterior.mean, probs) - x).square().mean((1, 2, 3))
    torch.testing.assert_close(model.scorer()(pixels)["realism"], -error)


def test_the_density_is_of_the_latents_under_labels_and_under_what_is_believed_on_any_number_of_ranks() -> None:
    model = model_of()

    def fitted(comm: Communicator) -> list[torch.Tensor]:
        own = Autoencoder.from_files(model.config, model.to_files())
        own.settle(labeled_rows(7), comm)
        return list(own.codes.buffers())

    (alone,), pair = on_ranks(1, fitted), on_ranks(2, fitted)
    for mine, first, second in zip(alone, *pair, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first.abs(), mine.abs(), atol=1e-4, rtol=1e-3)  # an axis has no sign
    images = torch.from_numpy(labeled_rows().images.pixels(np.array([0, 2, 4, 6, 1, 3, 5]))).float() / 127.5 - 1
    y = F.one_hot(torch.tensor([0, 0, 0, 0, 1, 1, 1]), 2).float()
    z = model.averaged.encoded(model.averaged.features(images), y)
    center = [z[:4].mean(0), z[4:].mean(0)]
    mean = alone[0]
    torch.testing.assert_close(torch.stack([mean[:4].mean(0), mean[4:].mean(0)]), torch.stack(center))


def test_a_class_without_a_label_is_drawn_as_all_rows_are_and_no_label_is_needed() -> None:
    state, _ = trained(config(model={"kind": "autoencoder"}, latent_dim=6), 2, labels=0)
    assert state.codes.count.tolist() == [1, 1]
    z = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    drawn = state.codes(z, torch.eye(2)[0].expand(4000, 2))
    images = torch.from_numpy(labeled_rows().images.pixels(np.arange(200))).float() / 127.5 - 1
    nets = state.averaged
    phi = nets.features(images)
    every = nets.encoded(phi, nets.classify(phi).softmax(1))
    torch.testing.assert_close(drawn.mean(0), every.mean(0), atol=0.1 * float(every.std()), rtol=0)
    assert (drawn.var(0).sum() / every.var(0).sum()) == pytest.approx(1.0, abs=0.1)


def test_it_has_no_prior_to_draw_from_and_is_told_so_by_its_section() -> None:
    with pytest.raises(ConfigError, match=r"model\.code_spread: .*valid number"):
        make_config({"model": {"kind": "autoencoder", "code_spread": None}})
    assert fit_density(
        torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(1, 2), torch.ones(1, 1)
    ).mean.shape == (1, 2)
