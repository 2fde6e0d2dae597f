"""Runs whose pool, held-out images and run directory lie on a real S3 server: the same files, and nothing lost."""

import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray
from buckets import S3Server, only_known_keys
from crash_driver import LabelFunction, at_event, drive
from s3_runs import files_left, local_tree, run_at, s3_tree, upload, write_digits
from two_rounds import BATCH, ROUNDS, killed

from distal import ActiveLearner, PoolError, RunLockedError, StorageError
from distal.cli import main
from distal.run import conditional, patience
from distal.run.conditional import RELEASED
from distal.run.ledger import Ledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]

Make = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3-runs")
    write_digits(folder)
    return folder


@pytest.fixture(scope="module")
def expected(local_ray: None, folder: Path, decoded: Path) -> dict[str, Any]:
    """Run on the local disk, undisturbed, and return the files."""
    whole = local_tree(folder, decoded)
    ActiveLearner(whole, oracle=LabelFunction(folder / "asked")).run()
    return files_left(whole, folder / "local")


@pytest.fixture(scope="module")
def make(s3_server: S3Server, folder: Path, decoded: Path) -> Make:
    """Return what describes a run on S3 by its name; all share a bucket, and so the extractor."""
    bucket = s3_server.bucket()
    images = folder / "images"
    write_digits(images)
    upload(images, s3_server.uri(f"{bucket}/images"))
    return lambda name: s3_tree(s3_server, bucket, decoded, name)


@pytest.fixture(scope="module")
def finished(make: Make, folder: Path) -> dict[str, Any]:
    whole = make("finished")
    ActiveLearner(whole, oracle=LabelFunction(folder / "asked-for-s3")).run()
    return whole


@pytest.fixture
def place(finished: dict[str, Any], s3: S3Server) -> str:
    """Return what a person types for the finished run where the environment says the rest."""
    return f"s3://{finished['storage'].partition('@')[2].partition('?')[0]}/finished"


def run_to_the_end(whole: dict[str, Any], log: Path) -> None:
    ActiveLearner(whole, oracle=LabelFunction(log)).run()


