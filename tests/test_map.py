"""map.parquet: read as it was written, damage named."""

from pathlib import Path

import numpy as np
import pytest

from distal.errors import StorageError
from distal.run.directory import RunDirectory
from distal.run.map import MAP, PoolMap, read_map, write_map


def drawn() -> PoolMap:
    return PoolMap(np.array([3, 8]), np.array([[0.5, -1.0], [0.25, 1.0]], dtype=np.float32), np.array([True, True]))


def test_a_map_is_read_as_it_was_written_with_its_rows_in_order(tmp_path: Path) -> None:
    run = RunDirectory.open(str(tmp_path), "r")
    assert read_map(run) is None
    write_map(run, drawn().with_rows(np.array([5]), np.array([[0.0, 0.75]], dtype=np.float32)))
    found = read_map(run)
    assert found is not None
    assert found.row_ids.tolist() == [3, 5, 8]
    assert found.places.tolist() == [[0.5, -1.0], [0.0, 0.75], [0.25, 1.0]]
    assert found.sample.tolist() == [True, False, True]


@pytest.mark.parametrize("damage", [b"", b"PAR1", None], ids=["empty", "cut", "no place"])
def test_damage_is_named(tmp_path: Path, damage: bytes | None) -> None:
    run = RunDirectory.open(str(tmp_path), "r")
    if damage is None:
        write_map(run, PoolMap(np.array([1]), np.array([[np.nan, 0.0]], dtype=np.float32), np.array([True])))
    else:
        run.write(MAP, damage)
    with pytest.raises(StorageError, match=r"map\.parquet is damaged: "):
        read_map(run)
