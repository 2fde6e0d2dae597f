"""Choose what tells most about the committee (BatchBALD) or about the answers to other rows (EPIG).

Both are differences of entropies given something seen. What is seen is one of M cases of probability v_m, in which
member b has the weight w_mb (rows sum to 1), so that a row's class has the entropy

    H(y_i | m) = sum_m v_m h(sum_b w_mb q_ib),     h(p) = -sum_c p_c ln p_c,     q: the committee, float32 [n, B, K].

Matrix products have fixed shapes, [M, B] by [B, K ROWS], so that the bits of a row do not depend on its neighbours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.query.batch import Ask, best
from distal.query.committee import consensus_entropy, over_members, own_entropy
from distal.query.nearest import Floats
from distal.query.registry import staged_strategy
from distal.query.staged import Leaders, lead, merge
from distal.query.uncertainty import added_up
from distal.query.view import Doubles, Ints, View
from distal.streams import row_uniforms, stream

ROWS = 64  # rows in one product
TARGETS = 64  # rows that stand for all whose answers are to be predicted
CASES = 512  # joint answers that are told apart; beyond them as many are drawn
GROUPS = 48  # cases that are looked at together for a bound
SLACK = 1e-5  # nats, by which rounding may put a bound below what it bounds


def expected_entropy(weights: Floats, chances: Floats, committee: torch.Tensor) -> torch.Tensor:
    """Return sum_m v_m h(sum_b w_mb q_ib), float32 [n], of w [M, B], v [M] and q [n, B, K]."""
    n, members, classes = committee.shape
    device = committee.device
    w, v = torch.tensor(weights, device=device), torch.tensor(chances, device=device)
    padded = torch.nn.functional.pad(w, (0, 0, 0, -len(w) % 16))
    v = torch.nn.functional.pad(v[None], (0, -len(v) % 16, 0, 15))  # a product with one row takes another kernel
    out = torch.empty(n, device=device)
    for start in range(0, n, ROWS):
        block = committee[start : start + ROWS].float()
        rows = len(block)
        if rows < ROWS:
            block = torch.nn.functional.pad(block, (0, 0, 0, 0, 0, ROWS - rows))
        mixed = padded @ block.permute(1, 2, 0).reshape(members, classes * ROWS)
        logs = mixed.clamp_min(torch.finfo(torch.float32).tiny).log_().mul_(mixed)
        out[start : start + ROWS] = added_up((v @ logs)[0].view(classes, ROWS)).neg_()[:rows]
    return out


@dataclass(frozen=True)
class Cases:
    """Hold what may be seen: weights float32 [M, B] of the members in each case, chances float32 [M] of the cases."""

    weights: Floats
    chances: Floats

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.weights.nbytes + self.chances.nbytes

    def groups(self) -> "Cases":
        """Put cases of like weights together: h is concave, so a group's mean weights give an entropy not below theirs.

        Cases are sorted by the member that they speak for most, and by how much.
        """
        order = np.lexsort((self.weights.max(1), self.weights.argmax(1)))
        parts = [part for part in np.array_split(order, GROUPS) if len(part)]
        chances = np.array([self.chances[part].sum(dtype=np.float64) for part in parts])
        sums = [(self.weights[part] * self.chances[part, None]).sum(0, dtype=np.float64) for part in parts]
        return Cases((np.asarray(sums) / chances[:, None]).astype(np.float32), chances.astype(np.float32))

    def extended(self, row: Floats, uniforms: Doubles) -> "Cases":
        """Let the answer to a row [B, K] be seen as well: every answer in every case, or, of too many, CASES drawn.

        The first time, CASES are drawn of all; later each draws its own answer, which is a draw of the longer joint.
        """
        joint = self.weights.astype(np.float64)[:, None, :] * row.T.astype(np.float64)[None]  # [M, K, B]
        given = joint.sum(2)
        chances = self.chances.astype(np.float64)[:, None] * given
        if chances.size > CASES and len(self.chances) == CASES and np.ptp(self.chances) == 0.0:
            sums = given.cumsum(1)
            answer = (sums < uniforms[:, None] * sums[:, -1:]).sum(1)
            weights = joint[np.arange(CASES), answer]
            return _cases(weights, np.full(CASES, 1.0 / CASES))
        if chances.size > CASES:
            sums = chances.ravel().cumsum()
            drawn = np.searchsorted(sums, np.sort(uniforms) * sums[-1])
            return _cases(joint.reshape(-1, joint.shape[2])[drawn], np.full(CASES, 1.0 / CASES))
        seen = chances.ravel() > 0.0
        return _cases(joint.reshape(-1, joint.shape[2])[seen], chances.ravel()[seen])


def _cases(weights: npt.NDArray[np.float64], chances: Doubles) -> Cases:
    weights = weights / weights.sum(1, keepdims=True)
    return Cases(weights.astype(np.float32), (chances / chances.sum()).astype(np.float32))


class Members:
    """Be a shard's committee, with what its rows tell."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.committee = view.need("committee").float()
        self.left = view.available.copy()
        self.own: torch.Tensor | None = None

    def targets(self, name: str) -> Leaders:
        """Return the available rows of smallest number of their own, which all shards draw alike."""
        uniforms = row_uniforms(self.view.row_ids, self.view.seed, "query", name, "targets", self.view.round)
        return lead(self.view, -uniforms, TARGETS, self.committee)

    def predictive(self, cases: Cases, k: int) -> Leaders:
        """Return the k best rows by H(y) - H(y | case)."""
        gained = over_members(self.committee, consensus_entropy) - expected_entropy(
            cases.weights, cases.chances, self.committee
        )
        return lead(self.view, gained.double().cpu().numpy(), k)

    def members(self) -> int:
        """Return how many members there are."""
        return self.committee.shape[1]

    def leader(self, cases: Cases, picked: Ints) -> Leaders:
        """Return the row of largest H(y | case) - (1/B) sum_b h(q_b), the picked ones left out, and its committee.

        Rows are looked at by their bounds, the best first, until no bound is as large as the best that was found.
        """
        self.left[np.isin(self.view.row_ids, picked)] = False
        positions = np.flatnonzero(self.left)
        if self.own is None:
            self.own = over_members(self.committee, own_entropy)
        groups, own = cases.groups(), self.own
        bounds = (expected_entropy(groups.weights, groups.chances, self.committee) - own).double().cpu().numpy()
        order = positions[best(bounds[positions], len(positions))]
        found, at = np.empty(0), 0
        while at < len(order) and (not at or bounds[order[at]] + SLACK >= found.max()):
            part = torch.from_numpy(order[at : at + ROWS]).to(self.committee.device)
            exact = expected_entropy(cases.weights, cases.chances, self.committee[part]) - own[part]
            found = np.concatenate([found, exact.double().cpu().numpy()])
            at += ROWS
        keys = np.full(len(self.left), -np.inf)
        keys[order[:at]] = found
        return lead(self.view, keys, 1, self.committee, among=np.sort(order[:at]))


