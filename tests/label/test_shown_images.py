"""A browser gets images as they were recorded, or as PNG where it could not show them, read ahead of need."""

import io

import numpy as np
import pytest
from label_run import Pool, encoded
from PIL import Image

from distal.label import images as module
from distal.label.images import ShownImages


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def shown(pool):
    made = ShownImages(pool, 50_000_000)
    yield made
    made.close()


def test_a_png_is_sent_as_it_is_with_its_path(shown):
    found = shown.get(7)
    assert (found.data, found.media_type, found.path) == (
        encoded(np.full((8, 8), 7, np.uint8)),
        "image/png",
        "a/7.png",
    )


@pytest.mark.parametrize("row", [2, 3])
def test_what_a_browser_might_not_show_is_sent_as_png(shown, row):
    found = shown.get(row)
    image = Image.open(io.BytesIO(found.data))
    assert (found.media_type, image.format, np.unique(image).tolist()) == ("image/png", "PNG", [row])


def test_what_was_read_ahead_is_not_read_again(shown, pool):
    shown.ahead([4, 5, 6])
    shown.close()
    for row in (4, 5, 6):
        shown.get(row)
    assert pool.read == [4, 5, 6]


def test_little_memory_holds_the_last_images_alone(shown, pool, monkeypatch):
    monkeypatch.setattr(module, "HELD", 1)
    for row in (4, 5, 5, 4):
        shown.get(row)
    assert pool.read == [4, 5, 4]


def test_an_image_of_the_grid_is_small(shown, monkeypatch):
    large = encoded(np.zeros((900, 1200, 3), np.uint8), "JPEG")
    monkeypatch.setattr(Pool, "originals", lambda self, ids: [(large, "") for _ in ids])
    assert Image.open(io.BytesIO(shown.small(4).data)).size == (320, 240)
