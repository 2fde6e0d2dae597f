"""The sample grid and thumbnails."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from distal.report.grid import data_uri, sample_grid, thumbnail


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def _images(n: int, channels: int = 1, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, size, size), dtype=np.uint8)


def test_the_same_images_give_the_same_bytes() -> None:
    images = _images(20)
    assert sample_grid(images, 10, row_names=["a", "b"]) == sample_grid(images.copy(), 10, row_names=["a", "b"])


def test_each_pixel_becomes_a_square_of_one_value() -> None:
    images = _images(6, size=4)
    sheet = np.asarray(_opened(sample_grid(images, columns=3, scale=5)))
    step = 4 * 5 + 2
    assert sheet.shape == (2 * step + 2, 3 * step + 2)
    second_row_third_column = sheet[2 + step : 2 + step + 20, 2 + 2 * step : 2 + 2 * step + 20]
    assert np.array_equal(second_row_third_column, np.kron(images[5, 0], np.ones((5, 5), np.uint8)))


def test_colour_stays_colour() -> None:
    images = _images(2, channels=3, size=16)
    sheet = np.asarray(_opened(sample_grid(images, columns=2, scale=1)))
    assert np.array_equal(sheet[2:18, 2:18], images[0].transpose(1, 2, 0))


def test_a_short_last_row_is_left_blank() -> None:
    sheet = np.asarray(_opened(sample_grid(_images(3), columns=2, scale=2)))
    assert (sheet[20:36, 20:36] == 255).all()


def test_row_names_stand_in_a_gutter_and_long_ones_are_cut() -> None:
    bare = _opened(sample_grid(_images(4), columns=2))
    named = _opened(sample_grid(_images(4), columns=2, row_names=["rust", "a very long name " * 20]))
    assert bare.width < named.width <= bare.width + 180
    assert named.height == bare.height


def test_row_names_are_left_out_where_rows_are_too_low() -> None:
    tiny = _images(4)
    assert sample_grid(tiny, 2, scale=1, row_names=["a", "b"]) == sample_grid(tiny, 2, scale=1)


def test_names_in_any_script_and_empty_ones_are_drawn() -> None:
    assert sample_grid(_images(4), 1, row_names=["", "Röst", "ржавчина", "<b>$x$\n"])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 2, 8, 8), np.uint8),
        np.zeros((0, 1, 8, 8), np.uint8),
        np.zeros((2, 1, 8, 8)),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        sample_grid(images, 2)


def test_row_names_must_fit_the_rows() -> None:
    with pytest.raises(ValueError, match="make 2 rows; got 3 row names"):
        sample_grid(_images(4), 2, row_names=["a", "b", "c"])


def test_a_thumbnail_holds_the_pixels_themselves() -> None:
    image = _images(1, channels=3)[0]
    uri = thumbnail(image)
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    png = base64.b64decode(body)
    assert data_uri(png) == uri
    assert np.array_equal(np.asarray(_opened(png)), image.transpose(1, 2, 0))
