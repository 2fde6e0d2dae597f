"""A lease is trusted for a while by its holder's own clock, and renewed before a write that comes later."""

import time

import pyarrow.fs
import pytest

from distal.errors import RunLockedError, StorageAwayError
from distal.run import leases
from distal.run.files import ObjectFiles
from distal.run.leases import Lease, SettledCell, leased
from distal.run.locks import Holder


class Memory:
    """A cell in memory that counts its requests and may not answer."""

    def __init__(self):
        self.data, self.requests, self.away = None, 0, False

    def read(self):
        self._ask()
        return None if self.data is None else (self.data, self.data)

    def replace(self, data, expected):
        self._ask()
        if self.data != expected:
            return None
        self.data = data
        return data

    def clear(self, expected):
        self.replace(b"{}", expected)

    def _ask(self):
        self.requests += 1
        if self.away:
            raise StorageAwayError("no answer\nlook there")


@pytest.fixture
def cell():
    return Memory()


@pytest.fixture
def lease(cell):
    with leased(cell, "s3://b/r", "driver", 0.0) as lease:
        yield lease


def pass_time(monkeypatch, seconds, clock="monotonic"):
    now = getattr(time, clock)
    monkeypatch.setattr(leases.time, clock, lambda: now() + seconds)


def test_a_fresh_lease_is_trusted_without_a_request(cell, lease):
    before = cell.requests
    lease.require()
    assert cell.requests == before


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_an_old_lease_is_renewed_before_it_is_trusted_again(cell, lease, monkeypatch, clock):
    before, first = cell.requests, lease.holder
    pass_time(monkeypatch, leases.TRUST_S + 1, clock)
    lease.require()
    assert cell.requests == before + 1
    assert lease.holder.beat > first.beat
    lease.require()
    assert cell.requests == before + 1


def test_an_old_lease_is_not_trusted_while_the_store_is_away(cell, lease, monkeypatch):
    pass_time(monkeypatch, leases.TRUST_S + 1)
    cell.away = True
    with pytest.raises(StorageAwayError):
        lease.require()
    cell.away = False
    lease.require()


def test_a_lease_that_another_took_is_lost_for_good(cell, lease, monkeypatch):
    mine = cell.data
    cell.data = Holder("other", 7, time.time(), "t", time.time()).to_bytes()
    pass_time(monkeypatch, leases.TRUST_S + 1)
    with pytest.raises(RunLockedError, match="was taken over by process 7 on other") as caught:
        lease.require()
    cell.data = mine
    with pytest.raises(RunLockedError, match="was taken over"):
        lease.require()
    assert str(caught.value).count("\n") <= 2
    assert lease.lost


def test_the_holders_patience_leaves_time_before_a_rival_may_take_over():
    assert leases.REFRESH_S < leases.TRUST_S < leases.STALE_S


def test_a_lease_that_could_not_be_given_back_does_not_refuse_its_own_process(cell):
    with leased(cell, "s3://b/r", "driver", 0.0):
        cell.away = True
    cell.away = False
    assert cell.data != b"{}"
    with leased(cell, "s3://b/r", "driver", 0.0) as again:
        assert isinstance(again, Lease)


def test_without_conditional_writes_a_rival_that_writes_in_between_wins(monkeypatch):
    files = ObjectFiles(pyarrow.fs._MockFileSystem(), "bucket/run", "mock://bucket/run")
    settled = SettledCell(files, "lock")
    monkeypatch.setattr(leases.time, "sleep", lambda _: files.write("lock", b"rival"))
    assert settled.replace(b"mine", None) is None
    assert settled.replace(b"mine", b"something else") is None
    settled.clear(b"mine")
    assert files.read("lock") == b"rival"
    monkeypatch.setattr(leases.time, "sleep", lambda _: None)
    assert settled.replace(b"mine", b"rival") == b"mine"
    settled.clear(b"mine")
    assert settled.read() is None
