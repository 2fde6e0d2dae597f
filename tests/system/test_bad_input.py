"""Bad input ends in a short message that says what to do, with the exit code of its kind, and loses nothing."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bad_input_cases import CONFIG, POOL, REFUSED_AT_ONCE, REFUSED_ON_THE_CLUSTER, RUN
from PIL import Image
from small_pools import images, png, write_extractor, write_pool
from spoiled_place import Place

from distal.cli import main
from distal.errors import OracleError
from distal.run.directory import RunDirectory

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, decoded: Path, local_ray: None) -> Place:
    """Make the images and one finished run."""
    folder = tmp_path_factory.mktemp("good")
    pool = write_pool(folder / "pool.parquet", images(40), [row % 2 for row in range(40)])
    held_out = write_pool(folder / "held-out.parquet", images(32, seed=1))
    extractor = write_extractor(folder / "coarse.pt")
    place = Place(folder, pool, held_out, extractor, decoded, folder / "runs" / "finished")
    assert main(place.run("name=finished")) == 0
    return place


@pytest.fixture
def place(good: Place, tmp_path: Path) -> Place:
    return Place(tmp_path, good.pool, good.held_out, good.extractor, good.decoded, good.finished)


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file but the locks, which say who came last."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_refused(
    argv: list[str], code: int, words: tuple[str, ...], capfd: pytest.CaptureFixture[str], kept: Path
) -> None:
    before = contents(kept)
    capfd.readouterr()
    returned = main(argv)
    printed = capfd.readouterr()
    everything = printed.out + printed.err
    message = printed.err[printed.err.lower().find("error: ") :].rstrip()
    assert returned == code, everything
    assert "Traceback" not in everything
    assert message
    assert len(message.splitlines()) <= 3, message
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    after = contents(kept)
    assert {path: after.get(path) for path in before} == before


@pytest.mark.parametrize("name", REFUSED_AT_ONCE)
def test_bad_input_is_refused_before_any_process_starts(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, words, arguments = REFUSED_AT_ONCE[name]
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr("distal.driver.serve.ShardActors", None)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", None)
    assert_refused(arguments(place), code, words, capfd, place.folder)


@pytest.mark.parametrize("name", REFUSED_ON_THE_CLUSTER)
def test_what_only_the_cluster_shows_is_refused_as_shortly(
    name: str, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    code, words, arguments = REFUSED_ON_THE_CLUSTER[name]
    assert_refused(arguments(place), code, words, capfd, place.storage / "finished" / "rounds")


def test_a_refused_pool_may_be_run_again_under_its_name_once_it_is_mended(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    half = [*images(10), *[b"no image"] * 30]
    pool = f"pool.path={place.pool_of(half, [0, 1] * 20)}"
    assert_refused(place.run(pool, "query.batch=20"), POOL, ("10 rows", "30 of 40"), capfd, place.folder)
    assert main(place.run(pool, "query.batch=4")) == 0


def test_a_second_driver_is_refused_and_told_who_holds_the_run(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    run = place.copied()
    hold = "import sys; from distal.run.directory import RunDirectory\n"
    hold += "with RunDirectory.open(sys.argv[1], 'finished').lock(): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(run.parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        words = (f"process {holder.pid}", "wait until it ends")
        assert_refused(["resume", str(run), "rounds=2"], RUN, words, capfd, place.folder)
        holder.communicate("")


def test_a_process_of_its_own_refuses_within_seconds_and_without_a_traceback(place: Place) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-m", "distal", *place.run("query.batch=400")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == CONFIG
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: rounds x query.batch")
    assert len(ended.stderr.splitlines()) <= 3
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10.0


def test_images_that_cannot_be_read_are_listed_and_counted_and_the_run_finishes(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.full((8, 8), 0.5, np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(place.folder / "nan.tiff")
    whole = images(40)
    bad = {
        9: whole[9][:40],
        17: (place.folder / "nan.tiff").read_bytes(),
        25: png(np.zeros((300, 300), np.uint8)),
        33: b"",
    }
    pool = place.pool_of([bad.get(row, data) for row, data in enumerate(whole)], [0, 1] * 20)
    settings = (f"pool.path={pool}", "pool.max_pixels=10000", "pool.image_size=8", "pool.channels=1")
    assert main(place.run(*settings)) == 0
    skipped = json.loads((place.storage / "bad" / "skipped.json").read_text())
    reasons = {entry["row_id"]: entry["reason"] for entry in skipped}
    assert reasons.keys() == bad.keys()
    assert "not finite" in reasons[17]
    assert "300 x 300" in reasons[25]
    assert "4 cannot be read" in capfd.readouterr().err


def test_bad_rows_of_a_filled_sheet_are_named_and_the_good_ones_kept(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(place.run("oracle.kind=files")) == 0
    assert "waiting for 4 labels" in capfd.readouterr().out
    run = place.storage / "bad"
    sheet = run / "rounds" / "0001" / "to-label" / "labels.csv"
    ids = [line.split(",")[0] for line in sheet.read_text().splitlines()[1:]]
    sheet.write_text(f"row_id,file,label\n{ids[0]},x,1\n{ids[1]},x,cat\n{ids[2]},x,7\n999,x,0\n")
    assert main(["resume", str(run)]) == OracleError.exit_code
    said = " ".join(capfd.readouterr().err.split())
    assert "waiting for 3 labels" in said
    assert [f"not taken: round 1, line {line}" in said for line in (2, 3, 4, 5)] == [False, True, True, True]
    assert pq.read_table(run / "rounds" / "0001" / "labels.parquet").column("row_id").to_pylist() == [int(ids[0])]
    assert RunDirectory.open(str(place.storage), "bad").committed() == []
