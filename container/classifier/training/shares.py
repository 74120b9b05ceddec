"""Shares of counted images, in words with their number and interval: 97.2 % of 4 photos is not 97.2 % of 4,000."""

import math

from classifier.words import percent, plural

# Of the normal distribution: 95 % lie within so many standard deviations of the mean.
DEVIATIONS = 1.96


def interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's interval, which has the true share with a probability of 95 %, for a `share` of `n` images."""
    if n == 0:
        return 0.0, 1.0
    square = DEVIATIONS**2 / n
    middle = (share + square / 2) / (1 + square)
    half = DEVIATIONS * math.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def words(share: float, n: int) -> str:
    """Return a share in words, such as "97.2 % of 179 images (95 %: 94 to 99)"."""
    return f"{percent(share, 1)} of {plural(n, 'image')} {between(share, n)}"


def between(share: float, n: int) -> str:
    """Return the interval of a share in words, such as "(95 %: 94 to 99)"."""
    low, high = interval(share, n)
    return f"(95 %: {100 * low:.0f} to {100 * high:.0f})"


def are_equal(one: float, other: float, n: int) -> bool:
    """Return whether `n` images cannot tell these two shares of them apart."""
    return n > 0 and abs(one - other) <= DEVIATIONS * math.sqrt((one * (1 - one) + other * (1 - other)) / n)
