"""The gate tells the truth: yes to real images, no to noise, to images of the wrong class, and to copies."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from distal.errors import EvaluationError
from distal.prove import Evidence, Examples, Proof, describe, prove, to_json
from distal.prove.answer import all_to_json, decisive, describe_all
from distal.prove.arms import wanted
from distal.prove.verdict import headline, judge, label_more

SEEDS = 3
COUNTS = np.array([12, 12, 12, 12, 12, 12, 3, 3, 3, 3])
"""Labels of each digit: the last four are rare."""


@cache
def real() -> Examples:
    """Return the digits in an order in which any part is like any other."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    centred = torch.from_numpy(x - x.mean(0)).float()
    return Examples(torch.nn.functional.normalize(centred), y.astype(np.int64))


def first_of_each(examples: Examples, counts: np.ndarray, skip: np.ndarray) -> Examples:
    rows = [np.flatnonzero(examples.labels == c)[s : s + n] for c, (n, s) in enumerate(zip(counts, skip, strict=True))]
    return examples.take(np.concatenate(rows))


def evidence(images: str) -> Evidence:
    digits, zeros = real(), np.zeros(10, np.int64)
    labeled = first_of_each(digits, COUNTS, zeros)
    held_out = first_of_each(digits, np.full(10, 60), np.full(10, 100))
    want = wanted(labeled.labels, 10, None)
    draw = np.random.default_rng(0)
    asked = np.repeat(np.arange(10), want)
    copies = labeled.take(
        np.concatenate([draw.choice(np.flatnonzero(labeled.labels == c), n) for c, n in enumerate(want)])
    )
    fresh = first_of_each(digits, want, COUNTS)
    noise = torch.nn.functional.normalize(torch.from_numpy(draw.standard_normal((len(asked), 64))).float())
    given = {
        "real": fresh,
        "noise": Examples(noise, asked),
        "wrong": Examples(fresh.features, (fresh.labels + 1) % 10),
        "copies": copies,
        "none": labeled.take(np.zeros(0, np.int64)),
    }[images]
    pool = first_of_each(digits, np.full(10, 40), np.full(10, 60)).features
    return Evidence(tuple("0123456789"), labeled, held_out, copies, given, pool, want, price=30, seed=0)


@pytest.fixture(scope="module")
def proofs() -> dict[str, Proof]:
    return {images: prove(evidence(images), SEEDS) for images in ("real", "noise", "wrong", "copies")}


def test_real_images_are_a_yes(proofs: dict[str, Proof]) -> None:
    judged = judge(proofs["real"])
    assert headline(judged).answer == "yes"
    assert headline(judged).group.members == (6, 7, 8, 9)
    assert headline(judged).gains["recall"].low > 0.02
    assert "harm" not in {each.answer for each in judged}


@pytest.mark.parametrize("images", ["noise", "wrong", "copies"])
def test_noise_images_of_the_wrong_class_and_copies_are_a_no(images: str, proofs: dict[str, Proof]) -> None:
    judged = judge(proofs[images])
    assert [each.group.name for each in judged if each.answer == "yes"] == []
    assert describe(proofs[images], "generated").splitlines()[-1].startswith("No: ")


def test_images_of_the_wrong_class_are_said_to_harm(proofs: dict[str, Proof]) -> None:
    assert headline(judge(proofs["wrong"])).answer == "harm"


def test_the_text_has_a_sentence_for_each_class_and_the_json_the_same(proofs: dict[str, Proof]) -> None:
    text, tree = describe(proofs["real"], "generated"), json.loads(json.dumps(to_json(proofs["real"], "generated")))
    assert text.splitlines()[-1] == tree["sentence"]
    assert tree["sentence"].startswith("Yes: generated images, for rare classes together, add ")
    for group in tree["groups"]:
        if group["kind"] == "class":
            assert group["sentence"] in text
    assert [group["labels"] for group in tree["groups"]] == [84, 12, *COUNTS.tolist()]


def test_whether_to_label_more_is_answered_by_the_estimate(proofs: dict[str, Proof]) -> None:
    proof = proofs["noise"]
    steep = replace(proof, further=np.full_like(proof.further, 0.05))
    flat = replace(proof, further=np.zeros_like(proof.further))
    assert label_more(steep) == (
        "Yes: 30 more labels promise about +5.0 (estimate, 5.0 to 5.0) points of recall, for rare classes together."
    )
    assert str(label_more(flat)).startswith("Not for this: 30 more labels promise little, about +0.0 ")
    assert label_more(replace(flat, evidence=replace(flat.evidence, price=0))) is None


def test_the_same_evidence_gives_the_same_figures(proofs: dict[str, Proof]) -> None:
    again = prove(evidence("noise"), SEEDS)
    assert to_json(again, "generated") == to_json(proofs["noise"], "generated")


def test_what_cannot_be_judged_is_refused_in_words() -> None:
    whole = evidence("none")
    one_class = Examples(whole.labeled.features[:12], whole.labeled.labels[:12])
    with pytest.raises(EvaluationError, match="fewer than two classes"):
        prove(Evidence(**{**vars(whole), "labeled": one_class}), 1)
    with pytest.raises(EvaluationError, match=r"held-out images has a label(.|\n)*evaluate\.path"):
        prove(Evidence(**{**vars(whole), "held_out": whole.images}), 1)


def test_classes_that_no_held_out_image_is_of_and_classes_without_images_are_named() -> None:
    whole = evidence("none")
    some = whole.held_out.take(np.flatnonzero(whole.held_out.labels != 3))
    text = describe(prove(Evidence(**{**vars(whole), "held_out": some}), 1), "given")
    assert "no held-out image is of 3: nothing can be said of it" in text
    assert "no given '2' image was tried" in text


def worse(proof: Proof) -> Proof:
    """Return the proof of a classifier whose every score is lower by a fifth."""
    return replace(proof, scores={a: {s: v - 0.2 for s, v in of.items()} for a, of in proof.scores.items()})


def test_the_classifier_that_is_better_without_images_decides_whatever_the_other_gains(
    proofs: dict[str, Proof],
) -> None:
    both = {"a weak one": worse(proofs["real"]), "a strong one": proofs["noise"]}
    assert decisive(both) == "a strong one"
    lines = describe_all(both, "generated").splitlines()
    assert lines[-1].startswith("No: ")
    assert lines[-2].startswith("Without any image the better classifier decides (recall: a weak one ")
    tree = all_to_json(both, "generated")
    assert tree["classifier"] == "a strong one"
    assert tree["answer"] != "yes"
    assert [(each["classifier"], each["answer"]) for each in tree["others"]] == [("a weak one", "yes")]
