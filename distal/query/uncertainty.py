"""Score rows by how unsure the model is of their class: Settles, Active Learning Literature Survey, 2009, section 3.1.

Scores are computed column by column over chunks of rows that stay in cache. Every operation is elementwise over rows,
so a row's score has the same bits whichever rows lie beside it.
"""

from collections.abc import Callable

import torch

from distal.query.registry import score_strategy
from distal.query.view import View
from distal.streams import row_uniforms

CHUNK = 16_384  # rows; one column of float32 is 64 KiB and a handful of them fits a core's L2 cache


def entropies(columns: torch.Tensor) -> torch.Tensor:
    """Return -sum_c p_c ln p_c, float32 [rows], of columns [K, rows]."""
    return added_up(weighted_logs(columns)).neg_()


def weighted_logs(probs: torch.Tensor) -> torch.Tensor:
    """Return p ln p of each probability.

    One logarithm over the whole chunk, with the smallest normal number for zero: `torch.special.entr` and `xlogy` treat
    every element by itself and take twice as long.
    """
    return probs.clamp_min(torch.finfo(torch.float32).tiny).log_().mul_(probs)


def added_up(terms: torch.Tensor) -> torch.Tensor:
    """Return the sum over the first axis, half on half: elementwise, and in few calls."""
    while len(terms) > 1:
        half = len(terms) // 2
        folded = terms[:half] + terms[-half:]
        if len(terms) % 2:
            folded[0] += terms[half]
        terms = folded
    return terms[0]


def over_columns(probs: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply score, from [K, rows] to [rows], to the transposed chunks of probs [n, K]."""
    out = torch.empty(len(probs), dtype=torch.float32, device=probs.device)
    for start in range(0, len(probs), CHUNK):
        out[start : start + CHUNK] = score(probs[start : start + CHUNK].T.float().contiguous())
    return out


@score_strategy("random")
def random(view: View) -> torch.Tensor:
    """Draw a uniform score, float64 [n], by row id and round alone."""
    return torch.from_numpy(row_uniforms(view.row_ids, view.seed, "query", "random", view.round))


@score_strategy("entropy", needs={"probs"})
def entropy(view: View) -> torch.Tensor:
    """Return the entropy of the class distribution, -sum_c p_c ln p_c in nats, float32 [n]; 0 ln 0 is 0."""

    return over_columns(view.need("probs"), entropies)


@score_strategy("margin", needs={"probs"})
def margin(view: View) -> torch.Tensor:
    """Return minus the difference of the two largest probabilities, float32 [n] in [-1, 0] (Scheffer et al. 2001)."""

    def score(columns: torch.Tensor) -> torch.Tensor:
        first, second = columns[0].clone(), torch.zeros_like(columns[0])
        lower = torch.empty_like(second)
        for column in columns[1:]:
            torch.minimum(first, column, out=lower)
            torch.maximum(second, lower, out=second)
            torch.maximum(first, column, out=first)
        return second.sub_(first)

    return over_columns(view.need("probs"), score)


@score_strategy("least_confidence", needs={"probs"})
def least_confidence(view: View) -> torch.Tensor:
    """Return minus the largest probability, float32 [n] in [-1, 0] (Lewis and Gale 1994)."""
    return -view.need("probs").amax(1).float()
