"""Score rows for one more answer, be it their first or another annotator's: ActiveLab, Goh and Mueller 2023.

What a row is trusted to be is a weighted mean of the model's opinion, the answers it has and, standing for one more
answer that is not there yet, a uniform guess by an annotator of mean weight (their equations 3 and 4):

    s_i = (w_M p_M + sum_{j answered i} w_j p_j + w 1/K) / (w_M + sum_{j answered i} w_j + w),     w = mean_j w_j,

of the class that it is taken for. Rows without an answer have no sum over j. The weights are CROWDLAB's (Goh,
Tkachenko, Mueller 2022): how much less the model, or the annotator, errs than always saying the commonest class.
"""

import numpy as np

from distal.query.view import Doubles, Ints

LEAST = 1e-6  # of a weight, and of the commonest class's error


def active_lab(probs: Doubles, answers: Ints) -> Doubles:
    """Return 1 - s_i, float64 [n] in [0, 1], the highest asked first, for (another) answer.

    probs: float64 [n, K], of a model that did not learn from these answers. answers: int64 [n, J], the class that
    annotator j gave, -1 where none. While no row has two answers, all weights are 1.
    """
    classes = probs.shape[1]
    given = answers >= 0
    answered = np.flatnonzero(given.any(1))
    trust = probs.max(1)
    model, annotators = 1.0, np.ones(answers.shape[1])
    if (given.sum(1) > 1).any():
        model, annotators, posterior = _crowd(probs[answered], answers[answered])
        trust[answered] = posterior.max(1)
    elif len(answered):
        trust[answered] = probs[answered, answers[answered].max(1)]
    seen = model + (given * annotators).sum(1)
    extra = float(annotators.mean())
    scores: Doubles = 1.0 - (seen * trust + extra / classes) / (seen + extra)
    return scores


def _crowd(probs: Doubles, answers: Ints) -> tuple[float, Doubles, Doubles]:
    """Return the model's weight, the annotators' float64 [J], and the class probabilities that follow [n, K]."""
    n, classes = probs.shape
    given = answers >= 0
    counts = given.sum(1)
    votes = np.stack([(answers == c).sum(1) for c in range(classes)], axis=1)
    consensus = np.lexsort((-np.arange(classes) + np.zeros((n, 1)), probs, votes), axis=1)[:, -1]
    shared = counts > 1
    commonest = np.bincount(consensus[shared], minlength=classes).max()
    baseline = max(1.0 - commonest / shared.sum(), LEAST)
    agreeing = votes[np.arange(n), consensus] / counts
    likelihood = agreeing[shared].mean()
    other = (1.0 - likelihood) / (classes - 1)
    # Annotator j's agreement with the others who answered the same rows, each pair once.
    pairs = np.where(given, counts[:, None] - 1, 0).sum(0)
    own = np.take_along_axis(votes, np.maximum(answers, 0), axis=1) - 1
    agreed = np.where(given, own, 0).sum(0)
    agreement = np.divide(agreed, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    agreement = np.where(np.isnan(agreement), np.nanmean(agreement), agreement)
    annotators = np.maximum(1.0 - (1.0 - agreement) / baseline, LEAST)
    wrong = (probs.argmax(1) != consensus)[shared].mean()
    model = max(1.0 - wrong / baseline, LEAST) * float(np.sqrt(counts.mean()))
    posterior = model * probs
    for c in range(classes):
        posterior[:, c] += (given * annotators * np.where(answers == c, likelihood, other)).sum(1)
    return model, annotators, posterior / (model + (given * annotators).sum(1))[:, None]
