"""Whatever bit of a run directory changes, readers name the file, or read what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sealed_run import CLASSES, SHAPE, unseal, write_sealed_run

from distal.checkpoints import RESOLVED, read_checkpoint, read_losses, read_saved
from distal.errors import DistalError, RunError, StorageError
from distal.models import GAN
from distal.run.directory import CONFIG, RunDirectory, round_path
from distal.run.ledger import Ledger
from distal.run.predictions import read_predictions
from distal.run.results import read_result
from distal.run.seals import is_sealed_yaml, print_seal, read_seal, seal_yaml, tree_digest, with_digest

FLIPS = 40
"""Of each file."""

CHECKPOINT = ("generator.safetensors", "losses.json", "manifest.json")
IN_ROUND = ("query.parquet", "labels.parquet", *(f"checkpoint/{name}" for name in CHECKPOINT))
FILES = [CONFIG, *(round_path(1, name) for name in ("metrics.json", "samples.png", "COMMITTED", "predictions.parquet"))]
FILES += [round_path(round, name) for round in (1, 2) for name in IN_ROUND]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return write_sealed_run(tmp_path_factory.mktemp("sealed"))


def read(run: RunDirectory, path: str) -> Any:
    """Return what the file's own reader makes of it, in a process that has read nothing yet."""
    run = RunDirectory.open(run.storage, run.name)
    if path == CONFIG:
        saved = read_saved(run)
        return saved.config.model_dump(), {key: saved.resolved[key] for key in RESOLVED}
    round, ledger = int(path.split("/")[1]), Ledger(run, len(CLASSES))
    if path.endswith("query.parquet"):
        query = ledger.read_query(round)
        assert query is not None
        return query.row_ids.tolist(), query.scores.tolist(), query.strategy
    if path.endswith(("labels.parquet", "COMMITTED")):
        return ledger.answers(round)
    if path.endswith("metrics.json"):
        return read_result(run, round).metrics
    if path.endswith("predictions.parquet"):
        said = read_predictions(run, round)
        assert said is not None
        return said.row_ids.tolist(), said.head.tolist(), said.probe.tolist()
    if path.endswith("samples.png"):
        return run.read(path)
    files = read_checkpoint(run, round)
    state = GAN.from_files(read_saved(run).config, files, "cpu", SHAPE)
    return state.to_files(), read_losses(run, round, files)


def said_of(run: RunDirectory, path: str, expected: Any) -> str | None:
    """Return what the file is refused with, None where it reads as expected."""
    try:
        found = read(run, path)
    except DistalError as error:
        return str(error)
    return None if found == expected else "read as something else"


@pytest.mark.parametrize("path", FILES)
def test_a_flipped_bit_is_refused_by_name_or_changes_nothing(written: RunDirectory, path: str) -> None:
    assert written.local is not None
    file, expected = written.local / path, read(written, path)
    whole, rng = file.read_bytes(), np.random.default_rng(FILES.index(path))
    refused = 0
    try:
        for bit in rng.choice(8 * len(whole), FLIPS, replace=False).tolist():
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            said = said_of(written, path, expected)
            assert said is None or (file.name in said and said.count("\n") <= 2), f"bit {bit}: {said}"
            refused += said is not None
    finally:
        file.write_bytes(whole)
    assert refused > FLIPS / 2


def test_a_seal_says_which_round_it_is_of_and_whether_it_is_whole() -> None:
    seal = print_seal(7, {"query.parquet": "ab"})
    assert read_seal(7, seal) == {"query.parquet": "ab"}
    for round, data in ((8, seal), (7, seal.replace(b"ab", b"ac")), (7, b""), (7, b"round 8\n"), (7, b"[]")):
        with pytest.raises(ValueError, match=f"not the seal of round {round}"):
            read_seal(round, data)


def test_a_digest_is_of_the_values_and_not_of_their_order() -> None:
    assert tree_digest({"a": 1, "b": [2.5]}) == tree_digest(with_digest({"b": [2.5], "a": 1}))
    assert tree_digest({"a": 1}) != tree_digest({"a": 2})


