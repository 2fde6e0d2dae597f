import numpy as np
import pytest

from distal.query import active_lab


def plain(probs, answers):
    """Follow the published definitions row by row."""
    n, classes, people = len(probs), len(probs[0]), len(answers[0])
    given = [{j: a for j, a in enumerate(row) if a >= 0} for row in answers]
    answered = [i for i in range(n) if given[i]]
    shared = [i for i in answered if len(given[i]) > 1]
    taken = {}
    for i in answered:
        votes = [list(given[i].values()).count(c) for c in range(classes)]
        taken[i] = max(range(classes), key=lambda c, i=i, votes=votes: (votes[c], probs[i][c], -c))
    consensus = [taken[i] for i in shared]
    baseline = max(1 - max(consensus.count(c) for c in range(classes)) / len(shared), 1e-6)
    likelihood = np.mean([list(given[i].values()).count(taken[i]) / len(given[i]) for i in shared])
    agreement = []
    for j in range(people):
        pairs = [(given[i][j], b) for i in shared if j in given[i] for other, b in given[i].items() if other != j]
        agreement.append(np.mean([a == b for a, b in pairs]) if pairs else np.nan)
    agreement = [np.nanmean(agreement) if np.isnan(a) else a for a in agreement]
    weights = [max(1 - (1 - a) / baseline, 1e-6) for a in agreement]
    errors = np.mean([int(np.argmax(probs[i])) != taken[i] for i in shared])
    model = max(1 - errors / baseline, 1e-6) * np.sqrt(np.mean([len(given[i]) for i in answered]))
    scores = []
    for i in range(n):
        whole = model + sum(weights[j] for j in given[i])
        trust = max(
            (
                model * probs[i][c]
                + sum(
                    weights[j] * (likelihood if a == c else (1 - likelihood) / (classes - 1))
                    for j, a in given[i].items()
                )
            )
            / whole
            for c in range(classes)
        )
        scores.append(1 - (whole * trust + np.mean(weights) / classes) / (whole + np.mean(weights)))
    return scores


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_definition(seed):
    draw = np.random.default_rng(seed)
    probs = draw.dirichlet(np.full(4, 0.5), 60)
    truth = probs.argmax(1)
    answers = np.where(draw.random((60, 5)) < 0.8, truth[:, None], draw.integers(4, size=(60, 5)))
    answers[draw.random((60, 5)) < 0.6] = -1
    answers[:, 4] = -1
    answers[59] = [-1, -1, -1, -1, 2]  # alone in its row: given the mean agreement of the others
    assert np.allclose(active_lab(probs, answers), plain(probs.tolist(), answers.tolist()))


def test_annotators_who_differ_are_asked_about_again_before_those_who_agree():
    probs = np.full((6, 2), 0.5) + np.array([0.1, -0.1])
    answers = np.array([[0, 0, -1], [0, 1, -1], [0, 0, 0], [1, 1, -1], [-1, -1, -1], [0, -1, -1]])
    scores = active_lab(probs, answers)
    assert scores[1] > scores[0]
    assert scores[0] > scores[2]


def test_while_no_row_has_two_answers_the_model_says_how_far_an_answer_is_trusted():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    scores = active_lab(probs, np.array([[0, -1], [1, -1], [-1, -1]]))
    assert np.allclose(scores, [1 - (2 * 0.9 + 0.5) / 3, 1 - (2 * 0.1 + 0.5) / 3, 1 - (0.6 + 0.5) / 2])
