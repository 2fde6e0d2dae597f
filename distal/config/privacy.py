"""The section of differential privacy: how a discriminator's updates are made private, and against which odds."""

from typing import Annotated

from pydantic import Field

from distal.config.section import Positive, Section


class PrivacyConfig(Section):
    """What makes the updates of a GAN's discriminator differentially private (DP-SGD)."""

    noise: Positive | None = Field(
        None,
        description="noise on the sum of D's clipped gradients, as a multiple of clip (the noise multiplier of DP-SGD; "
        "1 is usual); null: D's updates are not private",
    )
    clip: Positive = Field(
        1.0, description="greatest length of the gradient of one row and its generated partner; with noise"
    )
    delta: Annotated[float, Field(gt=0.0, lt=0.1)] = Field(
        1e-5, description="delta at which the spent epsilon is stated; well below 1 / rows of the pool"
    )
