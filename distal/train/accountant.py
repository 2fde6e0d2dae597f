"""Count what private updates have spent: epsilon at a delta, by opacus's accountant of Renyi differential privacy.

Each update is a Gaussian mechanism on a Poisson sample of the rows (Mironov, Talwar, Zhang 2019). A labeled row is
drawn at another rate than the others, so each kind has an epsilon of its own. A row that is labeled now was none of the
labeled ones before; as if it always had the higher of both rates, its epsilon is at most what is said of labeled rows.
"""

import importlib.util
from collections.abc import Mapping

import torch
from torch import Tensor

from distal.errors import ConfigError

COLUMNS = ("noise", "of_labeled", "of_others", "updates")


def require_opacus() -> None:
    """Raise ConfigError where opacus is not installed."""
    if importlib.util.find_spec("opacus") is None:
        raise ConfigError(
            "model.privacy.noise: the spent epsilon is counted by opacus, which is not installed.\n"
            "pip install 'distal[privacy]', or set model.privacy.noise=null."
        )


class Accountant:
    """Hold what was spent: a line for each kind of update, with the noise multiplier, the rates, and how many."""

    def __init__(self) -> None:
        self.lines: list[list[float]] = []

    def spend(self, noise: float, of_labeled: float, of_others: float) -> None:
        """Count one update with this noise multiplier, in which rows took part at these rates."""
        kind = [noise, of_labeled, of_others]
        if not self.lines or self.lines[-1][:3] != kind:
            self.lines.append([*kind, 0.0])
        self.lines[-1][3] += 1

    @property
    def updates(self) -> int:
        """Return the number of updates counted."""
        return int(sum(line[3] for line in self.lines))

    def epsilon(self, delta: float) -> dict[str, float]:
        """Return epsilon at delta of a row that is labeled, and of one that never was, under `labeled` and `others`.

        That is for two sets of rows of which one has a row more, each row with its label; (epsilon, delta)-DP.
        """
        require_opacus()
        from opacus.accountants.analysis import rdp  # seconds of imports: here, where it is asked for
        from opacus.accountants.rdp import RDPAccountant

        orders = [*RDPAccountant.DEFAULT_ALPHAS, 80, 100, 128, 192, 256, 512]
        spent = {}
        for kind in ("labeled", "others"):
            total = torch.zeros(len(orders), dtype=torch.float64)
            for noise, of_labeled, of_others, updates in self.lines:
                rate = max(of_labeled, of_others) if kind == "labeled" else of_others
                if rate:
                    of_line = rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=int(updates), orders=orders)
                    total += torch.as_tensor(of_line, dtype=torch.float64)
            spent[kind] = float(rdp.get_privacy_spent(orders=orders, rdp=total.numpy(), delta=delta)[0])
        return spent

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the lines as float64 [lines, 4]."""
        return {"spent": torch.tensor(self.lines, dtype=torch.float64).reshape(-1, len(COLUMNS))}

    def restore(self, saved: Mapping[str, Tensor]) -> bool:
        """Go on counting from `to_tensors`; False, and nothing changed, where these are not its tensors."""
        spent = saved.get("spent")
        if spent is None or spent.ndim != 2 or spent.shape[1] != len(COLUMNS):
            return False
        self.lines = spent.tolist()
        return True
