"""Name keys, values and scores of a sweep for people, in the report's sentences, tables and figures."""

from typing import Any

import yaml

from distal.metrics.fd import FD
from distal.metrics.registry import DISTANCE, is_share, score_title
from distal.report.wording import number, percent

NOT_SET = "not set"
"""What stands for the value of a conditional key in a trial that does not have it."""


def shown(value: Any) -> str:
    """Return a value as a person would write it into a configuration, numbers to three digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number(value, 3)
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.strip().removesuffix("\n...")


def one_line(text: str, most: int = 24) -> str:
    """Return a text in one line of at most `most` characters, without those that cannot be drawn."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def metric_title(metric: str, extractor: str) -> str:
    """Return the name in words of the score that a sweep compares."""
    return score_title(FD.score_name(extractor) if metric == DISTANCE else metric)


def score(metric: str, value: float | None) -> str:
    """Return a value of the metric: a share as a percentage, a distance as a number."""
    return percent(value) if is_share(metric) else number(value)
