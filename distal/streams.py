"""Draw every random number from a named, seeded, counter-based stream.

A stream is the Philox4x64 generator (Salmon et al. 2011) under a key that is a hash of the seed and the stream's name.
Nothing is carried from one draw to the next, so the numbers of step t, of round r or of row i are the same whoever
draws them, in which order, on how many workers, and after however many restarts.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import torch

Name = str | int

CHUNK = 32_768
"""Rows whose numbers are made together: 256 KiB stay in a core's cache through all twenty steps."""


def _key(seed: int, name: tuple[Name, ...], size: int) -> bytes:
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *name))
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def stream(seed: int, *name: Name) -> np.random.Generator:
    """Open the stream of this name, for example ``stream(seed, "latents", step)``.

    Two streams with different names are independent; the same name always starts at the same place.
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_key(seed, name, 16), "little")))


def normal(shape: tuple[int, ...], seed: int, *name: Name) -> torch.Tensor:
    """Draw a float32 standard normal tensor from the start of a stream, on the CPU, the same on every device."""
    return torch.from_numpy(stream(seed, *name).standard_normal(shape, dtype=np.float32))


def row_uniforms(row_ids: npt.NDArray[np.int64], seed: int, *name: Name) -> npt.NDArray[np.float64]:
    """Draw one float64 in the open interval (0, 1) for each row, a function of seed, name and row id alone.

    The row id is the counter: two rounds of the SplitMix64 finalizer (Steele, Lea, Flood 2014) under two keys. Shards
    can draw for their own rows in any order and agree with the whole pool drawn at once.
    """
    key = np.frombuffer(_key(seed, name, 16), dtype=np.uint64)
    out = np.empty(len(row_ids))
    for start in range(0, len(row_ids), CHUNK):
        z = row_ids[start : start + CHUNK].astype(np.uint64)
        for k in key:
            z ^= k
            z *= np.uint64(0x9E3779B97F4A7C15)
            z += k
            z ^= z >> np.uint64(30)
            z *= np.uint64(0xBF58476D1CE4E5B9)
            z ^= z >> np.uint64(27)
            z *= np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        z >>= np.uint64(11)
        np.add(z, 0.5, out=out[start : start + CHUNK])
    out *= 2.0**-53
    return out
