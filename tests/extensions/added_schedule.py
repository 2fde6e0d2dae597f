"""A schedule that a package could add: half the rate from half-way on."""


def halved(done: float) -> float:
    """Return 1, then 1/2."""
    return 1.0 if done < 0.5 else 0.5
