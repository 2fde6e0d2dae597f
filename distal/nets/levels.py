"""Say which sides in pixels the maps of a convolutional network have, and how many channels each level."""

COARSEST = 7
"""A side that is not halved any more: 4 for 8, 16, 32, ..., and 7 for 28, which has no other."""

FINEST = 16
"""Fewest channels of a level: below, vector units idle."""


def level_sides(image_size: int) -> list[int]:
    """Return the sides of the levels, from the coarsest to the image's own.

    >>> level_sides(32), level_sides(28)
    ([4, 8, 16, 32], [7, 14, 28])
    """
    sides = [image_size]
    while sides[-1] > COARSEST:
        sides.append(sides[-1] // 2)
    return sides[::-1]


def level_channels(width: int, side: int) -> int:
    """Return the channels of the level with this side: `width` at 16 px, doubled with every halving of the side.

    So every level costs the same arithmetic; at the fine end there are never fewer than 16 (or `width`, if smaller). A
    side between two powers of two has the channels of the larger.
    """
    return max(min(FINEST, width), width * 16 // (1 << (side - 1).bit_length()))
