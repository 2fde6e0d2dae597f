"""Names of rows, and the grid of real images."""

import io

import numpy as np
from PIL import Image

from distal.report.rows import legend, real_grid, row_names


def test_a_name_that_the_font_cannot_show_gives_way_to_its_number() -> None:
    assert row_names(("Röst", "ржавчина", "猫", "שלום")) == ["Röst", "ржавчина", "#2", "#3"]
    assert row_names(("猫", "dog"), [1, 0, 0]) == ["dog", "#0", "#0"]
    assert legend(("cat", "猫")) == "In the pictures #1 is 猫."
    assert legend(("cat", "dog")) == ""


def test_real_images_stand_in_the_row_of_their_class_and_missing_ones_are_white() -> None:
    labels = np.array([1, 0, 1, -1, *[0] * 30])
    pixels = np.where(labels == 0, 60, 120).astype(np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(real_grid(lambda p: pixels[p], labels, ("a", "b")))))
    right = sheet[:, -500:]  # ten cells of 48 pixels and their gaps
    assert (right[26, 24::50] == 60).all()
    assert right[76, 24::50].tolist() == [120, 120, *[255] * 8]


def test_without_labels_real_images_are_drawn_unnamed() -> None:
    pixels = np.full((25, 1, 8, 8), 60, np.uint8)
    picture = Image.open(io.BytesIO(real_grid(lambda p: pixels[p], np.full(25, -1), ("a", "b"))))
    assert picture.size == (502, 102)