def test_yaml_is_sealed_to_its_last_letter() -> None:
    text = seal_yaml("a: 1\nresolved:\n  rows: 3\n").encode()
    assert is_sealed_yaml(text)
    for changed in (text.replace(b"3", b"4"), text + b"# note\n", b"# note\n" + text, text[:-2]):
        assert not is_sealed_yaml(changed)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_sealed_run(tmp_path)


def test_a_run_from_before_seals_reads_the_same(run: RunDirectory) -> None:
    expected = {path: read(run, path) for path in FILES if not path.endswith("manifest.json")}
    unseal(run)
    for path, content in expected.items():
        found = read(run, path)
        if "checkpoint" in path:
            found, content = found[1], content[1]
        assert found == content, path


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("name", ["query.parquet", "labels.parquet"])
def test_what_was_asked_or_answered_in_a_committed_round_may_not_be_missing(
    run: RunDirectory, name: str, sealed: bool
) -> None:
    if not sealed:
        unseal(run)
    again = RunDirectory.open(run.storage, run.name)
    again.delete(round_path(1, name))
    with pytest.raises(StorageError, match=rf"rounds/0001/{name} is damaged: it is missing"):
        Ledger(again, len(CLASSES)).cost()


def test_predictions_of_a_committed_round_may_not_be_missing_where_it_had_some(run: RunDirectory) -> None:
    for round in (1, 2):
        run.delete(round_path(round, "predictions.parquet"))
    again = RunDirectory.open(run.storage, run.name)
    with pytest.raises(StorageError, match=r"rounds/0001/predictions\.parquet is damaged: it is missing"):
        read_predictions(again, 1)
    assert read_predictions(again, 2) is None
    unseal(run)
    assert read_predictions(RunDirectory.open(run.storage, run.name), 1) is None


def test_answers_whose_query_is_missing_are_damage(run: RunDirectory) -> None:
    run.delete(round_path(2, "query.parquet"))
    with pytest.raises(StorageError, match=r"rounds/0002/query\.parquet is damaged: it is missing"):
        Ledger(run, len(CLASSES)).labels()


def test_an_earlier_rounds_checkpoint_is_not_taken_for_a_later_ones(run: RunDirectory) -> None:
    for name in run.list(round_path(1, "checkpoint")):
        run.write(round_path(2, "checkpoint", name), run.read(round_path(1, "checkpoint", name)))
    with pytest.raises(RunError, match=r"rounds/0002/checkpoint/manifest\.json is missing, damaged, or of another"):
        read_checkpoint(run, 2)


def test_losses_that_are_none_are_named_though_no_manifest_knows_them(run: RunDirectory) -> None:
    for damaged in (b"", b"{", b"[]", b'{"r1": "x"}', b'{"r1": null}'):
        with pytest.raises(RunError, match=r"rounds/0002/checkpoint/losses\.json is missing"):
            read_losses(run, 2, {"losses.json": damaged})


def test_a_file_that_the_disk_spoils_before_the_commit_is_found_after_it(run: RunDirectory) -> None:
    assert run.local is not None
    path = round_path(2, "metrics.json")
    run.write(path, b"{}")
    (run.local / path).write_bytes(b"[]")
    run.commit(2)
    with pytest.raises(StorageError, match=r"rounds/0002/metrics\.json is damaged"):
        RunDirectory.open(run.storage, run.name).read(path)


def test_a_configuration_edited_by_hand_is_refused_with_the_way_to_change_it(run: RunDirectory) -> None:
    text = run.read(CONFIG)
    for edit in ((b"seed: 0", b"seed: 1"), (b"- cat\n  - dog", b"- dog\n  - cat"), (b"0.1.0", b"9.9.9")):
        assert edit[0] in text
        run.write(CONFIG, text.replace(*edit))
        with pytest.raises(RunError, match=r"config\.yaml: was changed .*\n.*distal resume .* KEY=VALUE"):
            read_saved(run)


def test_a_run_of_a_newer_distal_is_read_with_one_warning(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    text = run.read(CONFIG).decode().rpartition("  digest: ")[0]
    run.write(CONFIG, seal_yaml(text.replace("distal: 0.1.0", "distal: 9.9.9")).encode())
    for _ in range(2):
        assert read_saved(run).resolved["distal"] == "9.9.9"
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "written by distal 9.9.9" in caplog.text
