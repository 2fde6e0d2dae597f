import numpy as np

from distal.config import EvaluateConfig
from distal.data.split import held_out, holdout_fraction


def test_the_split_of_a_row_depends_on_nothing_but_its_id():
    rows = np.arange(1000)
    assert np.array_equal(held_out(rows, 0.2)[::-1], held_out(rows[::-1], 0.2))


def test_about_the_asked_fraction_is_held_out():
    share = held_out(np.arange(100_000), 0.2).mean()
    assert abs(share - 0.2) < 5 * (0.2 * 0.8 / 100_000) ** 0.5


def test_a_large_pool_keeps_ten_thousand_rows_and_a_small_one_a_part():
    own = EvaluateConfig()
    assert holdout_fraction(own, 1_000_000) == 0.01
    assert holdout_fraction(own, 1797) == 0.3
    assert holdout_fraction(EvaluateConfig(holdout=0.1), 1797) == 0.1
    assert holdout_fraction(EvaluateConfig(path="held-out.parquet"), 1797) == 0.0
