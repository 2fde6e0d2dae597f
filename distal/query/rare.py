"""Choose where classes are out of balance: around each class's own threshold, on a line of all rows.

For class c the rows lie on a line, the surest of c first, by the authors' order: where c is the likeliest class its
probability, else p_c - max p, negative. Labels of the class should come first, all others after; the place where they
change is the threshold, and rows beside it are worth a label, however few the class has. The lowest class wins a tie
of probabilities, the lowest row id a tie of places.
"""

import numpy as np
import numpy.typing as npt
import torch

from distal.query.batch import Ask
from distal.query.registry import staged_strategy
from distal.query.staged import Leaders, lead, merge
from distal.query.view import Doubles, Ints, View
from distal.streams import row_uniforms, stream

GRAPH = 32_768  # rows on the lines that `galaxy` walks on


def places(probs: torch.Tensor) -> torch.Tensor:
    """Return where each row lies on the line of each class, float64 [n, K], of probs [n, K]."""
    p = probs.double()
    largest, which = p.max(1, keepdim=True)
    return (p - largest).scatter_(1, which, largest)


class Lines:
    """Be a shard's part of the lines."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.places = places(view.need("probs"))

    def labeled(self) -> Leaders:
        """Return the labeled rows with their labels and places."""
        positions = np.flatnonzero(self.view.labeled)
        where = torch.from_numpy(positions).to(self.places.device)
        found = self.places[where].cpu().numpy()
        return Leaders(self.view.row_ids[positions], np.zeros(len(positions)), (self.view.labels[positions], found))

    def drawn(self, name: str, count: int) -> Leaders:
        """Return the available rows of smallest number of their own, with their places."""
        uniforms = row_uniforms(self.view.row_ids, self.view.seed, "query", name, "rows", self.view.round)
        return lead(self.view, -uniforms, count, self.places)

    def beside(self, thresholds: Doubles, count: int) -> list[tuple[Leaders, Leaders]]:
        """Return, for each class, the nearest rows before its threshold and from it on, nearest first."""
        found = []
        for c, threshold in enumerate(thresholds):
            away = self.places[:, c].cpu().numpy() - threshold
            before = np.flatnonzero((away > 0.0) & self.view.available)
            behind = np.flatnonzero((away <= 0.0) & self.view.available)
            found.append((lead(self.view, -away, count, among=before), lead(self.view, away, count, among=behind)))
        return found


def threshold(places: Doubles, is_class: npt.NDArray[np.bool_]) -> float:
    """Return the threshold that puts most labels on their side: labels of the class before it, others after it.

    It lies midway between the two labels around it, at 2 or -2, beyond every row, where a side has none; the first of
    equals. So a class without a label of its own is looked for where the model finds it likeliest.
    """
    order = np.argsort(-places, kind="stable")
    signs = np.where(is_class[order], 1, -1)
    before = np.concatenate([[0], np.cumsum(signs)])
    cut = int((before - (before[-1] - before)).argmax())
    if cut in (0, len(order)):
        return 2.0 if cut == 0 else -2.0
    return float(places[order[cut - 1]] + places[order[cut]]) / 2.0


@staged_strategy("direct", needs={"probs"})
class Direct:
    """Ask around each class's threshold, as many rows a class, alternately on either side of it.

    Nuggehalli, Zhang, Jain, Nowak, DIRECT, 2023 (ICML 2025), section 4: agnostic learning of a threshold a class on the
    line, then rows nearest to it. All of the batch is asked at once, so the threshold is the empirically best for the
    labels there are, and their spending of half the budget on narrowing it falls to the rounds before. Classes of
    fewest labels come first. Scores are minus the distance to the threshold.
    """

    def open(self, view: View) -> Lines:
        """Lay the rows on the lines."""
        return Lines(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Find the thresholds, then deal out the rows beside them, two exchanges."""
        parts = ask("labeled")
        classes = parts[0].more[1].shape[1]
        known = merge(parts, sum(len(part.row_ids) for part in parts))
        labels, where = known.more
        cuts = np.array([threshold(where[:, c], labels == c) for c in range(classes)])
        beside = ask("beside", cuts, k)
        rarest = np.argsort(np.bincount(labels, minlength=classes), kind="stable")
        taken: dict[int, tuple[int, float]] = {}
        for turn, c in enumerate(rarest):
            sides = [merge([shard[c][side] for shard in beside], k) for side in (0, 1)]
            share = k // classes + int(turn < k % classes)
            for place, (row_id, score) in enumerate(_alternate(sides, set(taken), share)):
                taken[row_id] = (place, score)
        order = sorted(taken, key=lambda row_id: taken[row_id][0])  # each class's nearest first
        return np.array(order, dtype=np.int64), np.array([taken[row_id][1] for row_id in order])


