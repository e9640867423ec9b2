"""How long is learned."""

from __future__ import annotations

FEWEST = 20
MOST_ROWS = 100_000


def learning_rows(learn: float, step: float, least: int = 1) -> int:
    """Rows of a window of `learn` seconds, at least so many.

    >>> learning_rows(60.0, 0.1), learning_rows(60.0, 60.0, least=60)
    (600, 60)
    """
    return min(MOST_ROWS, max(FEWEST, least, round(learn / step)))
