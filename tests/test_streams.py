import numpy as np
import pytest

from distal.streams import normal, row_uniforms, stream


def test_the_same_name_gives_the_same_numbers_and_another_name_others() -> None:
    first, again = stream(7, "latents", 3).random(5), stream(7, "latents", 3).random(5)
    assert (first == again).all()
    for other in (stream(8, "latents", 3), stream(7, "rows", 3), stream(7, "latents", 4), stream(7, "latents", "3")):
        assert not (first == other.random(5)).any()


def test_names_cannot_be_confused_by_joining_their_parts() -> None:
    assert stream(0, "ab", "c").random() != stream(0, "a", "bc").random()


def test_a_row_has_the_same_uniform_alone_and_among_others() -> None:
    rows = np.array([5, 0, 2**62, 17], dtype=np.int64)
    together = row_uniforms(rows, 3, "holdout")
    alone = [row_uniforms(rows[i : i + 1], 3, "holdout")[0] for i in range(len(rows))]
    assert (together == alone).all()


@pytest.mark.parametrize("name", ["a", "b"])
def test_row_uniforms_are_uniform_and_uncorrelated(name: str) -> None:
    n = 200_000
    u = row_uniforms(np.arange(n, dtype=np.int64), 0, name)
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    chi_square = ((counts - n / 20) ** 2 / (n / 20)).sum()
    assert chi_square < 43.8  # the 0.999 quantile of chi-square with 19 degrees of freedom
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 4 / np.sqrt(n)
    assert u.min() > 0.0
    assert u.max() < 1.0


def test_normal_is_standard_normal() -> None:
    z = normal((100_000,), 0, "z")
    assert abs(float(z.mean())) < 4 / np.sqrt(len(z))
    assert abs(float(z.var()) - 1) < 4 * np.sqrt(2 / len(z))
