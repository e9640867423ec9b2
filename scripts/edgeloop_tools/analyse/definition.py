"""What an analysis is: a folder with analysis.py, README.md, sample.py and its test."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from edgeloop.errors import EdgeloopError

SHIPPED: Final = Path(__file__).parent / "analyses"
TEMPLATE: Final = Path(__file__).parent / "template"
CODE: Final = "analysis.py"

INDICATORS: Final = ("indicators_1m", "indicators_1h")

Value = float | int | str
Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Its type is that of the default; bounds are inclusive; choices: of a word."""

    default: Value
    words: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """since, seen: first and last day of the data that say so, ISO 8601. evidence: figures behind the words, small.
    set: settings of the line by dotted path, such as monitors.press7.budget; one holds where the line allows it."""

    site: str
    device: str
    asset: str
    channel: str
    indicator: str
    kind: str
    severity: Severity
    words: str
    since: str
    seen: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    stream: str = ""
    set: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """A line a series: [(x, y), …]; x in days or numbers; marks: horizontal lines."""

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """rows: of the table (a pandas.DataFrame); notes: what could not be said, and why."""

    rows: Any
    findings: Sequence[Finding]
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    name: str
    folder: Path
    module: ModuleType

    @property
    def title(self) -> str:
        return str(self.module.TITLE)

    @property
    def version(self) -> str:
        return str(self.module.VERSION)

    @property
    def tables(self) -> tuple[str, ...]:
        """Of the lake, that it reads; the last one has the assets that are looked at."""
        return tuple(getattr(self.module, "TABLES", INDICATORS))

    def parameters(self, given: Sequence[str]) -> dict[str, Value]:
        """Defaults with what was given as `key=value`. Raises EdgeloopError."""
        known: Mapping[str, Parameter] = self.module.PARAMETERS
        values: dict[str, Value] = {key: parameter.default for key, parameter in known.items()}
        for text in given:
            key, sign, value = text.partition("=")
            if not sign or key not in known:
                there = ", ".join(known) or "none"
                raise EdgeloopError("no such parameter", where=self.name, why=repr(text), mend=f"KEY=VALUE of {there}")
            values[key] = _value(known[key], key, value)
        return values


def place(name: str) -> Path:
    """The folder of a shipped analysis by its name, or of one's own. Raises EdgeloopError."""
    shipped = SHIPPED / name
    folder = shipped if "/" not in name and (shipped / CODE).is_file() else Path(name)
    if not (folder / CODE).is_file():
        known = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CODE}")))
        raise EdgeloopError("no such analysis", where=name, mend=f"one of {known}, or a folder with {CODE}")
    return folder


def load(name: str) -> Analysis:
    """A shipped analysis by name, or a folder. Raises EdgeloopError."""
    folder = place(name)
    code = folder / CODE
    own = folder.resolve().name
    spec = importlib.util.spec_from_file_location(f"edgeloop_analysis_{own}", code)
    if spec is None or spec.loader is None:
        raise EdgeloopError("cannot load the analysis", where=str(code))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lacking = [key for key in ("TITLE", "VERSION", "PARAMETERS", "job", "fit") if not hasattr(module, key)]
    if lacking:
        raise EdgeloopError("not an analysis", where=str(code), why=f"lacks {', '.join(lacking)}")
    return Analysis(own, folder, module)


def make(folder: Path) -> Path:
    """The folder of an own analysis, whose test passes. Raises EdgeloopError."""
    if folder.exists():
        raise EdgeloopError("is there already", where=str(folder), mend="take another name")
    try:
        shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        readme = folder / "README.md"
        readme.write_text(readme.read_text().replace("NAME", folder.name))
        template = folder / "template_test.py"
        template.rename(folder / f"test_{folder.name}.py")
    except OSError as error:
        raise EdgeloopError("cannot make the folder", where=str(folder), why=error.strerror or "") from error
    return folder


def _value(parameter: Parameter, key: str, text: str) -> Value:
    if isinstance(parameter.default, str):
        if parameter.choices and text not in parameter.choices:
            choices = ", ".join(parameter.choices)
            raise EdgeloopError("not a value", where=f"-p {key}", why=text, mend=f"one of {choices}")
        return text
    try:
        number = type(parameter.default)(text)
    except ValueError:
        raise EdgeloopError("not a number", where=f"-p {key}", why=repr(text), mend=parameter.words) from None
    low = -float("inf") if parameter.low is None else parameter.low
    high = float("inf") if parameter.high is None else parameter.high
    if not low <= number <= high:
        raise EdgeloopError("out of bounds", where=f"-p {key}", why=text, mend=f"{low:g} to {high:g}")
    return number
