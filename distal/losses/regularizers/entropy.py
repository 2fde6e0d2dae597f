"""Ask the head to be sure, and sure of different things."""

from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors


@regularizer("head_entropy", player="D", lazy=False, default=0.1, per_pixel=False)
def head_entropy(step: StepTensors) -> Tensor:
    """E H(p(y | x)) over real images: entropy minimization, Grandvalet & Bengio 2005.

    Without labels it may make all images one class.
    """
    log_p = step.class_logits[: step.rows].float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).mean()


@regularizer("mutual_information", player="both", lazy=False, default=0.1, per_pixel=False)
def mutual_information(step: StepTensors) -> Tensor:
    """- I(x; y) = E H(p(y | x)) - H(E p(y | x)), the mean over the global batch: Bridle et al. 1992; RIM, Krause et al.
    2010.

    Over real images in D's phase, over generated ones in G's: each is of one class, all classes alike often. So it is
    wrong for a pool of rare classes, unless the batch is balanced.
    """
    own = slice(0, step.rows) if step.player == "D" else slice(step.rows, None)
    log_p = step.class_logits[own].float().log_softmax(1)
    p = log_p.exp()
    mean = step.mean(p)
    return (mean * (mean + 1e-12).log()).sum() - (p * log_p).sum(1).mean()
