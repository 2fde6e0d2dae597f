"""Use torch's optimizers without loading its compiler, which distal never runs.

`torch.optim` (2.13) imports `torch._dynamo` when an optimizer is made and at each step, only to tell the compiler to
keep away: hundreds of modules, sympy and scikit-learn among them, two seconds of a core in every process that trains.
"""

import inspect

import torch

_KEPT_FROM_THE_COMPILER = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")

for _name in _KEPT_FROM_THE_COMPILER:
    _method = inspect.unwrap(getattr(torch.optim.Optimizer, _name))
    _method.__dict__.setdefault("__dynamo_disable", _method)  # what `torch._compile` would put there, were it to look


def step(optimizer: torch.optim.Optimizer) -> None:
    """Update the parameters as `optimizer.step()` does, whose wrapper imports the compiler; hooks are not called."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)