@staged_strategy("epig", needs={"committee"})
class Epig:
    """Ask what tells most about the answers to other rows: expected predictive information gain.

    EPIG(x) = E_{x*} I(y; y* | x, x*) = H(y) - E_{x*} sum_{y*} p(y*) H(y | y*), where having seen y* weighs the members
    by w_b = q*_b(y*) / (B p(y*)) (Bickford Smith, Kirsch, Farquhar, Gal, Foster, Rainforth 2023, equation 5). Targets
    x* are TARGETS available rows, those of smallest number of their own, the same for any sharding. Scores are nats.
    """

    def open(self, view: View) -> Members:
        """Hold the committee."""
        return Members(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Agree on the targets, then take the k best."""
        targets = merge(ask("targets", "epig"), TARGETS).more[0].astype(np.float64)  # [T, B, K]
        weights = targets.transpose(0, 2, 1).reshape(-1, targets.shape[1])
        chances = weights.mean(1)
        seen = chances > 0.0
        leaders = merge(ask("predictive", _cases(weights[seen], chances[seen]), k), k)
        return leaders.row_ids, leaders.keys


@staged_strategy("batchbald", needs={"committee"})
class BatchBald:
    """Pick, each time, the row that tells most about the members beside the picks: I(y_1 .. y_k; b), greedily.

    Kirsch, van Amersfoort, Gal 2019, Algorithm 1: a row gains H(y | y_picks) - (1/B) sum_b h(q_b). The joint answers to
    the picks are told apart while they are at most CASES, and are then CASES draws of a named stream, each of which
    draws its answer to the next pick (their section 3.3, with the same draws kept). One exchange a pick. Scores are
    nats, the gain at pick time.
    """

    def open(self, view: View) -> Members:
        """Hold the committee."""
        return Members(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Pick one after another."""
        members = ask("members")[0]
        cases = Cases(np.full((1, members), 1.0 / members, dtype=np.float32), np.ones(1, dtype=np.float32))
        picks, gains = np.empty(0, dtype=np.int64), np.empty(0)
        while len(picks) < k:
            leader = merge(ask("leader", cases, picks[-1:]), 1)
            picks, gains = np.append(picks, leader.row_ids), np.append(gains, leader.keys)
            uniforms = 1.0 - stream(seed, "query", "batchbald", round, len(picks)).random(CASES)
            cases = cases.extended(leader.more[0][0], uniforms)
        return picks, gains
