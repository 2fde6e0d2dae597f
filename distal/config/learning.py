"""The sections of what learns: networks, features and the model."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from distal.config.privacy import PrivacyConfig
from distal.config.section import Count, Fraction, Positive, Section, Steps, Weight

Layers = Annotated[list[Annotated[int, Field(ge=1, le=16384)]], Field(min_length=1, max_length=16)]
"""Units of layers in order."""


class NetConfig(Section):
    """The shapes of generator and discriminator."""

    name: str = Field(
        "auto",
        description="network by name: dense, residual, dcgan, projected (a light generator, and a discriminator that "
        "looks through a frozen network: for photographs), or auto, which is dense at 8 px, projected from 64 px on (a "
        "vae: residual), residual between",
    )
    latent_dim: Annotated[int, Field(ge=2, le=4096)] = Field(  # the field takes 64 to 512
        64, description="dimension of the latent z; the class embedding has the same"
    )
    width: Annotated[int, Field(ge=4, le=1024)] = Field(  # at 1024 a level has 4,096 channels, 600 MB a convolution
        32,
        description="residual, dcgan: channels at 16 px, doubled with each halving of the side (residual, 32: a step "
        "of 64 images of 32 px takes 0.2 s on two cores with bfloat16, 1 s without; DCGAN's paper: 256); "
        "dense: 1/8 of the units of a layer",
    )
    units_g: Layers | None = Field(
        None, description="dense: units of G's hidden layers, as [128, 128, 1024]; null: one residual block"
    )
    units_d: Layers | None = Field(
        None, description="dense: units of D's hidden layers before its features; null: one residual block"
    )
    features: Annotated[int, Field(ge=1, le=16384)] = Field(  # strategies hold as many floats for each row of a block
        64,
        description="dimension of the discriminator's features, which strategies see as embeddings; "
        "projected: channels of each of its heads",
    )
    class_scale: Positive | None = Field(
        None,
        description="weight of a class's embedding against the noise in G: a heavy one makes one image of a class; "
        "null: 1",
    )
    class_judged: Weight | None = Field(
        None,
        description="weight of an image's class in D's logit; 0: D judges the images of all classes together, and the "
        "head alone tells G of classes (model.class_weight); null: 1, projected 0.3",
    )
    spectral_norm: bool = Field(
        False,
        description="every layer of D but the head has spectral norm 1 (Miyato et al. 2018), so that its slope is "
        "bounded: for wasserstein and hinge, in place of a penalty; projected has it in its heads anyway",
    )
    backbone: str = Field(
        "efficientnet_lite0", description="projected: frozen network by name that its discriminator looks through"
    )


class FeaturesConfig(Section):
    """The frozen network that sees every image once, and what of it the probe and the strategies see."""

    network: str = Field(
        "auto",
        description="frozen feature network by name: pixels, efficientnet_lite0_scales, or another (docs/eyes.md); "
        "auto is pixels at 8 px and efficientnet_lite0_scales above",
    )
    components: Annotated[int, Field(ge=2, le=4096)] = Field(
        128, description="principal components of the features that the probe and the strategies see"
    )
    members: Annotated[int, Field(ge=2, le=1000)] = Field(
        10,
        description="probes of a committee (bald, query_by_committee, ...), each fitted to a bootstrap of the labels",
    )


def _penalties() -> dict[str, float | None]:
    return {"r1": None, "r2": None}


def _in_order(span: tuple[int, int]) -> tuple[int, int]:
    if span[0] > span[1]:
        raise ValueError("the first step of the fade comes after its last")
    return span


class ModelSection(Section):
    """What learns: a model by its kind, with its own keys beside it."""

    kind: str = Field("gan", description="model by name: gan")


class BalanceConfig(Section):
    """What holds D's overfitting or accuracy at a target while a GAN is trained."""

    knob: Literal["none", "augmentation", "learning_rate_d", "d_steps"] = Field(
        "none",
        description="what D is held back by: the probability of train.augment (ADA, which begins at 0), D's learning "
        "rate down to a sixteenth, D's steps from model.d_steps down to 1; none: nothing is measured",
    )
    measure: Literal["overfitting", "accuracy"] = Field(
        "overfitting",
        description="overfitting: the mean sign of D's logits of real images (ADA's r_t), against their generated "
        "partners' where the loss is relativistic; accuracy: how often D is right",
    )
    target: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="value at which the measure is held; null: 0.6 for overfitting (ADA's), 0.8 for accuracy"
    )
    images: Annotated[int, Field(ge=64, le=10**9)] = Field(
        20_000, description="real images in which the knob crosses its whole range (ADA: 500,000 of some millions)"
    )


