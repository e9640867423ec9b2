"""What is odd about a monitor's input, for the health line."""

from __future__ import annotations

from edgeloop.clock import NS

STANDS = 60 * NS
"""How long a note about something momentary is shown, ns."""


class InputDiagnostics:
    """Lines by key; some hold until they are taken back, some for a while.

    >>> notes = InputDiagnostics()
    >>> notes.set("channels", "s has no channel a any more"); notes.show("late", "5 samples came late", now=0)
    >>> notes.line
    's has no channel a any more; 5 samples came late'
    >>> notes.tick(STANDS); notes.set("channels", ""); notes.line
    ''
    """

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, int]] = {}

    @property
    def line(self) -> str:
        return "; ".join(text for text, _ in self._lines.values())

    def set(self, key: str, text: str) -> None:
        """Holds until it is set to nothing."""
        if text:
            self._lines[key] = text, 0
        else:
            self._lines.pop(key, None)

    def show(self, key: str, text: str, now: int) -> None:
        """now: ns UTC."""
        self._lines[key] = text, now + STANDS

    def tick(self, now: int) -> None:
        for key in [key for key, (_, until) in self._lines.items() if until and now >= until]:
            del self._lines[key]
