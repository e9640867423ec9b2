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


def adapting_rows(adapt: float, step: float) -> int:
    """Rows after which a state that lasts is a new normal; 0: never.

    >>> adapting_rows(3600.0, 60.0), adapting_rows(0.0, 60.0)
    (60, 0)
    """
    return max(1, round(adapt / step)) if adapt else 0
