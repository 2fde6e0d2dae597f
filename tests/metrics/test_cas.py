import numpy as np
import torch
from metric_fakes import digits
from sklearn.linear_model import LogisticRegression

from distal.features.probe import UNCHOSEN
from distal.metrics.cas import recalls

PIXELS, LABELS = digits()
X = torch.from_numpy(PIXELS).flatten(1).float()


def test_it_is_the_recall_of_scikit_learns_logistic_regression() -> None:
    mean = X[400:].mean(0)

    def seen(x: torch.Tensor) -> np.ndarray:
        return torch.nn.functional.normalize(x - mean).double().numpy()

    theirs = LogisticRegression(C=UNCHOSEN, max_iter=2000, tol=1e-6).fit(seen(X[:400]), LABELS[:400])
    said = theirs.predict(seen(X[400:]))
    found = recalls(X[:400], LABELS[:400], X[400:], LABELS[400:])
    assert found == {c: float((said[LABELS[400:] == c] == c).mean()) for c in range(10)}
