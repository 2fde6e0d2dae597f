from dataclasses import dataclass
import torch, numpy as np
from distal.nets.weights import pack, unpack
from sklearn.linear_model import LogisticRegression
@dataclass(frozen=True)
class Probe:
    weights: torch.Tensor
    @classmethod
    def fit(cls, features, labels, classes, seed):
        W = torch.zeros(features.shape[1] + 1, classes)
        present = np.unique(labels)
        if len(present) > 1:
            m = LogisticRegression(C=30, max_iter=500, class_weight="balanced").fit(features.numpy(), labels)
            coef, b = m.coef_, m.intercept_
            if len(present) == 2: coef, b = np.stack([-coef[0], coef[0]]) / 2, np.array([-b[0], b[0]]) / 2
            W[:, :] = 0; W[-1] = -5
            W[:-1, present] = torch.from_numpy(coef.T).float(); W[-1, present] = torch.from_numpy(b).float()
        return cls(W)
    def probs(self, rows):
        return (rows.float() @ self.weights[:-1] + self.weights[-1]).softmax(1)
    def to_bytes(self): return pack({"w": self.weights})
    @classmethod
    def from_bytes(cls, b): return cls(unpack(b)["w"])
