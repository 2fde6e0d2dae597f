import numpy as np

from distal.data.split import held_out


def test_the_split_of_a_row_depends_on_nothing_but_its_id():
    rows = np.arange(1000)
    assert np.array_equal(held_out(rows, 0.2)[::-1], held_out(rows[::-1], 0.2))


def test_about_the_asked_fraction_is_held_out():
    share = held_out(np.arange(100_000), 0.2).mean()
    assert abs(share - 0.2) < 5 * (0.2 * 0.8 / 100_000) ** 0.5
