"""Refuse what would look at rows beside the noise of private updates: a promise that is not kept is worse than none."""

from collections.abc import Iterator

from distal.config import Config, GanConfig
from distal.errors import ConfigError
from distal.losses import ADVERSARIAL
from distal.losses.regularizers import get_regularizers
from distal.nets import get_network
from distal.train.accountant import require_opacus

GUESSABLE = 2**32
"""Seeds below this can be tried one by one, and the noise is a function of the seed."""


def check_private(config: Config, own: GanConfig) -> None:
    """Raise ConfigError where D's updates are to be private and cannot be: the first reason, and all that mends it."""
    if own.privacy.noise is None:
        return
    require_opacus()
    wrong = [*_of_model(config, own), *_of_training(config)]
    if wrong:
        mends = " ".join(mend for _, mend in wrong)
        raise ConfigError(
            f"model.privacy.noise: D's updates are to be private, but {wrong[0][0]}.\nSet {mends}\n"
            "(docs/privacy.md says why), or model.privacy.noise=null."
        )


def _of_model(config: Config, own: GanConfig) -> Iterator[tuple[str, str]]:
    """Yield what is wrong in the section `model`, and what mends it."""
    loss = ADVERSARIAL.find(own.adversarial)
    network = get_network(config.net.name, config.pool.image_size or 32)
    weighed = get_regularizers(own.regularizers, 1, network.penalized)
    if loss.relative or loss.centred:
        yield f"G's loss of {own.adversarial} looks at real images", "model.adversarial=hinge"
    if weighed:
        off = ", ".join(f"{name}: 0" for name in weighed)
        names = ", ".join(weighed)
        yield f"{names} would see rows beside the noise, or twice", f"model.regularizers='{{{off}}}'"
    if (network.reconstruction if own.reconstruction is None else own.reconstruction) > 0:
        yield "G is taught to make real images from their latents", "model.reconstruction=0"
    if own.balance.knob != "none":
        yield "the balance is turned by what D says of real images", "model.balance.knob=none"
    if own.latents != "drawn":
        yield f"latents by {own.latents} differentiate D while it is differentiated", "model.latents=drawn"


def _of_training(config: Config) -> Iterator[tuple[str, str]]:
    """Yield what is wrong in the rest of the configuration, and what mends it."""
    train = config.train
    if train.class_balance != 0:
        yield "labeled rows of rare classes would be drawn more often than is counted", "train.class_balance=0"
    if train.full_labels:
        yield "every labeled row would be in every batch", "train.full_labels=false"
    if train.accumulate > 1:
        yield "batches of several pieces are not counted; memory is bounded already", "train.accumulate=1"
    if train.on_divergence == "restore":
        yield "going back makes updates anew under the same noise", "train.on_divergence=stop"
    if config.query.synthesize > 0:
        yield "answers about drawn images would teach D beside the noise", "query.synthesize=0"
    if config.seed < GUESSABLE:
        yield (
            f"its noise is a function of the seed, and {config.seed} can be guessed",
            "seed=$(python -c 'import secrets; print(secrets.randbits(62))')",
        )
