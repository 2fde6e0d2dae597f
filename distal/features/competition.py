from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    classifier: str
    losses: dict
    reason: str


def judge(history):
    if not history:
        return Verdict("probe", {}, "first")
    l = [
        (-np.log(h[np.arange(len(y)), y] + 1e-9).mean(), -np.log(p[np.arange(len(y)), y] + 1e-9).mean())
        for h, p, y in history
        if len(y)
    ]
    h, p = np.mean(l, 0)
    return Verdict("probe" if p <= h else "head", {"head": float(h), "probe": float(p)}, "who was right")
