"""Cross-validation: a model for each fold, none of whose labels it saw; the table; what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_pools import noise, png, write_pool

from distal.cli import validate
from distal.cli.validate import Spread, describe, validate_config
from distal.config import Config
from distal.errors import ConfigError
from distal.train import TrainingRows


@pytest.fixture
def config(small_config: Callable[..., Config], tmp_path: Path) -> Callable[..., Config]:
    """Return what makes a configuration whose evaluation trains nothing: other images, without labels, as pixels."""
    (tmp_path / "other").mkdir()
    other = write_pool(tmp_path / "other/images.parquet", [png(image) for image in noise(60)])

    def make(**sections: Any) -> Config:
        evaluate = {"path": str(other), "label_column": None, "extractor": "pixels"}
        return small_config(evaluate=evaluate, net={"width": 4}, query={"batch": 15, **sections}, classifier="head")

    return make


def test_each_model_learns_from_all_folds_but_one_and_its_scores_are_put_into_a_table(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainingRows] = []

    class Spy(TrainingRows):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            seen.append(self)

    monkeypatch.setattr(validate, "TrainingRows", Spy)
    c = config()
    said: list[str] = []
    text = validate_config(c, 3, None, said.append)
    learned = [set(rows.labeled_ids.tolist()) for rows in seen]
    everything = set.union(*learned)
    assert len(everything) == 30, "as many as two rounds of 15 would ask for"
    left_out = [everything - each for each in learned]
    assert [len(each) for each in left_out] == [10, 10, 10]
    assert set.union(*left_out) == everything
    assert all(not rows.usable(np.array(sorted(out))).any() for rows, out in zip(seen, left_out, strict=True))
    assert said[-1] == "fold 3 of 3: 8 updates with 20 labels"
    written = json.loads((Path(c.storage) / c.name / "validate.json").read_text())
    scores = written["scores"]
    assert {"accuracy_left_out", "accuracy_left_out_balanced", "fd_pixels"} <= set(scores)
    values = scores["fd_pixels"]["values"]
    assert scores["fd_pixels"]["mean"] == pytest.approx(np.mean(values))
    assert scores["fd_pixels"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert "3 folds of 30 labels, model.kind=gan, 8 updates each" in text


def test_labels_that_were_given_are_the_ones_that_count(config: Callable[..., Config], tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("row_id,label\n" + "".join(f"{row},{row % 2}\n" for row in range(8)))
    assert "2 folds of 8 labels, model.kind=gan, 1 updates" in validate_config(
        config(labels=str(mine)), 2, 1, lambda text: None
    )


def test_too_few_labels_are_refused_before_anything_is_trained(config: Callable[..., Config], tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("row_id,label\n0,1\n1,2\n")
    with pytest.raises(ConfigError, match="5 folds cannot be made of 2 labels of 2 classes"):
        validate_config(config(labels=str(mine)), 5, 1, lambda text: None)


def test_a_score_that_a_fold_lacks_has_no_mean() -> None:
    table = {"fd": Spread.of([2.0, None]), "accuracy": Spread.of([0.5, 1.0])}
    assert describe(table).splitlines()[1:] == [
        f"fd        {'-':>9}  {'-':>9}  2  -",
        f"accuracy  {0.75:9}  {0.3536:9}  0.5  1",
    ]
