"""Normalize over the global batch, whatever the number of ranks: a BatchNorm of torch's knows its own rank alone."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from distal.communicator import Alone, Communicator, summed


class GlobalBatchNorm(_BatchNorm):
    """Be torch's BatchNorm of any number of dimensions, with mean and variance of the rows of all ranks.

    torch's SyncBatchNorm refuses CPUs. comm: set by `connect` before training.
    """

    comm: Communicator = Alone()

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x [n, C, ...] normalized for each channel."""
        if self.comm.size == 1 or not self.training:
            return super().forward(x)
        wide, shape = x.float(), (1, -1, *[1] * (x.ndim - 2))
        axes = [0, *range(2, x.ndim)]
        rows = wide.new_full((1,), x.numel() // x.shape[1])
        totals = summed(torch.cat([wide.sum(axes), rows]), self.comm)
        total, n = totals[:-1], totals[-1].detach()
        mean = total / n
        centred = wide - mean.view(shape)
        variance = summed(centred.square().sum(axes), self.comm) / n
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                beta = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, beta)
                self.running_var.lerp_(variance * n / (n - 1), beta)
        y: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


def globalized(module: nn.Module) -> None:
    """Replace every BatchNorm within a module by one over the global batch, values and names kept."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, GlobalBatchNorm):
            options = (child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
            own = GlobalBatchNorm(*options)
            own.load_state_dict(child.state_dict())
            setattr(module, name, own)
        else:
            globalized(child)


def connect(module: nn.Module, comm: Communicator) -> None:
    """Let a module's BatchNorms normalize over the ranks of this communicator."""
    for layer in module.modules():
        if isinstance(layer, GlobalBatchNorm):
            layer.comm = comm


def mixes_batch(module: nn.Module) -> bool:
    """Say whether a BatchNorm makes a row's result depend on the other rows."""
    return any(isinstance(layer, _BatchNorm) for layer in module.modules())
