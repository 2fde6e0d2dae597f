import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from data_pools import noise, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from distal.data.decode import DecodeSpec, UndecodableError, decode


def _spec(size=8, channels=1, fit="resize", normalize="none", max_pixels=10**6):
    return DecodeSpec(size, channels, fit, normalize, max_pixels)


def _encoded(image, fmt="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=fmt, **options)
    return buffer.getvalue()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), fit=st.sampled_from(["resize", "crop", "pad"]), colour=st.booleans())
def test_an_image_of_the_right_size_keeps_every_bit(seed, fit, colour):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3) if colour else (8, 8), dtype=np.uint8)
    found = decode(png(pixels), _spec(channels=3 if colour else 1, fit=fit))
    assert np.array_equal(found, pixels.transpose(2, 0, 1) if colour else pixels[None])


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    fit=st.sampled_from(["resize", "crop", "pad"]),
    normalize=st.sampled_from(["none", "autocontrast"]),
    channels=st.sampled_from([1, 3]),
)
def test_any_shape_comes_out_in_the_asked_one(width, height, fit, normalize, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = decode(png(pixels), _spec(16, channels, fit, normalize))
    assert (found.shape, found.dtype) == ((channels, 16, 16), np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr"])
def test_every_mode_shows_the_same_white(mode):
    white = {"I;16": 65535, "I": 65535, "F": 1.0}.get(mode)
    image = Image.new("RGB", (8, 8), "white").convert(mode) if white is None else Image.new(mode, (8, 8), white)
    fmt = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "TIFF"
    assert decode(_encoded(image, fmt), _spec(channels=3)).min() >= 254


def test_sixteen_bits_are_scaled_and_stretched_at_full_depth():
    values = np.array([[0, 257, 4095, 65535]] * 4, dtype=np.uint16)
    assert decode(png(values), _spec(4))[0, 0].tolist() == [0, 1, 16, 255]
    deep = np.linspace(0, 400, 64).astype(np.uint16).reshape(8, 8)
    assert len(np.unique(decode(png(deep), _spec(normalize="autocontrast")))) == 64


def test_a_large_deep_image_takes_a_few_bytes_a_pixel():
    deep = png(np.arange(2**22, dtype=np.uint32).astype(np.uint16).reshape(2048, 2048))
    spec = _spec(32, max_pixels=2**22)
    expected = decode(deep, spec)
    tracemalloc.start()
    try:
        assert np.array_equal(decode(deep, spec), expected)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("normalize", ["none", "autocontrast"])
def test_a_deep_image_is_scaled_alike_in_strips_and_whole(monkeypatch, normalize):
    values = np.random.default_rng(0).integers(0, 2**32 - 1, (50, 30), dtype=np.int64) - 2**31
    image = _encoded(Image.fromarray(values.astype(np.int32)), "TIFF")
    whole = decode(image, _spec(20, normalize=normalize))
    monkeypatch.setattr("distal.data.decode._STRIP_PIXELS", 100)
    assert np.array_equal(decode(image, _spec(20, normalize=normalize)), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_wherever_they_are(bad):
    values = np.zeros((50, 30), dtype=np.float32)
    values[33, 7] = bad
    with pytest.raises(UndecodableError, match="not finite"):
        decode(_encoded(Image.fromarray(values), "TIFF"), _spec())


def test_transparency_lies_over_black():
    pixels = np.full((8, 8, 4), 200, np.uint8)
    pixels[:4, :, 3] = 0
    pixels[4:, :, 3] = 255
    assert decode(png(pixels), _spec())[0, [0, 7], 0].tolist() == [0, 200]


def test_padding_is_black_and_centred_also_with_contrast():
    found = decode(png(np.full((4, 8), 90, np.uint8)), _spec(fit="pad"))[0]
    assert found[:, 0].tolist() == [0, 0, 90, 90, 90, 90, 0, 0]
    flat = decode(png(np.full((4, 8), 90, np.uint8)), _spec(fit="pad", normalize="autocontrast"))[0]
    assert np.array_equal(found, flat)


def test_a_crop_takes_the_middle():
    pixels = np.tile(np.arange(16, dtype=np.uint8), (8, 1))
    assert decode(png(pixels), _spec(fit="crop"))[0, 0].tolist() == list(range(4, 12))


def test_an_animation_gives_its_first_frame():
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    data = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(decode(data, _spec())).tolist() == [10]


def test_a_photo_is_turned_upright_by_its_orientation():
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels = noise(1)[0]
    assert np.array_equal(decode(_encoded(Image.fromarray(pixels), exif=exif), _spec())[0], pixels[::-1, ::-1])


def _bomb(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (None, "holds no bytes"),
        (b"", "holds no bytes"),
        (b"not an image", "is no image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image of a known format"),
        (png(noise(1, 40)[0])[:900], "cannot be decoded"),
        (_bomb(2000, 2000), "declares 2000 x 2000 pixels, more than pool.max_pixels = 1000000"),
        (_bomb(60000, 60000), "declares too many pixels"),
        (_encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"), "not finite"),
    ],
)
def test_what_cannot_be_decoded_says_why(data, match):
    with pytest.raises(UndecodableError, match=match):
        decode(data, _spec())


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(0, 10**6), junk=st.binary(min_size=1, max_size=12), fmt=st.sampled_from(["PNG", "JPEG", "GIF"])
)
def test_damaged_bytes_give_an_image_or_a_reason_and_never_another_error(place, junk, fmt):
    data = bytearray(_encoded(Image.fromarray(noise(1, 24)[0]), fmt))
    place %= len(data)
    data[place : place + len(junk)] = junk
    try:
        found = str(decode(bytes(data), _spec()).shape)
    except UndecodableError as error:
        found = str(error)
    assert "\n" not in found
