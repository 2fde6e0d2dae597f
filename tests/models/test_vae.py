"""The VAE: its bound against closed forms, what it learns of two kinds of stripes, and that it is kept whole.

The autoencoder is held to the same where it is the same; what is its own stands in test_autoencoder.py.
"""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from training_case import ROWS, config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.config import NetConfig
from distal.errors import ConfigError
from distal.models import VAE, Autoencoder, read_scorer
from distal.models.vae.networks import Posterior, build_nets
from distal.models.vae.step import losses
from distal.train import train_round
from distal.train.batch import Batch, draw_batch

NET = NetConfig(name="dense", width=4, features=8, latent_dim=5)


def vae(**changes: Any) -> Any:
    own = {key: changes.pop(key) for key in ("kind", "beta", "unlabeled", "head_weight") if key in changes}
    return config(model={"kind": "vae", **own}, **changes)


KINDS = {"vae": VAE, "autoencoder": Autoencoder}


def test_photographs_are_decoded_by_residual_networks_unless_another_is_named() -> None:
    nets = build_nets(NetConfig(width=4), 64, 1, 2)
    assert [p.shape for p in nets.parameters()] == [
        p.shape for p in build_nets(NetConfig(name="residual", width=4), 64, 1, 2).parameters()
    ]
    with pytest.raises(ConfigError, match="looks at images through a frozen network"):
        build_nets(NetConfig(name="projected", width=4), 64, 1, 2)


def batch_of(model: VAE, total: int = 12) -> Batch:
    return draw_batch(labeled_rows(), 0, total, 0.25, 64, 0, 0, 1, torch.device("cpu"), torch.contiguous_format)


def test_reconstruction_and_divergence_are_those_of_normal_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    x, decoded = (torch.rand(3, 1, 8, 8, generator=draw) * 2 - 1 for _ in range(2))
    nets = build_nets(NET, 8, 1, 2)
    nets.noise.fill_(0.3)
    expected = -torch.distributions.Normal(decoded.double(), math.sqrt(0.3)).log_prob(x.double()).sum((1, 2, 3))
    torch.testing.assert_close(nets.reconstruction(x, decoded).double(), expected, rtol=1e-5, atol=0)
    mean, log_variance = torch.randn(2, 3, 5, generator=draw)
    q = torch.distributions.Normal(mean.double(), (0.5 * log_variance.double()).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(Posterior(mean, log_variance).divergence().double(), kl, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_bound_of_labeled_rows_and_that_of_unlabeled_ones_over_all_classes() -> None:
    model = VAE.create(vae(beta=2.0, head_weight=3.0, augment=[]), 8, 1, 2)
    nets, batch = model.nets, batch_of(model)
    nets.noise.fill_(0.2)
    known, n = len(batch.labels), batch.total
    phi = nets.features(batch.images)
    q = nets.classify(phi).softmax(1)
    bounds = []
    for label in range(2):
        y = F.one_hot(torch.full((n,), label), 2).float()
        posterior = nets.posterior(phi, y)
        decoded = nets.decode(posterior.mean + (posterior.log_variance / 2).exp() * batch.latents, y)
        bounds.append(nets.reconstruction(batch.images, decoded) + 2.0 * posterior.divergence())
    per_class = torch.stack(bounds, 1)
    labeled = per_class[:known].gather(1, batch.labels[:, None]).sum()
    u = q[known:]
    unlabeled = (u * per_class[known:]).sum() + (u * (u.log() - math.log(0.5))).sum()
    expected = (labeled + unlabeled) / n / 64 + 3.0 * F.cross_entropy(nets.classify(phi[:known]), batch.labels)
    torch.testing.assert_close(losses(nets, batch, model.objective)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_class_drawn_for_an_unlabeled_row_gives_the_sum_over_classes_on_average() -> None:
    summed, drawn = (VAE.create(vae(unlabeled=how, augment=[]), 8, 1, 2) for how in ("sum", "sample"))
    batches = [
        draw_batch(labeled_rows(), t, 64, 0.25, 64, 0, 0, 1, torch.device("cpu"), torch.contiguous_format)
        for t in range(30)
    ]
    terms = [
        torch.stack([losses(model.nets, batch, model.objective)[1]["reconstruction"] for batch in batches])
        for model in (summed, drawn)
    ]
    spread = (terms[0] - terms[1]).std() / len(batches) ** 0.5
    assert spread > 0
    assert (terms[0].mean() - terms[1].mean()).abs() < 4 * spread


@pytest.mark.parametrize("kind", KINDS)
def test_unlabeled_rows_are_left_out_where_none_is_asked_for(kind: str) -> None:
    model = KINDS[kind].create(vae(kind=kind, unlabeled="none", augment=[]), 8, 1, 2)
    batch = batch_of(model)
    loss, terms = losses(model.nets, batch, model.objective)
    batch.images[len(batch.labels) :] = 0.0
    assert torch.equal(loss, losses(model.nets, batch, model.objective)[0])
    assert "class_kl" not in terms


@pytest.mark.parametrize(
    ("kind", "net"), [("vae", "dense"), ("vae", "residual"), ("vae", "dcgan"), ("autoencoder", "dense")]
)
def test_saved_restored_and_continued_equals_unbroken_bit_for_bit(kind: str, net: str) -> None:
    c = vae(kind=kind, net=net)
    unbroken, _ = trained(c, 6)
    restored = KINDS[kind].from_files(c, trained(c, 3)[0].to_files(), expected=(8, 1, 2))
    train_round(restored, labeled_rows(), Alone(), 3)
    assert torch.equal(weights(restored), weights(unbroken))
    assert restored.to_files() == unbroken.to_files()


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_two_kinds_of_stripes_from_six_labels_and_draws_the_kind_that_is_asked_for(kind: str) -> None:
    state, terms = trained(vae(kind=kind, ema_half_life=20.0, width=16, batch_size=32, momentum=0.9), 200)
    ids = torch.arange(100, ROWS).numpy()
    images = torch.from_numpy(labeled_rows().images.pixels(ids))
    scores = state.scorer()(images)
    assert (scores["probs"].argmax(1) == torch.from_numpy(ids % 2)).float().mean() > 0.95
    other = state.scorer()(255 - images.flip(3) // 2)["realism"]
    assert scores["realism"].mean() > other.mean() + 0.1
    labels = torch.arange(20) % 2
    drawn = state.generate(torch.randn(20, 64, generator=torch.Generator().manual_seed(0)), labels).float()
    across, down = drawn.std(3).mean((1, 2)), drawn.std(2).mean((1, 2))
    assert ((across > down) == labels.bool()).float().mean() > 0.9
    own = {"vae": {"kl"}, "autoencoder": {"latents", "decoder"}}[kind]
    assert {"reconstruction", "class_kl", "head", "pixel_error"} | own <= set(terms)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scorer_is_rebuilt_from_its_bytes(kind: str) -> None:
    scorer = trained(vae(kind=kind), 2)[0].scorer()
    images = torch.from_numpy(labeled_rows().images.pixels(torch.arange(5).numpy()))
    again = read_scorer(scorer.to_bytes())(images)
    assert all(torch.equal(tensor, again[name]) for name, tensor in scorer(images).items())


def test_a_network_that_looks_through_frozen_maps_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"net\.name: 'projected' .*\nTake dense, residual or dcgan"):
        VAE.create(vae(net="projected"), 8, 1, 2)
