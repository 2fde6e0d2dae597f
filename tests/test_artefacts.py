from pathlib import Path

import pytest
from metric_fakes import on_ranks

from distal.communicator import Alone, on_first_rank
from distal.errors import EvaluationError, StorageError
from distal.run.artefacts import Folder, cached


def test_a_missing_file_is_made_once_and_then_read(tmp_path: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"weights"

    assert [cached(Folder(tmp_path), "a/b", Alone(), make) for _ in range(3)] == [b"weights"] * 3
    assert len(made) == 1


def test_the_file_that_another_run_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    store = Folder(tmp_path)

    def make() -> bytes:
        store.write("x", b"theirs")
        return b"ours"

    assert cached(store, "x", Alone(), make) == b"theirs"


def test_every_rank_gets_what_the_first_made() -> None:
    assert on_ranks(3, lambda comm: on_first_rank(comm, lambda: f"made on {comm.rank}")) == ["made on 0"] * 3


def test_an_error_of_the_first_rank_is_raised_on_all() -> None:
    def fail(comm: object) -> None:
        def make() -> None:
            raise EvaluationError("no weights")

        on_first_rank(comm, make)  # type: ignore[arg-type]

    assert [str(error) for error in on_ranks(2, fail)] == ["no weights"] * 2


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        Folder(tmp_path / "file").write("a", b"")
