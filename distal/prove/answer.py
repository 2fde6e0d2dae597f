"""Answer by two classifiers: the one that is better without any image decides, for it is the one to use."""

from collections.abc import Mapping
from typing import Any

from distal.prove.gate import Proof
from distal.prove.trainings import AUGMENTED, LABELS
from distal.prove.verdict import describe, headline, judge, to_json, verdict


def decisive(proofs: Mapping[str, Proof]) -> str:
    """Return the name of the classifier whose recall of the deciding classes is higher at no cost."""
    return max(proofs, key=lambda name: at_no_cost(proofs[name]))


def at_no_cost(proof: Proof) -> float:
    """Return the recall of the deciding classes by the better of the labels alone and their augmentation."""
    judged = judge(proof)
    place = judged.index(headline(judged))
    return max(float(proof.scores[arm]["recall"][0, place]) for arm in (LABELS, AUGMENTED))


def describe_all(proofs: Mapping[str, Proof], kind: str) -> str:
    """Return what each classifier's proof says, the decisive one's last, and of two which one decides."""
    best = decisive(proofs)
    parts = [f"{name}\n\n{describe(proofs[name], kind)}" for name in (*(n for n in proofs if n != best), best)]
    if len(proofs) > 1:
        shown = ", ".join(f"{name} {at_no_cost(proof) * 100:.1f}" for name, proof in proofs.items())
        last, _, final = parts[-1].rpartition("\n")
        parts[-1] = f"{last}\nWithout any image the better classifier decides (recall: {shown}).\n{final}"
    return "\n\n".join(parts)


def all_to_json(proofs: Mapping[str, Proof], kind: str) -> dict[str, Any]:
    """Return what prove.json holds: the decisive proof, by which classifier it is, and what the other comes to."""
    best = decisive(proofs)
    others = [
        {
            "classifier": name,
            "answer": headline(judge(proof)).answer,
            "sentence": verdict(proof, kind),
            "groups": to_json(proof, kind)["groups"],
        }
        for name, proof in proofs.items()
        if name != best
    ]
    return to_json(proofs[best], kind) | {"classifier": best, "others": others}
