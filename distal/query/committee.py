"""Score rows by how far the members of a committee disagree.

The need is `committee`, float32 [n, B, K]: the class probabilities q_ibc of B members. Their mean is the consensus
p_ic = (1/B) sum_b q_ibc. Operations are elementwise, or sums of the contiguous numbers of one row, which torch adds up
row by row: a score has the same bits whichever rows lie beside it.
"""

from collections.abc import Callable

import numpy as np
import torch

from distal.query.registry import score_strategy
from distal.query.uncertainty import added_up, entropies, weighted_logs
from distal.query.view import View
from distal.streams import row_uniforms

CHUNK = 2048  # rows; 10 members by 10 classes of them are 0.8 MiB
LEAST = 1e-30  # nats; a row that tells nothing has a logarithm too


def over_members(committee: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply score, from [rows, B, K] to [rows], to the chunks of a committee [n, B, K]."""
    out = torch.empty(len(committee), dtype=torch.float32, device=committee.device)
    for start in range(0, len(committee), CHUNK):
        out[start : start + CHUNK] = score(committee[start : start + CHUNK].float().contiguous())
    return out


def consensus_entropy(members: torch.Tensor) -> torch.Tensor:
    """Return H(p) in nats, float32 [rows], of members [rows, B, K]."""
    consensus = added_up(members.transpose(0, 1)) / members.shape[1]
    return -weighted_logs(consensus).sum(1)


def own_entropy(members: torch.Tensor) -> torch.Tensor:
    """Return (1/B) sum_b H(q_b) in nats, float32 [rows], of members [rows, B, K]."""
    return weighted_logs(members).flatten(1).sum(1) / -members.shape[1]


def information(members: torch.Tensor) -> torch.Tensor:
    """Return I(y; b) = H(p) - (1/B) sum_b H(q_b) in nats, float32 [rows], of members [rows, B, K]; not below 0."""
    return (consensus_entropy(members) - own_entropy(members)).clamp_min_(0.0)


@score_strategy("bald", needs={"committee"})
def bald(view: View) -> torch.Tensor:
    """Return what the label would tell about the members, I(y; b) = H(p) - (1/B) sum_b H(q_b) in nats, float32 [n].

    Houlsby, Huszar, Ghahramani, Lengyel 2011, equation 2.
    """
    return over_members(view.need("committee"), information)


@score_strategy("power_bald", needs={"committee"})
def power_bald(view: View) -> torch.Tensor:
    """Return ln I(y; b) + a standard Gumbel number of the row and round, float64 [n]: PowerBALD with beta = 1.

    The k largest are k rows drawn without replacement with probabilities that go as I: the cheap remedy against
    batches of one thing (Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal 2023, section 3).
    """
    uniforms = row_uniforms(view.row_ids, view.seed, "query", "power_bald", view.round)
    scores = bald(view)
    gumbel = torch.from_numpy(-np.log(-np.log(uniforms))).to(scores.device)
    return scores.double().clamp_min_(LEAST).log_().add_(gumbel)


@score_strategy("query_by_committee", needs={"committee"})
def query_by_committee(view: View) -> torch.Tensor:
    """Return the vote entropy -sum_c (V_c / B) ln (V_c / B) in nats, float32 [n]; V_c members find class c likeliest.

    Dagan and Engelson 1995; the committee is that of Seung, Opper, Sompolinsky 1992. The lowest class wins a tie.
    """

    def score(members: torch.Tensor) -> torch.Tensor:
        votes = torch.zeros(members.shape[2], len(members), device=members.device)
        for member in members.permute(1, 2, 0).contiguous():
            largest, which = member.max(0, keepdim=True)
            votes.scatter_add_(0, which, largest * 0.0 + 1.0)  # one vote, or NaN, which argmax would hide
        return entropies(votes / members.shape[1])

    return over_members(view.need("committee"), score)


@score_strategy("consensus_kl", needs={"committee"})
def consensus_kl(view: View) -> torch.Tensor:
    """Return the mean divergence of the members from their consensus, (1/B) sum_b KL(q_b || p) in nats, float32 [n].

    McCallum and Nigam 1998, section 3. By sum_b q_b = B p it is the information of `bald`, in exact arithmetic.
    """
    return bald(view)