def require_same(whole: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    found = files_left(whole, folder / "downloaded")
    assert sorted(found) == sorted(expected)
    assert [path for path in expected if found[path] != expected[path]] == []


def test_a_run_on_s3_writes_the_bytes_of_a_local_one(
    finished: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    require_same(finished, expected, tmp_path)


def test_status_generate_evaluate_and_report_read_a_run_on_s3(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", place]) == 0
    status = capsys.readouterr().out
    assert f"{ROUNDS} of {ROUNDS} committed" in status
    assert f"{ROUNDS * BATCH} labels" in status

    out = tmp_path / "threes.parquet"
    assert main(["generate", place, "--out", str(out), "--class", "3", "--per-class", "5"]) == 0
    assert pq.read_table(out)["label"].to_pylist() == [3] * 5

    capsys.readouterr()
    assert main(["evaluate", place, "evaluate.samples=32"]) == 0
    assert {score["name"] for score in json.loads(capsys.readouterr().out)} >= {"fid"}

    assert main(["report", place]) == 0
    assert capsys.readouterr().out.strip().endswith("finished/report.html")


def test_what_a_person_is_shown_of_a_run_on_s3_holds_no_secret_of_its_uris(
    finished: dict[str, Any], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", place]) == 0
    assert "test:test" not in capsys.readouterr().out
    assert b"test:test" not in run_at(finished).read("report.html")


def test_a_driver_that_is_killed_in_a_round_is_resumed_at_once_to_the_same_files(
    make: Make, expected: dict[str, Any], tmp_path: Path
) -> None:
    whole = make("killed")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["crash_driver"])
    address = ray.get_runtime_context().gcs_address
    arguments = (whole, str(tmp_path / "asked"), "event:2:train:20", address)
    process = processes.Process(target=drive, args=arguments)
    process.start()
    assert killed(process)
    assert run_at(whole).read(".lock-driver") != RELEASED
    run_to_the_end(whole, tmp_path / "asked")
    require_same(whole, expected, tmp_path)


def test_a_second_driver_on_s3_is_refused(finished: dict[str, Any], tmp_path: Path) -> None:
    with run_at(finished).lock():
        with pytest.raises(RunLockedError, match=r"is held by process \d+ on"):
            run_to_the_end(finished, tmp_path / "asked")


@pytest.fixture
def failing(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[AbstractContextManager[None]]:
    """Return the server's failure, to be entered; clients do not wait by themselves, and it ends with the test."""
    monkeypatch.setattr(conditional, "RETRIES", 0)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.1)
    yield s3.spoiled("status", 507)
    s3.send("DELETE", "/spoil/status")


def test_a_server_that_fails_for_a_while_is_waited_for(
    make: Make, failing: AbstractContextManager[None], expected: dict[str, Any], tmp_path: Path
) -> None:
    whole = make("outage")
    notices: list[str] = []

    class EndAtTheSecondNotice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notices.append(record.getMessage())
            if len(notices) == 2:
                failing.__exit__(None, None, None)

    handler = EndAtTheSecondNotice()
    patience.log.addHandler(handler)
    listen = at_event("1:train:20", failing.__enter__)
    ActiveLearner(whole, oracle=LabelFunction(tmp_path / "asked"), listen=listen).run()
    patience.log.removeHandler(handler)
    assert "trying again in 0.1 s: cannot " in notices[0]
    require_same(whole, expected, tmp_path)


def test_a_server_that_stays_away_ends_the_run_with_three_lines_and_nothing_is_lost(
    make: Make,
    failing: AbstractContextManager[None],
    expected: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make("away")
    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    listen = at_event("1:train:20", failing.__enter__)
    learner = ActiveLearner(whole, oracle=LabelFunction(tmp_path / "asked"), listen=listen)
    with pytest.raises(StorageError, match=r"cannot \w+ s3://.*\ncheck that the storage can be reached") as caught:
        learner.run()
    assert str(caught.value).count("\n") <= 2
    failing.__exit__(None, None, None)
    assert len(Ledger(run_at(whole)).answers(1)) == BATCH

    run_to_the_end(whole, tmp_path / "asked")

    require_same(whole, expected, tmp_path)


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"storage": "s3://no-such-bucket-here/runs"}, StorageError, "bucket does not exist"),
        ({"pool": {"path": "s3://no-such-bucket-here/pool.parquet"}}, PoolError, "No such file or folder"),
    ],
)
def test_a_missing_bucket_is_told_before_any_work(
    make: Make, s3: S3Server, tmp_path: Path, change: dict[str, Any], kind: type[Exception], says: str
) -> None:
    refused(make("none"), change, tmp_path, kind, says)


@pytest.mark.parametrize("what", ["storage", "pool"])
def test_wrong_credentials_are_told_before_any_work(
    make: Make, folder: Path, s3: S3Server, tmp_path: Path, what: str
) -> None:
    whole = make("none")
    on_disk = {"path": str(folder / "pool.parquet")}
    if what == "storage":
        whole["evaluate"]["path"] = str(folder / "held-out.parquet")
    change = {"pool": on_disk} if what == "storage" else {"storage": str(tmp_path)}
    with only_known_keys(s3):
        refused(
            whole, change, tmp_path, StorageError if what == "storage" else PoolError, "Access Key Id|ACCESS_DENIED"
        )


def refused(whole: dict[str, Any], change: dict[str, Any], folder: Path, kind: type[Exception], says: str) -> None:
    """Require a run under a change to be refused in three lines, with no image decoded and nothing asked."""
    pool = {**whole["pool"], **change.pop("pool", {}), "cache": str(folder / "decoded")}
    with pytest.raises(kind, match=says) as caught:
        run_to_the_end({**whole, **change, "pool": pool}, folder / "asked")
    assert str(caught.value).count("\n") <= 2
    assert not (folder / "decoded").exists()
    assert not (folder / "asked").exists()
