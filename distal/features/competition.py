"""Let two classifiers compete for who is believed: on answers that both have predicted before they came in.

Prequential (Dawid 1984): no label is spent on the comparison. A third competes with them, their product (a logarithmic
opinion pool, Genest & Zidek 1986), which is better than either where they err differently. The rule, and why:

- Answers count by class, so that one common class does not decide: rows are asked for being hard or odd, not drawn.
- Each classifier first has a temperature, from the same answers: an overconfident one may be right the most often.
- The loss is Brier's, which no single answer can dominate: the log loss chose the worse one twice as often.
- A round counts half as much as the round HALF_LIFE after it, because both have learned since.
- Who is believed changes where a rival is better by one standard error: else it flickers. The probe is the first, it
  learns from the fewest labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distal.features.calibration import fit_temperature
from distal.features.probe import LEAST

HALF_LIFE = 3.0
"""Rounds."""

EVIDENCE = 1.0
"""Standard errors by which a rival must be better."""

CAUTION = 3.0
"""How strongly a temperature is drawn to 1: twenty answers tell little of it."""

FIRST = "probe"


@dataclass(frozen=True)
class Answered:
    """Hold a round's answers, labels int64 [k], and what both had said before: probe, head float [k, K]."""

    probe: Tensor
    head: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Verdict:
    """Say who is believed: probe, head or product.

    losses: the Brier score of each of the three on the answers, in [0, 2], lower is better; empty where nothing was
    predicted yet. temperatures: of probe and head. reason: for a person.
    """

    classifier: str
    losses: dict[str, float]
    temperatures: dict[str, float]
    reason: str

    def probs(self, probe: Tensor, head: Tensor) -> Tensor:
        """Return float32 probabilities [n, K] of the one who is believed, at its temperature."""
        return _opinion(self.classifier, probe, head, self.temperatures).float()


def judge(rounds: Sequence[Answered], believed: str = FIRST) -> Verdict:
    """Return who is to be believed next, given all rounds of answers so far and who is believed now.

    Rounds in which the probe knew nothing yet, all its probabilities being equal, tell nothing and are left out.
    """
    rounds = [r for r in rounds if len(r.labels) and bool((r.probe != r.probe[0, 0]).any())]
    if not rounds:
        return Verdict(believed, {}, {"probe": 1.0, "head": 1.0}, f"{believed}: no answer was predicted yet")
    weights, labels = _weights(rounds)
    probe, head = (torch.cat([getattr(r, name).double() for r in rounds]) for name in ("probe", "head"))
    scale = weights * len(labels)
    temperatures = {
        name: fit_temperature(_logs(p), labels, scale, CAUTION) for name, p in (("probe", probe), ("head", head))
    }
    truth = torch.nn.functional.one_hot(labels, probe.shape[1])
    scores = {name: (p - truth).square().sum(1) for name, p in _opinions(probe, head, temperatures).items()}
    losses = {name: float(weights @ score) for name, score in scores.items()}
    better = []
    for name, score in scores.items():
        gain = scores[believed] - score
        mean = float(weights @ gain)
        if mean > EVIDENCE * float((weights.square() @ (gain - mean).square()).sqrt()):
            better.append(name)
    chosen = min(better, key=losses.__getitem__, default=believed)
    return Verdict(chosen, losses, temperatures, _reason(chosen, believed, losses, len(labels)))


def _weights(rounds: Sequence[Answered]) -> tuple[Tensor, Tensor]:
    """Return weights [m] that sum to 1, and labels [m]: recent rounds weigh more, classes nearly alike."""
    labels = torch.cat([r.labels for r in rounds])
    ages = torch.cat([torch.full((len(r.labels),), float(age)) for age, r in enumerate(reversed(rounds))][::-1])
    weights = 0.5 ** (ages.double() / HALF_LIFE)
    weights = weights / (torch.bincount(labels, weights)[labels] + 1.0)  # the 1: a class of one answer is not a class
    return weights / weights.sum(), labels


def _opinions(probe: Tensor, head: Tensor, temperatures: dict[str, float]) -> dict[str, Tensor]:
    """Return the three classifiers' probabilities."""
    return {name: _opinion(name, probe, head, temperatures) for name in ("probe", "head", "product")}


def _opinion(name: str, probe: Tensor, head: Tensor, temperatures: dict[str, float]) -> Tensor:
    """Return one classifier's probabilities, at its temperature: of all rows of a pool, where it is believed."""
    if name == "product":
        logits = (_logs(probe) / temperatures["probe"]).log_softmax(1)
        return (logits + (_logs(head) / temperatures["head"]).log_softmax(1)).softmax(1)
    given = probe if name == "probe" else head
    return given if temperatures[name] == 1.0 else (_logs(given) / temperatures[name]).softmax(1)


def _logs(probs: Tensor) -> Tensor:
    return probs.clamp_min(LEAST).log()


def _reason(chosen: str, believed: str, losses: dict[str, float], answers: int) -> str:
    others = ", ".join(
        f"{name} {losses[name]:.2f}" for name in sorted(losses, key=losses.__getitem__) if name != chosen
    )
    stays = ""
    if chosen == believed and min(losses.values()) < losses[chosen]:
        stays = "; the difference is within chance, so nothing changes"
    return f"{chosen}: Brier score {losses[chosen]:.2f} against {others}, {answers} answers predicted{stays}"
