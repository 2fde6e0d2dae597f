"""Read and write encrypted Parquet files (modular encryption, AES-GCM) under keys that only the environment holds.

A key is never part of what is written, sent, logged or said: each process looks for it where it needs it. One key
encrypts a file's footer and all its columns (uniform encryption), as `pyarrow.parquet.encryption` writes it by
`create_encryption_properties`; a file in which each column has its own key is refused.
"""

import binascii
import logging
import os
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distal.errors import PoolError

log = logging.getLogger(__name__)

KEYS = "DISTAL_PARQUET_KEYS"
"""The variable that holds the keys: hexadecimal or base64, several by commas; the first one encrypts."""

ENCRYPTED = b"PARE"
"""How a Parquet file ends whose footer is encrypted."""


def keys() -> list[bytes]:
    """Return the keys that the environment holds, of 16, 24 or 32 bytes each. PoolError where one is no key."""
    given = [text.strip() for text in os.environ.get(KEYS, "").split(",") if text.strip()]
    read = [_read(text) for text in given]
    for number, key in enumerate(read, start=1):
        if key is None:
            raise PoolError(
                f"{KEYS}: key {number} of {len(read)} is no key.\n"
                "Expected 16, 24 or 32 bytes in hexadecimal or base64; several are separated by commas."
            )
    return [key for key in read if key is not None]


def open_parquet(stream: Any, name: str, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file, encrypted or not, from a seekable pyarrow stream; name: of the file, for messages.

    Raises:
        PoolError: the file is encrypted, and no key of the environment opens it. OSError, pa.ArrowException: as
            `pq.ParquetFile` does.
    """
    size = stream.size()
    stream.seek(max(0, size - len(ENCRYPTED)))
    encrypted = stream.read(len(ENCRYPTED)) == ENCRYPTED
    stream.seek(0)
    if not encrypted:
        return pq.ParquetFile(stream, **options)
    known = keys()
    if not known:
        raise PoolError(
            f"{name} is encrypted, and there is no key in the environment of this process.\n"
            f"Set {KEYS} here and on every node: 16, 24 or 32 bytes in hexadecimal or base64."
        )
    for key in known:
        try:
            return pq.ParquetFile(stream, decryption_properties=_modular().create_decryption_properties(key), **options)
        except (OSError, pa.ArrowException, ValueError):  # another key's: the footer is authenticated
            stream.seek(0)
    raise PoolError(
        f"{name} is encrypted, and none of the {len(known)} key(s) in {KEYS} opens it.\n"
        "Expected the one key that encrypts its footer and all its columns (uniform encryption)."
    )


def encryption() -> Any:
    """Return what makes a `pq.ParquetWriter` encrypt, by the first key. PoolError where the environment holds none."""
    known = keys()
    if not known:
        raise PoolError(f"Cannot encrypt: there is no key in the environment.\nSet {KEYS}, see docs/privacy.md.")
    return _modular().create_encryption_properties(known[0])


@cache
def warn_of_copies(folder: str) -> None:
    """Say once in a process what of an encrypted pool can be read without a key. folder: of decoded images."""
    log.warning(
        "the pool is encrypted; its decoded images and their features are not, in %s: name a folder in memory or on an "
        "encrypted disk (pool.cache on each node; --out of `distal data prepare`)",
        folder,
    )


_FORMS: tuple[Callable[[str], bytes], ...] = (bytes.fromhex, lambda given: b64decode(given, validate=True))


def _read(text: str) -> bytes | None:
    for decode in _FORMS:
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) in (16, 24, 32):
            return key
    return None


def _modular() -> Any:
    """Return pyarrow's module of encryption, which is loaded where it is needed. PoolError where it lacks what is."""
    try:
        import pyarrow.parquet.encryption as modular
    except ImportError as error:
        raise PoolError(f"This pyarrow ({pa.__version__}) was built without encryption.\nInstall its wheel.") from error
    if not hasattr(modular, "create_decryption_properties"):
        raise PoolError(f"pyarrow {pa.__version__} takes no key by itself.\nExpected pyarrow 26 for encrypted files.")
    return modular
