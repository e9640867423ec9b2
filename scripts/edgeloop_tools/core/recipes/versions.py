"""Semantic versions (semver.org 2.0.0) and the requirements that recipes write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from edgeloop_tools.core.recipes.errors import RecipeError

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
_TERM = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*v?(\d+(?:\.(?:\d+|[xX*]))*(?:[-+][0-9A-Za-z.+-]+)?|[*xX])", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """
    >>> Version.parse("1.10.0") > Version.parse("1.9.3") > Version.parse("1.9.3-rc.1")
    True
    """

    release: tuple[int, int, int]
    pre: str = ""

    @classmethod
    def parse(cls, text: str, where: str = "") -> Version:
        match = _VERSION.fullmatch(text.strip())
        if not match:
            raise RecipeError(f"{text!r} is no version", where=where, mend="write MAJOR.MINOR.PATCH, such as 1.0.0")
        return cls((int(match[1]), int(match[2]), int(match[3])), match[4] or "")

    def __str__(self) -> str:
        return ".".join(map(str, self.release)) + (f"-{self.pre}" if self.pre else "")

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        pre = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre.split(".") if part]
        return (self.release, not self.pre, pre)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Alternatives (`||`) of terms that must all hold. Operators: >= > < <= =, and ^ ~ * 1.x of the classic nucleus.

    >>> needs = Requirement.parse(">=1.0.0 <2.0.0")
    >>> [needs.holds(Version.parse(text)) for text in ("0.9.0", "1.0.0", "1.99.0", "2.0.0")]
    [False, True, True, False]
    """

    text: str
    alternatives: tuple[tuple[tuple[str, Version], ...], ...]

    @classmethod
    def parse(cls, text: str, where: str = "") -> Requirement:
        return cls(text, tuple(tuple(_terms(part, where)) for part in text.split("||")))

    @classmethod
    def exactly(cls, version: Version) -> Requirement:
        return cls(f"={version}", ((("=", version),),))

    def holds(self, version: Version) -> bool:
        return any(all(_holds(sign, bound, version) for sign, bound in terms) for terms in self.alternatives)

    def __str__(self) -> str:
        return self.text


def _terms(text: str, where: str) -> Iterable[tuple[str, Version]]:
    position, text = 0, text.strip().replace(",", " ").rstrip()
    while position < len(text):
        match = _TERM.match(text, position)
        if not match:
            raise RecipeError(f"{text!r} is no version requirement", where=where, mend="write such as >=1.0.0 <2.0.0")
        position = match.end()
        while position < len(text) and text[position] == " ":
            position += 1
        yield from _bounds(match[1] or "", match[2], where)


def _bounds(sign: str, text: str, where: str) -> Iterable[tuple[str, Version]]:
    core, suffix = re.fullmatch(r"([\d.xX*]+)(.*)", text).groups()  # type: ignore[union-attr]
    parts = [int(part) for part in core.split(".") if part.isdigit()]
    partial = len(parts) < 3
    low = Version.parse(".".join(map(str, [*parts, 0, 0, 0][:3])) + suffix, where)
    if not parts:
        yield ">=", low
    elif sign == "^" and not partial:
        keep = next((index for index, part in enumerate(parts) if part), 2)
        yield from ((">=", low), ("<", _next(parts, keep)))
    elif sign == "~" and not partial:
        yield from ((">=", low), ("<", _next(parts, 1)))
    elif partial and sign in ("", "=", "^", "~"):
        yield from ((">=", low), ("<", _next(parts, 0 if sign == "^" else len(parts) - 1)))
    elif partial and sign in (">", "<="):
        yield (">=" if sign == ">" else "<"), _next(parts, len(parts) - 1)
    else:
        yield sign or "=", low


def _next(parts: list[int], index: int) -> Version:
    release = [*parts[:index], parts[index] + 1, 0, 0, 0][:3]
    return Version((release[0], release[1], release[2]), "0")


def _holds(sign: str, bound: Version, version: Version) -> bool:
    if sign == ">=":
        return version >= bound
    if sign == "<=":
        return version <= bound
    if sign == ">":
        return version > bound
    return version < bound if sign == "<" else version == bound
