"""Score rows by what the discriminator makes of them: where the generator falls short.

The logit C(x) of a discriminator estimates the log density ratio ln p_data(x) - ln p_G(x) (Goodfellow et al. 2014,
proposition 1), so a high one marks a row that the generator draws too rarely. A relativistic loss leaves the zero of
C free: whatever compares rows with one another still holds, what compares C with zero (`d_uncertainty`) holds for
absolute losses alone (hinge, non_saturating). Every score is a function of its row alone.
"""

from collections.abc import Callable

import torch

from distal.query.registry import score_strategy
from distal.query.uncertainty import CHUNK, entropy
from distal.query.view import View


@score_strategy("realism", needs={"realism"})
def realism(view: View) -> torch.Tensor:
    """Return C(x), float32 [n]: what G lacks most comes first (Lee et al. 2021, who weigh such rows up in training)."""
    return view.need("realism")


@score_strategy("d_uncertainty", needs={"realism"})
def d_uncertainty(view: View) -> torch.Tensor:
    """Return -|C(x)|, float32 [n]: uncertainty sampling (Lewis and Gale 1994) of real against drawn.

    The order is that of -|sigmoid(C(x)) - 1/2|, and holds where the sigmoid itself is 0 or 1 in floating point.
    """
    return -view.need("realism").abs()


@score_strategy("gold", needs={"realism", "probs"})
def gold(view: View) -> torch.Tensor:
    """Return C(x) + H(p(. | x)), float32 [n]: GOLD for a row without a label (Mo et al. 2019, section 3.3).

    The gap of log densities of (x, c) is C(x) + ln p(c | x) up to G's own certainty of c; the class being unknown, the
    authors put the classifier's entropy in its place.
    """
    return view.need("realism") + entropy(view)


@score_strategy("ldr_mean", needs={"ldr"})
def ldr_mean(view: View) -> torch.Tensor:
    """Return the mean of the log density ratio over T moments of training, float32 [n], from ldr float32 [n, T].

    LDRM of Lee et al. 2021, section 3.2: high where a row is underrepresented in what G draws.
    """
    ldr = view.need("ldr").float().contiguous()
    return ldr.sum(1) / ldr.shape[1]


@score_strategy("ldr_variance", needs={"ldr"})
def ldr_variance(view: View) -> torch.Tensor:
    """Return the variance (divisor T - 1) of the log density ratio over T moments, float32 [n]; zero where T is 1.

    LDRV of Lee et al. 2021, section 3.2: high where training has not settled on a row, as in minor groups.
    """

    def score(moments: torch.Tensor) -> torch.Tensor:
        number = moments.shape[1]
        centred = moments - (moments.sum(1) / number)[:, None]
        return centred.mul_(centred).sum(1) / max(number - 1, 1)

    return _over_rows(view.need("ldr"), score)


@score_strategy("coverage", needs={"generated_distance"})
def coverage(view: View) -> torch.Tensor:
    """Return the distance of a row to the nearest image drawn for its most likely class, float32 [n].

    Core-set selection (Sener and Savarese 2018) with what G draws for centers: rows far from all of them are what the
    generator does not cover. generated_distance holds it, infinite for a class that nothing was drawn for.
    """
    return view.need("generated_distance").clamp_max(torch.finfo(torch.float32).max)


def _over_rows(ldr: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply score, from [rows, T] to [rows], to chunks of ldr [n, T] that stay in cache.

    torch adds each row of contiguous numbers up by itself, so its bits do not depend on the rows beside it.
    """
    out = torch.empty(len(ldr), dtype=torch.float32, device=ldr.device)
    for start in range(0, len(ldr), CHUNK):
        out[start : start + CHUNK] = score(ldr[start : start + CHUNK].float().contiguous())
    return out
