"""What people say of drawn images: a name teaches the head, a refusal D, and neither makes one real."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from metric_fakes import on_ranks
from training_case import Stripes, config, labeled_rows, weights

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.losses.adversarial import ADVERSARIAL
from distal.models import GAN, MODELS
from distal.models.gan.conditions import condition
from distal.models.gan.step import Step, Views, discriminator_losses
from distal.resolve import parse_config
from distal.train.augment import augment
from distal.train.batch import Batch, batch_of
from distal.train.rows import TrainingRows
from distal.train.synthesized import Synthesized


def crosses(n: int) -> np.ndarray:
    """Draw what is no stripes."""
    image = np.full((8, 8), 30, np.uint8)
    image[3:5], image[:, 3:5] = 220, 220
    noise = np.random.default_rng(0).integers(0, 25, (n, 1, 8, 8), dtype=np.uint8)
    return image + noise


REFUSED = Synthesized(crosses(6), np.full(6, -1))
NAMED = Synthesized(crosses(6), np.ones(6, np.int64))
MIXED = Synthesized(np.concatenate([crosses(6), Stripes().pixels(np.arange(6))]), np.array([-1] * 6 + [0, 1] * 3))


def with_answers(answers: Synthesized | None) -> TrainingRows:
    return labeled_rows(synthesized=answers)


def one_step(adversarial: str, net: str, answers: Synthesized | None) -> tuple[GAN, Step, Views]:
    c = config(net, adversarial=adversarial, labeled_fraction=0.5)
    model = GAN.create(c.model_copy(update={"query": c.query.model_copy(update={"synthesize": 0.7})}), 8, 1, 2)
    augmentations, layout = model.objective.augmentations, model.layout
    batch: Batch = batch_of(model.config, with_answers(answers), 0, augmentations, Alone(), model.device, layout)
    classes = condition(model.averaged_D, batch, 2, model.objective)
    step = Step(model.G, model.D, batch, classes, model.objective, 0, Alone(), {})
    return model, step, Views.of(step, step.generate())


@pytest.mark.parametrize("adversarial", ["rpgan", "relativistic_average", "hinge"])
def test_the_terms_equal_the_equations_written_out(adversarial: str) -> None:
    model, step, views = one_step(adversarial, "dense", MIXED)
    loss, terms = discriminator_losses(step, views)
    loss = loss.detach()
    plain, without = discriminator_losses(*one_step(adversarial, "dense", None)[1:])
    own = step.batch.synthesized
    assert own is not None
    refused = own.labels < 0
    assert 0 < int(refused.sum()) < len(refused)
    x = augment(own.images, own.augment, model.objective.augmentations)
    y = step.classes.y_real
    real, fake = model.D(views.real, y)[0], model.D(views.fake, step.classes.y_fake)[0]
    logits, head, _ = model.D(x, y[own.partners])
    log_p = F.log_softmax(head, 1)
    log_p = log_p.detach()
    named = sum(-log_p[i, label] if label >= 0 else -log_p[i].mean() for i, label in enumerate(own.labels.tolist()))
    r, f = real[own.partners][refused], logits[refused]
    if adversarial == "relativistic_average":
        r, f = r - fake.mean(), f - real.mean()
    pairs = ADVERSARIAL.find(adversarial).discriminator(r, f).detach() * int(refused.sum()) / step.batch.total
    assert terms["answered"].item() == pytest.approx(float(named) / step.batch.labeled_total, rel=1e-5)
    assert terms["refused"].item() == pytest.approx(float(pairs), rel=1e-5)
    assert float(loss) == pytest.approx(float(plain + terms["answered"] + terms["refused"]), rel=1e-5)
    assert {name: terms[name] for name in without} == without, "the other terms are what they were"


def trained_with(answers: Synthesized | None) -> GAN:
    c = config(labeled_fraction=0.5)
    model = GAN.create(c.model_copy(update={"query": c.query.model_copy(update={"synthesize": 0.5})}), 8, 1, 2)
    for _ in range(60):
        model.advance(with_answers(answers), Alone())
    return model


def test_a_refusal_makes_d_and_the_head_doubt_such_images_and_a_name_teaches_the_head_alone() -> None:
    seen = {}
    images = torch.from_numpy(crosses(20)[6:])
    for name, answers in (("none", None), ("refused", REFUSED), ("named", NAMED)):
        scored = trained_with(answers).scorer()
        real = scored(torch.from_numpy(Stripes().pixels(np.arange(100, 120))))["realism"].mean()
        own = scored(images)
        seen[name] = float(real - own["realism"].mean()), own["probs"].mean(0)
    assert seen["refused"][0] > seen["none"][0] + 0.5, "real images lie further above what was refused"
    assert float(seen["refused"][1].max()) < 0.75, "and it is of no class"
    assert float(seen["named"][1][1]) > 0.8
    assert seen["named"][0] > seen["none"][0] - 2, "but a name makes no image real"


@pytest.mark.parametrize("net", ["dense", "residual"])
def test_two_ranks_learn_what_one_learns_though_one_of_them_may_have_no_such_image(net: str) -> None:
    def learned(comm: object) -> tuple[torch.Tensor, dict[str, float]]:
        c = config(net, optimizer="sgd", learning_rate_g=0.02, learning_rate_d=0.02)
        model = GAN.create(c.model_copy(update={"query": c.query.model_copy(update={"synthesize": 0.3})}), 8, 1, 2)
        for _ in range(2):
            losses = model.advance(with_answers(MIXED), comm)  # type: ignore[arg-type]
        return weights(model), {name: float(value) for name, value in losses.items()}

    (one, losses), *two = [*on_ranks(1, learned), *on_ranks(2, learned)]
    for rank, said in two:
        assert torch.allclose(rank, one, atol=1e-5)
        assert said == pytest.approx(losses, rel=1e-3, abs=1e-5)


def test_models_that_could_not_learn_from_a_refusal_say_so() -> None:
    tree = {"query": {"synthesize": 0.2}, "oracle": {"kind": "callable"}}
    with pytest.raises(ConfigError, match=r"query\.synthesize: an image that people refuse teaches a discriminator"):
        MODELS.find("vae").check(parse_config({**tree, "model": {"kind": "vae"}}))
    c = parse_config({**tree, "net": {"name": "dcgan", "width": 4}, "model": {"regularizers": {"r1": 0, "r2": 0}}})
    with pytest.raises(ConfigError, match=r"net\.name=dcgan has a BatchNorm"):
        GAN.create(c, 16, 1, 2)
