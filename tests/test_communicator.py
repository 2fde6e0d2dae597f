"""Two real processes over gloo agree with one."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from distal.communicator import Alone, ProcessGroup


def _rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    comm = ProcessGroup()
    halves = [torch.full((2, 3), float(rank + 1)), torch.tensor([rank], dtype=torch.float64), torch.ones(0)]
    comm.sum_(halves)
    results: dict[str, Any] = {
        "broadcast": comm.broadcast({"from": rank} if rank == 0 else None),
        "gather": comm.gather(rank * 10),
        "sums": halves,
    }
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_broadcast_gather_and_sum(tmp_path: Path) -> None:
    mp.spawn(_rank, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert results["broadcast"] == {"from": 0}
        assert results["gather"] == [0, 10]
        floats, doubles, empty = results["sums"]
        assert (floats == 3.0).all()
        assert doubles.dtype == torch.float64
        assert doubles.item() == 1.0
        assert empty.numel() == 0


def test_alone_is_the_identity() -> None:
    comm, tensor = Alone(), torch.ones(2)
    comm.sum_([tensor])
    assert (tensor == 1).all()
    assert comm.broadcast("x") == "x"
    assert comm.gather("x") == ["x"]
