"""Say numbers, times and the names of scores as a reader of the report expects them."""

import re

_SHARES = {
    "accuracy": "Accuracy of the classifier head",
    "accuracy_balanced": "Accuracy of the head, mean of classes",
    "agreement": "Agreement with the class asked",
    "agreement_class": "Agreement of class",
}


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with at most `digits` significant digits and grouped thousands: 3,072 or 4.71 or 0.0123."""
    if value is None or value != value:
        return "–"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" in text or "." not in text else text.rstrip("0").rstrip(".")


def percent(share: float | None) -> str:
    """Return a share between 0 and 1 as a percentage with one decimal."""
    return "–" if share is None or share != share else f"{100 * share:.1f}%"


def duration(seconds: float | None) -> str:
    """Return a duration in its natural units: 0.42 s, 13.2 s, 2 min 05 s, 3 h 20 min, 2 d 4 h."""
    if seconds is None or not abs(seconds) < float("inf"):
        return "–"
    if seconds < 59.95:
        return f"{number(seconds, 3 if seconds >= 1 else 2)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def duration_unit(longest: float) -> tuple[str, float]:
    """Return the unit to draw durations in, and its seconds."""
    if longest >= 2 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if longest >= 120 else ("seconds", 1.0)


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: 1 label, 1,200 labels."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def is_share(name: str) -> bool:
    """Say whether a score is a share between 0 and 1, shown as a percentage."""
    return name in _SHARES


def score_title(name: str) -> str:
    """Return a score's name in words: fid is FID, fd_pool-cnn is Fréchet distance (pool-cnn)."""
    if is_share(name):
        return _SHARES[name]
    for suffix, words in (
        ("_class_mean", ", mean of classes"),
        ("_class_worst", ", worst class"),
        ("_class", " of class"),
        ("_floor", ", real from real images"),
    ):
        if name.endswith(suffix):
            return score_title(name.removesuffix(suffix)) + words
    if name in ("fid", "kid"):
        return name.upper()
    for prefix, words in (("fd_", "Fréchet distance"), ("kd_", "Kernel distance")):
        if name.startswith(prefix):
            return f"{words} ({name.removeprefix(prefix)})"
    return name


def short_title(name: str) -> str:
    """Return a score's name in words without its extractor, for places that name the extractor elsewhere."""
    return re.sub(r" \([^)]*\)", "", score_title(name))
