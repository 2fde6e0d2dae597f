"""What is sent is checked here, complete, and named after what it works on."""

from pathlib import Path

import pytest
import yaml

from distal.config import Config
from distal.errors import ClusterError, ConfigError
from distal.jobs.parcel import JOB_FILE, LARGEST_FOLDER, Parcel, pack, staged, unpack
from distal.sweep.config import SweepConfig

PLACE = "storage=/shared/runs"


def sent(parcel: Parcel, tmp_path: Path) -> Path:
    path = tmp_path / JOB_FILE
    path.write_text(parcel.text)
    return path


def test_a_run_arrives_as_it_was_checked_here_but_for_the_address(tmp_path: Path) -> None:
    parcel = pack(None, [PLACE, "rounds=3", "query.strategy=margin", "address=auto"])
    arrived = unpack(sent(parcel, tmp_path))
    assert isinstance(arrived, Config)
    assert (arrived.rounds, arrived.query.strategy, arrived.address) == (3, "margin", None)
    assert (parcel.kind, parcel.place) == ("run", "/shared/runs/digits")


def test_a_file_with_a_sweeps_keys_arrives_as_a_sweep_with_its_base_complete(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("rounds: 4\n")
    path = tmp_path / "sweep.yaml"
    path.write_text("base: base.yaml\nspace: {model.regularizers.r1: [0.1, 1.0]}\ntrials: 2\n")
    parcel = pack(str(path), [PLACE])
    arrived = unpack(sent(parcel, tmp_path))
    assert isinstance(arrived, SweepConfig)
    assert arrived.base["rounds"] == 4  # type: ignore[index, call-overload]
    assert parcel.kind == "sweep"


def test_a_job_is_named_after_its_run_and_where_it_lies_and_not_after_its_settings() -> None:
    def name(*overrides: str) -> str:
        return pack(None, list(overrides)).job

    assert name(PLACE) == name(PLACE, "rounds=9", "train.steps=7")
    assert len({name(PLACE), name(PLACE, "name=other"), name("storage=/elsewhere")}) == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("storage=runs", "storage: 'runs' is relative"),
        ("pool.path=images/pool.parquet", "pool.path: 'images/pool.parquet' is relative"),
        ("evaluate.path=[/shared/a.parquet,b.parquet]", "evaluate.path: 'b.parquet' is relative"),
        ("pool.cache=decoded", "pool.cache: 'decoded' is relative"),
        ("storage=s3://key:secret@bucket/runs", "holds a password"),
        ("oracle.kind=callable", "oracle.kind: a function answers in the process that has it"),
        ("query.strategy=margn", "did you mean 'margin'"),
    ],
)
def test_what_the_cluster_could_not_use_is_refused_here(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pack(None, [PLACE, override])
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


@pytest.mark.parametrize("other", [{"distal": "0.0.1"}, {"python": "3.8"}])
def test_another_version_of_distal_or_python_refuses_the_job(other: dict[str, str], tmp_path: Path) -> None:
    path = sent(pack(None, [PLACE]), tmp_path)
    tree = yaml.safe_load(path.read_text())
    tree["versions"] |= other
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(ClusterError, match="version mismatch: sent by") as refused:
        unpack(path)
    assert next(iter(other.values())) in str(refused.value)


def test_a_working_directory_is_copied_without_what_is_no_code(tmp_path: Path) -> None:
    for name in (
        "mine.py",
        "package/part.py",
        ".git/config",
        "runs/run/x",
        "pool.parquet",
        "package/__pycache__/p.pyc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    with staged(pack(None, [PLACE]), str(tmp_path), {}) as place:
        found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert found == {JOB_FILE, "mine.py", "package/part.py"}
    assert not place.exists()


def test_a_missing_or_too_large_working_directory_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"), staged(pack(None, [PLACE]), "/nowhere", {}):
        pass
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(LARGEST_FOLDER + 1)
    with pytest.raises(ConfigError, match=r"largest file is .*weights\.bin"):
        with staged(pack(None, [PLACE]), str(tmp_path), {}):
            pass
