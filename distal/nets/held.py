"""Know a network's parameters without looking for them: torch walks through all modules each time it is asked.

That walk is some hundredths of a small network's step. Networks are whole once they are trained: a parameter that is
put in another's place afterwards is not seen.
"""

from weakref import WeakKeyDictionary

from torch import nn

_PARAMETERS: WeakKeyDictionary[nn.Module, list[nn.Parameter]] = WeakKeyDictionary()
_BUFFERED: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def parameters_of(module: nn.Module) -> list[nn.Parameter]:
    """Return `module.parameters()` as they were when this was first asked."""
    if module not in _PARAMETERS:
        _PARAMETERS[module] = list(module.parameters())
    return _PARAMETERS[module]


def has_buffers(module: nn.Module) -> bool:
    """Say whether there are buffers; these are not kept, for `module.to` makes others of them."""
    if module not in _BUFFERED:
        _BUFFERED[module] = any(True for _ in module.buffers())
    return _BUFFERED[module]


def learns_(module: nn.Module, learns: bool) -> None:
    """Let a network's parameters have gradients from here on, or none."""
    for p in parameters_of(module):
        p.requires_grad_(learns)
