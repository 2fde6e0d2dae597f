"""Prove whether generated images pay: a classifier with and without them, tested on held-out images."""

from distal.prove.arms import Evidence, Examples
from distal.prove.gate import Proof, prove
from distal.prove.verdict import describe, to_json

__all__ = ["Evidence", "Examples", "Proof", "describe", "prove", "to_json"]
