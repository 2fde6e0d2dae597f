import pytest
import torch

from distal.features.competition import Answered, Verdict, judge

CLASSES = 4


def predicted(labels: torch.Tensor, right: float, seed: int, sharpness: float = 2.0) -> torch.Tensor:
    """Draw probabilities whose likeliest class is the label with this chance, else any other."""
    draw = torch.Generator().manual_seed(seed)
    other = (labels + torch.randint(1, CLASSES, labels.shape, generator=draw)) % CLASSES
    guess = torch.where(torch.rand(len(labels), generator=draw) < right, labels, other)
    return (sharpness * torch.nn.functional.one_hot(guess, CLASSES)).double().softmax(1)


def answers(
    probe: float, head: float, seed: int, rows: int = 40, sharpness: float = 2.0, apart: bool = False
) -> Answered:
    """Draw a round; where they are not apart, whoever is right less often errs wherever the other does."""
    labels = torch.randint(CLASSES, (rows,), generator=torch.Generator().manual_seed(seed))
    return Answered(
        predicted(labels, probe, seed + 1000), predicted(labels, head, seed + 1000 + apart, sharpness), labels
    )


def run(rounds: list[Answered], believed: str = "probe") -> list[Verdict]:
    """Judge after each round, as a run does."""
    verdicts = []
    for number in range(len(rounds)):
        verdicts.append(judge(rounds[: number + 1], believed))
        believed = verdicts[-1].classifier
    return verdicts


def test_the_probe_is_believed_before_anything_was_predicted():
    labels = torch.arange(4)
    unlearned = Answered(torch.full((4, CLASSES), 0.25), predicted(labels, 1.0, 0), labels)
    for rounds in ([], [unlearned], [Answered(torch.zeros(0, 4), torch.zeros(0, 4), labels[:0])]):
        verdict = judge(rounds)
        assert verdict.classifier == "probe"
        assert verdict.losses == {}
        assert verdict.reason == "probe: no answer was predicted yet"


def test_a_head_that_is_right_more_often_is_believed_and_the_reason_says_so():
    verdict = run([answers(0.4, 0.95, seed) for seed in range(3)])[-1]
    assert verdict.classifier == "head"
    assert verdict.losses["head"] < min(verdict.losses["product"], verdict.losses["probe"])
    assert verdict.reason.startswith(f"head: Brier score {verdict.losses['head']:.2f} against ")
    assert f"probe {verdict.losses['probe']:.2f}" in verdict.reason
    assert verdict.reason.endswith("120 answers predicted")


def test_a_useless_head_never_takes_over_however_certain_it_is():
    for sharpness in (0.1, 2.0, 20.0):
        verdicts = run([answers(0.7, 0.25, seed, sharpness=sharpness) for seed in range(8)])
        assert "head" not in {verdict.classifier for verdict in verdicts}
        row = torch.tensor([[0.7, 0.1, 0.1, 0.1]])
        wrong = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
        assert int(verdicts[-1].probs(row, wrong).argmax(1)) == 0


def test_an_overconfident_head_that_is_right_more_often_is_believed():
    assert run([answers(0.5, 0.85, seed, sharpness=30.0) for seed in range(4)])[-1].classifier == "head"


def test_the_product_is_believed_where_both_err_differently():
    assert run([answers(0.7, 0.7, seed, apart=True) for seed in range(5)])[-1].classifier == "product"


def test_recent_rounds_decide():
    before = [answers(0.9, 0.3, seed) for seed in range(6)]
    after = [answers(0.3, 0.95, seed) for seed in range(10, 16)]
    assert run(before)[-1].classifier == "probe"
    verdict = run(before + after)[-1]
    assert verdict.classifier != "probe"
    assert verdict.losses["head"] < 0.5 * verdict.losses["probe"]


def test_a_common_class_does_not_decide():
    """The head names the common class always, and is right on 80 of 100 rows; the probe knows the rare ones."""
    labels = torch.tensor([0] * 80 + [1] * 10 + [2] * 10)
    head = torch.tensor([0.94, 0.02, 0.02, 0.02]).repeat(100, 1)
    probe = predicted(labels, 0.65, 5)
    assert float((probe.argmax(1) == labels).double().mean()) < 0.8
    assert judge([Answered(probe, head, labels)], "head").classifier != "head"


@pytest.mark.parametrize("believed", ["probe", "head"])
def test_equal_rivals_leave_who_is_believed(believed):
    same = answers(0.6, 0.6, 0)
    assert judge([same], believed).classifier == believed


def test_a_difference_within_chance_changes_nothing_and_is_said():
    for seed in range(40):
        verdict = judge([answers(0.5, 0.55, seed, rows=12)], "probe")
        if verdict.classifier == "probe" and min(verdict.losses.values()) < verdict.losses["probe"]:
            assert verdict.reason.endswith("the difference is within chance, so nothing changes")
            return
    raise AssertionError("no such round was drawn")


def test_probabilities_are_of_the_believed_at_its_temperature():
    probe, head = predicted(torch.arange(4), 0.5, 1), predicted(torch.arange(4), 0.5, 2)
    temperatures = {"probe": 2.0, "head": 0.5}
    tempered = {"probe": probe.sqrt(), "head": head.square(), "product": probe.sqrt() * head.square()}
    for name, values in tempered.items():
        given = Verdict(name, {}, temperatures, "").probs(probe, head)
        assert given.dtype == torch.float32
        torch.testing.assert_close(given, (values / values.sum(1, keepdim=True)).float())


def test_a_class_that_never_was_answered_and_impossible_answers_are_borne():
    labels = torch.tensor([0, 1, 2])
    certain = torch.eye(4, dtype=torch.float64)[labels.roll(1)]
    verdict = judge([Answered(certain.flip(1) * 0.5 + 0.125, certain, labels)])
    assert all(0.0 <= loss <= 2.0 for loss in verdict.losses.values())
    assert bool(verdict.probs(certain, certain).isfinite().all())
