"""Say numbers, times and counts as a reader of the report expects them."""


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
