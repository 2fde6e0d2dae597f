"""Choose the generated images that G learns from: the best by D's word, Sinha et al. 2020 (top-k training of GANs).

D learns from all of them. What D finds hopeless pulls G away from the real images rather than towards them.
"""

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.train.batch import Batch
from distal.train.carrying import carried

FALL = 0.999
"""What is left of the share that G learns from after an update: D must first have learned what is good."""


def falling(share: float, step: int) -> float:
    """Return the share that G learns from at a step (from 0): from all down to `share`."""
    return max(share, FALL**step)


def best_rows(fake_logits: Tensor, batch: Batch, share: float, comm: Communicator) -> tuple[Tensor | slice, float]:
    """Return which of this rank's generated rows are among the best `share` of the global batch, and their part of it.

    fake_logits: float [n]. The part is what a mean over these rows weighs in the sum over ranks; 0 where there is none.
    """
    wanted = max(1, round(share * batch.total))
    if wanted >= batch.total:
        return slice(None), batch.share
    positions = carried(batch.positions, fake_logits.device)
    everywhere = torch.zeros(batch.total, device=fake_logits.device)
    everywhere[positions] = fake_logits.detach()
    comm.sum_([everywhere])
    chosen = torch.zeros(batch.total, dtype=torch.bool, device=fake_logits.device)
    chosen[everywhere.topk(wanted).indices] = True
    kept = chosen[positions]
    return kept, int(kept.sum()) / wanted