def _alternate(sides: list[Leaders], taken: set[int], count: int) -> list[tuple[int, float]]:
    """Take from both sides in turns, and from one alone when the other is at its end."""
    queues = [
        [(int(i), float(key)) for i, key in zip(side.row_ids, side.keys, strict=True) if int(i) not in taken]
        for side in sides
    ]
    picks: list[tuple[int, float]] = []
    turn = 0
    while len(picks) < count and (queues[0] or queues[1]):
        if queues[turn % 2]:
            picks.append(queues[turn % 2].pop(0))
        turn += 1
    return picks


@staged_strategy("galaxy", needs={"probs"})
class Galaxy:
    """Walk the lines of random classes: halve the shortest stretch between unlike labels, else ask beside a cut.

    Zhang, Katz-Samuels, Nowak, GALAXY, 2022, Algorithm 3 (S^2 on linear graphs: Dasarathy, Nowak, Zhu 2015). All of a
    batch is asked at once, so until its label comes a row that was picked counts as what the model takes it for. A cut
    is where unlike labels touch; a class without cut or stretch gets a row at random. Scores are 1 / place of the pick.

    Exact while at most GRAPH rows may be asked; of more, approximate: the lines hold GRAPH of them, drawn by their own
    numbers, the same for any sharding.
    """

    def open(self, view: View) -> Lines:
        """Lay the rows on the lines."""
        return Lines(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Gather the lines, then walk."""
        parts = ask("labeled")
        known = merge(parts, sum(len(part.row_ids) for part in parts))
        drawn = merge(ask("drawn", "galaxy", max(k, GRAPH)), max(k, GRAPH))
        row_ids = np.concatenate([known.row_ids, drawn.row_ids])
        where = np.concatenate([known.more[1], drawn.more[0]])
        labels = np.concatenate([known.more[0], np.full(len(drawn.row_ids), -1)])
        draw = stream(seed, "query", "galaxy", round)
        classes = where.shape[1]
        orders = [np.lexsort((row_ids, -where[:, c])) for c in range(classes)]
        picks: list[int] = []
        for c in draw.integers(classes, size=k):
            line = labels[orders[c]]
            at = next_on_line(line < 0, line == c)
            free = np.flatnonzero(line < 0)
            pick = int(orders[c][free[draw.integers(len(free))] if at is None else at])
            labels[pick] = where[pick].argmax()
            picks.append(pick)
        return row_ids[picks], 1.0 / np.arange(1.0, k + 1.0)


def next_on_line(unknown: npt.NDArray[np.bool_], is_class: npt.NDArray[np.bool_]) -> int | None:
    """Return the place to ask next on one line: where unlike labels are nearest, its middle, else beside a cut."""
    labeled = np.flatnonzero(~unknown)
    first, second = labeled[:-1], labeled[1:]
    unlike = is_class[first] != is_class[second]
    gaps = second - first - 1
    if (unlike & (gaps > 0)).any():
        shortest = int(np.where(unlike & (gaps > 0), gaps, len(unknown)).argmin())
        return int(first[shortest] + 1 + second[shortest] - 1) // 2
    cuts, free = first[unlike], np.flatnonzero(unknown)
    if not len(cuts) or not len(free):
        return None
    after = np.searchsorted(free, cuts)
    left = np.where(after > 0, cuts - free[np.maximum(after - 1, 0)], len(unknown))
    right = np.where(after < len(free), free[np.minimum(after, len(free) - 1)] - cuts - 1, len(unknown))
    nearest = int(np.minimum(left, right).argmin())
    return int(free[after[nearest] - 1] if left[nearest] <= right[nearest] else free[after[nearest]])