class GanConfig(ModelSection):
    """The GAN's own: its losses and step sizes."""

    kind: Literal["gan"] = Field("gan", description="model by name: gan, or one that a package adds")
    learning_rate_g: Positive | None = Field(None, description="step size for G; null: 5e-4, projected 1e-3")
    learning_rate_d: Positive | None = Field(None, description="step size for D and head; null: 5e-4, projected 2e-4")
    d_steps: Count = Field(
        1, description="updates of D, each on a batch of its own, for one of G (wasserstein: 5 in its paper)"
    )
    balance: BalanceConfig = Field(
        default_factory=BalanceConfig, description="holds D's overfitting or accuracy at a target by one knob"
    )
    privacy: PrivacyConfig = Field(default_factory=PrivacyConfig, description="makes D's updates private (DP-SGD)")
    latents: str = Field(
        "drawn",
        description="latents of training by name: drawn, or latent_optimization (LOGAN: a step towards what D "
        "believes; twice the passes), with a number after a colon, latent_optimization:0.9 the length of the step",
    )
    top_k: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0,
        description="share of the generated images, the best by D's word, that G learns from, come to from all of them "
        "at 0.999 an update (Sinha et al. 2020: 0.5)",
    )
    adversarial: str = Field(
        "rpgan",
        description="adversarial loss by name: rpgan, relativistic_average, minimax, non_saturating, least_squares, "
        "hinge, wasserstein",
    )
    regularizers: dict[str, Weight | None] = Field(
        default_factory=_penalties,
        description="weight lambda of each regularizer by its name; null: its default, scaled by the pixels of an "
        "image (r1, r2: 0.05 at 8 px, 0.8 at 32 px)",
    )
    lazy_interval: Count = Field(
        1,
        description="apply lazy regularizers (r1, r2, wgan_gp, dragan, r1_fd, r2_fd, bcr, orthogonal, path_length) "
        "every n-th step with weight n: saves time, adds noise",
    )
    head_weight: Weight = Field(1.0, description="weight of the head's cross-entropy on labeled rows, in D's loss")
    pseudo_label_weight: Weight = Field(
        0.1,
        description="weight of the head's loss on its own confident predictions (FixMatch), in D's loss; at 1 what the "
        "head gets wrong while a class has no label yet is never unlearned (digits: accuracy 0.83, not 0.9)",
    )
    pseudo_label_threshold: Fraction = Field(
        0.95, description="confidence from which a prediction counts as a label (FixMatch's value)"
    )
    class_fade: Annotated[tuple[Steps, Steps], AfterValidator(_in_order)] | None = Field(
        None,
        description="steps from which, and until which, classes are faded in, in G, in D's logit and in class_weight: "
        "a generator that has learned variety first keeps it (Shahbazi et al. 2022); [0, 0]: classes from the first "
        "step; null: [0, 0]",
    )
    reconstruction: Weight | None = Field(
        None,
        description="weight in G's loss of how far real images are from what G makes of their own latents, so that a "
        "class of few images does not become one image; 0: no latents of real images; null: 0, projected 50",
    )
    reconstructed: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="share of a step's images that G makes from the latents of real ones, with reconstruction"
    )
    code_weight: Weight = Field(
        0.1,
        description="weight in G's loss of a nat of what the latents of real images say beyond the normal distribution "
        "that latents are drawn from: more makes drawn images more alike real ones, and all of them softer",
    )
    code_spread: Positive | None = Field(
        1.0,
        description="with reconstruction: images are drawn around the latents of labeled images of their class, so "
        "many times as far as the encoder is unsure of them; null: from all over the normal distribution",
    )
    class_weight: Weight = Field(
        0.1, description="weight in G's loss of the head's cross-entropy for the class asked (AC-GAN)"
    )
