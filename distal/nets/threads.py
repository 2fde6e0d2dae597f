"""Keep small networks on one CPU thread, where a second one gains nothing and may cost all.

Threads of one product wait for one another at every layer. Measured: a step of the dense networks at 8 px takes 11 ms
with one thread or two, and 30 times as long with two where another process wants the core; the pool's own extractor
was trained in 7.7 s with one, and beside a busy process in 140 s with two.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


def one_thread() -> AbstractContextManager[None]:
    """Compute with one CPU thread of torch, then with as many as before."""
    return threads(1)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute with this many CPU threads of torch, then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
