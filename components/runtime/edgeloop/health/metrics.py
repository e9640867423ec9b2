"""Metrics on disk in CloudWatch's Embedded Metric Format, one JSON object a line, rotated and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from edgeloop.documents import encode

NAMESPACE: Final = "Edgeloop"
_MOST: Final = 100
"""The format's limit of metrics in one object."""


class MetricFiles:
    """`<name>.emf` and its predecessors `<name>.emf.1` … below a folder: `files` of at most `size` bytes each."""

    def __init__(
        self,
        folder: Path,
        name: str,
        dimensions: Mapping[str, str],
        *,
        size: int = 1 << 20,
        files: int = 4,
        on_problem: Callable[[str, str | None], None] = lambda key, line: None,
    ) -> None:
        self._folder, self._path = folder, folder / f"{name}.emf"
        self._dimensions, self._size, self._files = dict(dimensions), size, files
        self._on_problem = on_problem

    def write(self, time: int, counts: Mapping[str, int], gauges: Mapping[str, float]) -> None:
        """Appends one moment: counts since the moment before and gauges as they stand. `time` in ns UTC.

        A disk that refuses is a problem reported, never an error.
        """
        metrics: list[tuple[str, str, float]] = [(name, "Count", value) for name, value in counts.items()]
        metrics += [(name, "None", value) for name, value in gauges.items()]
        lines = b"".join(self._line(time, metrics[i : i + _MOST]) for i in range(0, len(metrics), _MOST))
        if not lines:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rotate(len(lines))
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            self._on_problem("metrics", f"metrics are not written ({self._path}): {error.strerror or error}")
        else:
            self._on_problem("metrics", None)

    def _line(self, time: int, metrics: list[tuple[str, str, float]]) -> bytes:
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit, _ in metrics],
        }
        document: dict[str, Any] = {"_aws": {"Timestamp": time // 1_000_000, "CloudWatchMetrics": [directive]}}
        document |= self._dimensions
        document |= {name: value for name, _, value in metrics}
        return encode(document) + b"\n"

    def _rotate(self, more: int) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size + more <= self._size:
            return
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)
