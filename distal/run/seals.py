"""Digests of what is written, so that whoever reads it back learns that it has changed since.

A committed round's files are sealed by their SHA-256 in COMMITTED. A file that says of itself what it held carries a
digest: the JSON of a manifest or a seal as its key `digest`, config.yaml as its last line.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"
ROUND_FILES = (
    *("query.parquet", "labels.parquet", "metrics.json", "samples.png"),
    *("predictions.parquet", "corrections.parquet", "generated.parquet"),
)
"""What a committed round holds beside the files of its folder checkpoint."""

_LAST_LINE = f"\n  {DIGEST}: ".encode()


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def tree_digest(tree: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what JSON can hold, whatever the order of its keys, and without the key `digest`."""
    content = {key: value for key, value in tree.items() if key != DIGEST}
    return sha256(json.dumps(content, sort_keys=True).encode())


def with_digest(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree and its digest."""
    return {**tree, DIGEST: tree_digest(tree)}


def print_seal(round: int, digests: Mapping[str, str]) -> bytes:
    """Write COMMITTED: the SHA-256 of each file of a round by its name."""
    return (json.dumps(with_digest({"round": round, "sha256": dict(digests)}), indent=1) + "\n").encode()


def read_seal(round: int, data: bytes) -> dict[str, str]:
    """Return the SHA-256 of each file of a round by its name; empty ones where a version before seals committed it.

    Raises:
        ValueError: it is no seal of this round.
    """
    if data == f"round {round}\n".encode():
        return dict.fromkeys(ROUND_FILES[:3], "")
    try:
        seal = json.loads(data)
        whole = seal["round"] == round and seal[DIGEST] == tree_digest(seal)
        digests: dict[str, str] = seal["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"not the seal of round {round}")
    return digests


def seal_yaml(text: str) -> str:
    """Return YAML that ends in a mapping at the second level, and there, as its last line, the digest of the rest."""
    return f"{text}  {DIGEST}: {sha256(text.encode())}\n"


def is_sealed_yaml(data: bytes) -> bool:
    """Say whether YAML ends in the digest of what stands before."""
    text, _, digest = data.rpartition(_LAST_LINE)
    return digest.decode(errors="replace") == sha256(text + b"\n") + "\n"
