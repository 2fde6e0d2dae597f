"""Search for the images of rare classes: the most likely first, and a random audit that says what was overlooked.

Of N rows that may be asked, n_c are the labels of class c, p_ic the classifier's probabilities, and

    R_c = sum_i p_ic  over the rows that may be asked,     T_c = n_c + R_c,

what the pool is expected to hold still, and altogether. A batch of k rows is

1. picks for the classes that are *sought*, shared among them in proportion to 1 / (n_c + 1) (`shares`): sought is a
   class of less than an even share of the pool, T_c < sum T / K, or of fewer than FEW labels. A common class is not:
   misses and audits bring it. Each takes its rows of largest p_ic: "most likely positive" (Warmuth et al. 2003;
   SEALS, Coleman et al. 2022, section 3.1, MLP), which beats the most uncertain where a class is to be found. Among the
   SHORTLIST largest they are picked one by one by log(p / (1 - p)) - sum_j max(0, 1 - d_ij^2 / D)^2 over the picks j
   before, D the mean squared distance in the pool: picks that resemble one another stand or fall together, so a batch
   spreads over what may be the class (maximal marginal relevance, Carbonell and Goldstein 1998);
2. picks for rare classes without any label, which no probability can rank: the row farthest from all that was asked
   (`coreset`), for a rare image is unlike the common ones;
3. audits, one in AUDIT of the batch: rows drawn at random from those left, equally likely.

Without any label, the first half of the picks are the most typical rows: typicality is one over the mean distance to
the NEIGHBORS nearest rows (TypiClust, Hacohen et al. 2022, equation 4), here those of a random SAMPLE of the pool, and
no two picks within RADIUS; the second half is what is rare, as in 2.

No pick of 1 is a near-duplicate of a labeled row or of a pick: a squared distance of at most DUPLICATE times the mean
squared distance between rows of the SAMPLE. Near-duplicates come last, the most likely first.

Scores tell the three kinds apart. Between 0 and 1: p_ic. Above 1: explored, 1 + distance (typicality of the first).
Below 0: an audit, -m / N', where m audits were drawn from the N' rows that no other pick had taken: minus its
probability of being asked, which is all that an estimate of recall needs to know (`distal.query.recall`).

Exact over shards: one pass to survey them, one for each sought class, one or more to explore, one to audit. Sums of
probabilities are taken in whole multiples of 2^-30, so that their order cannot matter.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from distal.query.batch import Ask, Candidates, Settled, best
from distal.query.coreset import Coreset
from distal.query.nearest import GROUP, ROWS, Floats, Nearest, Rows
from distal.query.registry import batch_strategy
from distal.query.view import Bools, Doubles, Ints, View
from distal.streams import row_uniforms, stream

AUDIT = 10
FEW = 3
SAMPLE = 256
NEIGHBORS = 8
DUPLICATE = 0.01
RADIUS = 0.25
CLASSES = 64  # sought in one batch at most, those of fewest labels first: each takes a pass
SHORTLIST = 64
UNIT = 2.0**30
STEP = 2.0**-23
NEAR = 1e6  # what a near-duplicate's value is lowered by: no log odds are as large

EXPLORE, TYPICAL, AUDITED = -1, -2, -3


@dataclass(frozen=True)
class Survey:
    """Hold what one shard says of itself.

    available: rows that may be asked. counts: labels of each class in the run, int64 [K]. supply: the sum of their
    probabilities, int64 [K] in units of 2^-30. sample: its rows of lowest uniforms; uniforms float64, of these.
    """

    available: int
    counts: Ints
    supply: Ints
    sample: Rows
    uniforms: Doubles


class Searched(Nearest):
    """Be the state of a shard: lazy distances to what was asked, and the worth of each row to what is sought now."""

    def __init__(self, view: View) -> None:
        super().__init__((view.need("embeddings"),))
        self.view = view
        self.probs = view.need("probs")
        self.seeking: int | None = None
        self.apart = 0.0
        self.worth = self.norms + 0.0 * self.probs.float().sum(1)  # what is not finite is seen before it is asked for

    def bound(self) -> Floats:
        """Return the worth, below 1 for near-duplicates and 1 more for others; distances where it explores."""
        if self.seeking is None or self.seeking == AUDITED:
            values = self.worth
        elif self.seeking == EXPLORE:
            values = self.squared if self.count else self.norms
        else:
            values = torch.where(self.squared > self.apart, self.worth + 1.0, self.worth)
        bound: Floats = values.cpu().numpy()
        return bound

    def stale(self, positions: Ints) -> Ints:
        """Return those that were not compared with every pick; none where distances do not matter."""
        return positions[:0] if self.seeking in (None, AUDITED) else super().stale(positions)

    def add(self, rows: Rows) -> None:
        """Take picks; rows are compared with them when they are about to be proposed."""
        if len(rows):
            self.append(rows)

    def survey(self) -> Survey:
        """Say what this shard holds."""
        view = self.view
        free = np.flatnonzero(view.available)
        used = np.flatnonzero(view.available | view.labeled)
        probs = self.probs[torch.from_numpy(free).to(self.device)].double()
        supply: Ints = (probs * UNIT).round().long().sum(0).cpu().numpy()
        uniforms = row_uniforms(view.row_ids[used], view.seed, "query", "search", "sample")
        lowest = np.sort(best(-uniforms, SAMPLE))
        return Survey(len(free), view.class_counts, supply, self.rows(used[lowest], view.row_ids), uniforms[lowest])

    def seek(self, what: int, apart: float, sample: Rows | None) -> None:
        """Set what the next passes propose: rows of a class, typical or far ones, or audits."""
        self.seeking, self.apart = what, apart
        if what == AUDITED:
            uniforms = row_uniforms(self.view.row_ids, self.view.seed, "query", "search", "audit", self.view.round)
            self.worth = torch.from_numpy((1.0 / uniforms).astype(np.float32)).to(self.device)
        elif what != EXPLORE:
            worth = self._typicality(sample) if sample is not None else self.probs[:, what].float()
            # Multiples of STEP below 1: adding 1 and taking it away again is exact.
            self.worth = (worth / STEP).floor().clamp(0.0, 1.0 / STEP - 1.0) * STEP

    def _typicality(self, sample: Rows) -> torch.Tensor:
        """Return 1 / (1 + mean distance to the nearest rows of the sample), float32 [n] in (0, 1]."""
        centers = torch.from_numpy(np.array(sample.factors[0])).to(self.device)
        norms = centers.square().sum(1, keepdim=True)
        out = torch.empty(self.n, device=self.device)
        for chunk in self._chunks(None):
            block = self._gather(chunk)[0].T  # always [F, ROWS], as every shape below: the same bits for any cut
            products = [torch.mm(group, block) for group in torch.split(centers, GROUP)]
            squared = torch.cat(products).mul_(-2.0).add_(norms).add_(block.square().sum(0)).clamp_min_(0.0)
            own = np.pad(self.view.row_ids[chunk], (0, ROWS))[:ROWS]
            squared[torch.from_numpy(sample.row_ids[:, None] == own).to(self.device)] = torch.inf
            near = squared.topk(min(NEIGHBORS, len(centers)), dim=0, largest=False).values.sqrt_()
            total = near[0].clone()
            for row in near[1:]:
                total += row
            self._put(out, chunk, 1.0 / (1.0 + total / len(near)))
        return out


def shares(counts: Ints, supply: Doubles, picks: int) -> Ints:
    """Return how many picks each class gets, int64 [K], and the last, of classes without a label: int64 [K + 1].

    counts: n_c. supply: R_c. Each next pick goes to the class of largest 1 / ((n_c + 1) (picks it has + 1)), the
    lowest class first: Jefferson's method, which keeps proportions for any number of picks.
    """
    total = counts + supply
    rare = total < total.sum() / max(len(counts), 1)
    sought = (rare | (counts < FEW)) & (counts > 0)
    if not sought.any():
        sought = counts > 0
    fewest = np.argsort(np.where(sought, counts, np.iinfo(np.int64).max), kind="stable")[:CLASSES]
    weights = np.zeros(len(counts) + 1)
    weights[fewest] = np.where(sought[fewest], 1.0 / (counts[fewest] + 1.0), 0.0)
    weights[-1] = float((rare & (counts == 0)).sum())
    given: Ints = np.zeros(len(weights), dtype=np.int64)
    for _ in range(picks if weights.any() else 0):
        given[np.argmax(weights / (given + 1))] += 1
    return given


@batch_strategy("search", needs={"probs", "embeddings"})
class Search:
    """Ask for the most likely rows of the classes that are short of images; see the head of this file."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, int]] = []  # what to seek, and how many rows of it, in order
        self.available = 0
        self.audited = 0.0
        self.scale = 0.0  # mean squared distance between rows of the sample
        self.sought: int | None = None
        self.covered = False
        self.sample = Rows(np.empty(0, dtype=np.int64), ())

    def cover(self, view: View) -> Searched:
        """Open lazy distances over the embeddings."""
        return Searched(view)

    def centers(self, view: View) -> Bools:
        """Return the labeled rows."""
        return view.labeled

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by worth alone."""
        return None

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Survey in the first pass; in each further one take what the plan still wants of its first part."""
        if number == 1:
            self.covered = candidates.covered
            self._survey(limit, seed, round, ask)
            return Settled(np.empty(0, dtype=np.int64), np.empty(0))
        what, wanted = self.plan[0]
        if what == AUDITED:
            taken = min(wanted, len(candidates.keys))
            settled = Settled(np.arange(taken), np.full(taken, -self.audited))
        elif what == EXPLORE:
            settled = Coreset().settle(replace(candidates, covered=self.covered), wanted, seed, round, number, ask)
            settled = Settled(settled.positions, 1.0 + settled.scores)
        else:
            settled = take_apart(candidates, wanted, self._apart(what), 0.0 if what == TYPICAL else self.scale)
            if what == TYPICAL:
                settled = Settled(settled.positions, 1.0 + settled.scores)
        self.covered = True
        self.available -= len(settled.positions)
        self.plan[0] = (what, wanted - len(settled.positions))
        self._next(ask)
        return settled

    def _survey(self, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Ask every shard what it holds, and plan the batch."""
        surveys: list[Survey] = ask("survey")
        self.available = sum(survey.available for survey in surveys)
        supply = np.sum([survey.supply for survey in surveys], axis=0) / UNIT
        counts = surveys[0].counts if len(surveys[0].counts) else np.zeros(len(supply), dtype=np.int64)
        sample = Rows.concatenate([survey.sample for survey in surveys])
        uniforms = np.concatenate([survey.uniforms for survey in surveys])
        ids = np.concatenate([survey.sample.row_ids for survey in surveys])
        self.sample = sample.take(np.sort(best(-uniforms[np.argsort(ids, kind="stable")], SAMPLE)))
        squared = self.sample.squared_distances()
        pairs = max(len(squared) * (len(squared) - 1), 1)
        self.scale = float(squared.sum(dtype=np.float64)) / pairs
        audits = min(int(limit / AUDIT + stream(seed, "query", "search", "audits", round).random()), limit)
        if counts.sum():
            given = shares(counts, supply, limit - audits)
            order = np.argsort(counts, kind="stable")
            self.plan = [(int(c), int(given[c])) for c in order] + [(EXPLORE, int(given[-1]))]
        else:
            typical = (limit - audits + 1) // 2
            self.plan = [(TYPICAL, typical), (EXPLORE, limit - audits - typical)]
        self.plan.append((AUDITED, audits))
        self._next(ask)

    def _next(self, ask: Ask) -> None:
        """Tell the shards what to seek in the next pass."""
        self.plan = [part for part in self.plan if part[1]]
        if not self.plan:
            return
        what, wanted = self.plan[0]
        if what == self.sought:
            return
        self.sought = what
        if what == AUDITED:
            self.audited = wanted / self.available
        ask("seek", what, self._apart(what), self.sample if what == TYPICAL else None)

    def _apart(self, what: int) -> float:
        """Return the squared distance up to which a row is too near to a pick."""
        return self.scale * (RADIUS if what == TYPICAL else DUPLICATE)


def take_apart(candidates: Candidates, limit: int, apart: float, scale: float) -> Settled:
    """Pick the likeliest candidate that is unlike the picks before it, again and again; scores are worths.

    What lies within a squared distance of `apart` of a pick comes after all others, as do candidates that lie as near
    to a labeled row, whose gains lack the 1 of the others: before them another pass is made for what was not shown.
    """
    shown = max(SHORTLIST, limit)
    next_key = float(candidates.keys[shown]) if len(candidates.keys) > shown else candidates.next_key
    order = np.argsort(candidates.rows.row_ids[:shown])  # argmax returns the first maximum: the lowest row id
    among = candidates.rows.take(order).squared_distances()
    gains = candidates.gains[order].astype(np.float64)
    near = gains < 1.0
    worths = np.where(near, gains, gains - 1.0)
    values = np.log(worths + STEP) - np.log1p(STEP - worths) if scale else worths.copy()
    picks: list[int] = []
    while len(picks) < min(limit, len(order)):
        top = int((values - np.where(near, NEAR, 0.0)).argmax())
        if near[top] and next_key >= 1.0:
            break
        picks.append(top)
        near |= among[top] <= apart
        if scale:
            values -= np.maximum(1.0 - among[top] / scale, 0.0) ** 2
        values[top] = -np.inf
    return Settled(order[np.asarray(picks, dtype=np.int64)], worths[picks])
