import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.losses.regularizers import REGULARIZERS, StepTensors, regularizer
from distal.models import GAN
from distal.models.gan.conditions import condition
from distal.models.gan.step import Step, Views, generator_losses
from distal.train.augment import draws
from distal.train.batch import draw_batch
from distal.train.descent import descend


def plain_update(state: GAN) -> dict[str, float]:
    """Do one step as the equations say, with nothing shared, saved or fused: fp32, NCHW, plain Adam on both."""
    own_config, K = state.objective.own, state.classes
    n = draws(state.objective.augmentations)
    layout = torch.contiguous_format
    batch = draw_batch(labeled_rows(), state.step, 12, 0.25, 64, n, 0, 1, torch.device("cpu"), layout)
    c = condition(state.averaged_D, batch, K, state.objective)
    T = [a.function for a in state.objective.augmentations]
    real, fake = batch.images, state.G(batch.latents, c.y_fake)
    for f in T:
        real, fake = f(real, batch.augment_real), f(fake, batch.augment_fake)
    real, D, h = real.detach().requires_grad_(), state.D, len(batch.labels)
    x = fake.detach().requires_grad_()
    real_logits, real_classes, _ = D(real, c.y_real)
    fake_logits = D(x, c.y_fake)[0]
    r1 = torch.autograd.grad(real_logits.sum(), real, create_graph=True)[0].square().sum() / (2 * len(real))
    r2 = torch.autograd.grad(fake_logits.sum(), x, create_graph=True)[0].square().sum() / (2 * len(real))
    d = F.softplus(fake_logits - real_logits).mean()
    head = F.cross_entropy(real_classes[:h], batch.labels)
    confidence, guess = c.predicted.max(1)
    own = F.cross_entropy(real_classes[h:], guess, reduction="none") * (confidence >= own_config.pseudo_label_threshold)
    weight = 0.05  # the default at 8 px
    loss = d + weight * (r1 + r2) + own_config.head_weight * head + own_config.pseudo_label_weight * own.mean()
    state.optimizers[1].zero_grad()
    loss.backward()
    state.optimizers[1].step()
    fake_logits, fake_classes, _ = D(fake, c.y_fake)
    g = F.softplus(D(real, c.y_real)[0].detach() - fake_logits).mean()
    asked = F.cross_entropy(fake_classes, c.y_fake.argmax(1))
    state.optimizers[0].zero_grad()
    (g + own_config.class_weight * asked).backward()
    state.optimizers[0].step()
    state.step += 1
    terms = {"d": d, "r1": r1, "r2": r2, "head": head, "g": g, "class": asked}
    return {name: float(value.detach()) for name, value in terms.items()}


@pytest.mark.parametrize("net", ["dense", "residual"])
def test_a_step_equals_the_equations_written_out(net: str) -> None:
    c = config(net)
    ours, plain = (GAN.create(c, 8, 1, 2) for _ in range(2))
    plain.optimizers = tuple(  # type: ignore[assignment]
        torch.optim.Adam(m.parameters(), lr=5e-4, betas=(0.0, 0.99), fused=False, foreach=False)
        for m in (plain.G, plain.D)
    )
    plain.averaged_D = ours.averaged_D  # both draw the same classes
    for _ in range(4):
        expected = plain_update(plain)
        got = ours.advance(labeled_rows(), Alone())
        for name, value in expected.items():
            # float32 sums in another order: 1e-6 a step, grown by Adam's division by small second moments.
            assert float(got[name]) == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_the_generator_phase_gives_d_no_gradient() -> None:
    state, _ = trained(config(), 1)
    assert all(p.requires_grad and p.grad is None for p in state.D.parameters())
    batch = draw_batch(labeled_rows(), 1, 12, 0.25, 64, 2, 0, 1, torch.device("cpu"), torch.contiguous_format)
    c = condition(state.averaged_D, batch, 2, state.objective)
    step = Step(state.G, state.D, batch, c, state.objective, 1, Alone(), {})
    before = weights(state)
    descend(state.G, state.optimizers[0], [lambda: generator_losses(step, Views.of(step, step.generate()))], Alone())
    assert not torch.equal(weights(state), before)
    assert all(p.grad is None for p in state.D.parameters())


def test_a_lazy_penalty_is_due_every_nth_step_with_weight_n() -> None:
    objective = GAN.create(config(lazy_interval=4, regularizers={"r1": 0.5}), 8, 1, 2).objective
    assert [step for step in range(9) if objective.due("D", step)] == [0, 4, 8]
    assert objective.due("D", 4)["r1"][1] == pytest.approx(2.0)
    assert objective.due("G", 4) == {}


def test_a_generators_regularizer_joins_its_loss() -> None:
    @regularizer("dim", player="G", lazy=False, default=1.0)
    def dim(step: StepTensors) -> Tensor:
        return (step.images[step.rows :] + 1).square().mean()

    try:
        c = config(regularizers={"r1": None, "dim": 300.0}, learning_rate_g=0.01)
        _, losses = trained(c, 30)
    finally:
        del REGULARIZERS.entries["dim"]
    assert losses["dim_g"] < 0.2, "the images went dark, as the heavy regularizer asks"


def test_training_goes_on_without_a_single_label() -> None:
    state, losses = trained(config(), 5, labels=0)
    assert set(losses) == {"d", "r1", "r2", "g"}
    assert torch.isfinite(weights(state)).all()


def test_every_augmentation_and_adversarial_loss_can_be_trained_with() -> None:
    for name in ("hinge", "non_saturating"):
        _, losses = trained(config(adversarial=name, augment=["zoom", "cutout", "flip", "brightness", "contrast"]), 2)
        assert all(abs(v) < 100 for v in losses.values())
