"""Two real processes over gloo agree with one."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
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
    if rank == 0:
        began = time.monotonic()
        try:
            ProcessGroup(exchange_s=1.0).sum_([torch.ones(1)])
        except RuntimeError as error:
            results["alone"] = (str(error), time.monotonic() - began)
        comm.broadcast(None)
    else:
        ProcessGroup(exchange_s=1.0)
        comm.broadcast(None)  # control waits on
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_broadcast_gather_and_sum_and_wait_for_no_tensor_for_ever(tmp_path: Path) -> None:
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
    said, seconds = torch.load(tmp_path / "0.pt", weights_only=True)["alone"]
    assert "rank 0 got no sum from the other 1, awaited for 1 s" in said
    assert 0.9 <= seconds < 30.0


@pytest.mark.parametrize(("device", "backend"), [("cuda:1", "nccl"), ("cpu", "gloo")])
def test_tensors_have_a_group_of_ten_minutes_beside_the_patient_one(
    monkeypatch: pytest.MonkeyPatch, device: str, backend: str
) -> None:
    made: list[dict[str, Any]] = []
    summed: list[Any] = []
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)

    def new_group(**settings: Any) -> str:
        made.append(settings)
        return "exchange"

    monkeypatch.setattr(dist, "new_group", new_group)
    monkeypatch.setattr(dist, "all_reduce", lambda flat, group: summed.append(group))
    monkeypatch.setattr(dist, "broadcast_object_list", lambda box, src: summed.append("control"))
    comm = ProcessGroup(device)
    comm.sum_([torch.ones(2)])
    comm.broadcast("x")
    assert made == [{"backend": backend, "timeout": timedelta(minutes=10)}]
    assert summed == ["exchange", "control"]


def test_alone_is_the_identity() -> None:
    comm, tensor = Alone(), torch.ones(2)
    comm.sum_([tensor])
    assert (tensor == 1).all()
    assert comm.broadcast("x") == "x"
    assert comm.gather("x") == ["x"]
