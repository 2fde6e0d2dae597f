"""A tree of plain values is what its YAML says, and overrides change what they name and nothing beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest
from pydantic import BaseModel

from distal.config import Config
from distal.errors import ConfigError
from distal.resolve import read_config
from distal.sweep.config import SweepConfig
from distal.sweep.resolve import check_sweep, read_sweep
from distal.tree import apply_override, read_yaml


def mappings(section: BaseModel, prefix: str = "") -> Iterator[str]:
    """Find the keys that hold mappings; by value, for the section `model` is that of its kind."""
    for name, field in type(section).model_fields.items():
        if isinstance(value := getattr(section, name), BaseModel):
            yield from mappings(value, f"{prefix}{name}.")
        elif get_origin(field.annotation) is dict:
            yield prefix + name


def at(tree: dict[str, Any], key: str) -> dict[str, Any]:
    for part in key.split("."):
        tree = tree[part]
    return tree


MAPPINGS = sorted(mappings(Config()))


def test_the_mappings_of_the_tree_are_found() -> None:
    assert {"model.regularizers", "oracle.cost"} <= set(MAPPINGS)


@pytest.mark.parametrize("file", [None, "rounds: 3", "train:\noracle:\nrounds: 3"])
@pytest.mark.parametrize("key", MAPPINGS)
@pytest.mark.parametrize(("root", "prefix"), [(Config, ""), (SweepConfig, "base.")])
def test_a_mappings_other_entries_stay_when_one_is_overridden(
    root: type[BaseModel], prefix: str, key: str, file: str | None, tmp_path: Path
) -> None:
    (tmp_path / "file.yaml").write_text(file or "")
    tree = read_yaml(tmp_path / "file.yaml")
    tree = {"base": tree} if prefix else tree
    usual = at(Config().model_dump(mode="json"), key)
    for name in ("one", "two"):
        apply_override(tree, f"{prefix}{key}.{name}=0.1", root)
    assert at(tree, prefix + key) == {**usual, "one": 0.1, "two": 0.1}


def test_a_run_and_a_sweeps_base_keep_the_penalty_that_is_not_named(tmp_path: Path) -> None:
    assert read_config(None, ["model.regularizers.r1=0.1"]).model.regularizers == {"r1": 0.1, "r2": None}
    (tmp_path / "sweep.yaml").write_text("space: {query.strategy: [margin, badge]}\nbase: {rounds: 3}\n")
    base, *_ = check_sweep(read_sweep(tmp_path / "sweep.yaml", ["base.model.regularizers.r1=0.1"]))
    assert base.model.regularizers == {"r1": 0.1, "r2": None}


def test_a_mapping_in_a_file_stands_for_the_whole(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model: {regularizers: {r1: 0.5}}\n")
    assert read_config(tmp_path / "run.yaml").model.regularizers == {"r1": 0.5}


@pytest.mark.parametrize("text", ["rounds: 3\nname: a\nrounds: 4\n", "query: {batch: 3, batch: 4}\n"])
def test_a_key_that_stands_twice_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml.*'(rounds|batch)' stands there twice.* line") as refused:
        read_config(tmp_path / "run.yaml")
    assert len(str(refused.value).splitlines()) <= 3
    with pytest.raises(ConfigError, match="not a YAML value"):
        read_config(None, ["oracle.cost={a: 1, a: 2}"])


@pytest.mark.parametrize("text", ["/a/b #x", "#x", "[a, b] # c"])
def test_a_value_that_yaml_would_cut_at_a_comment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"storage: .* is cut where YAML begins a comment"):
        read_config(None, [f"storage={text}"])


@pytest.mark.parametrize("text", ["/a/b#x", '"/a/b #x"', "'#'"])
def test_a_hash_that_begins_no_comment_is_kept(text: str) -> None:
    assert read_config(None, [f"storage={text}"]).storage == text.strip("\"'")
