"""Typed access to the fields of a document, with errors that name file and field."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from edgeloop_tools.core.recipes.errors import RecipeError


class Fields:
    """A map of a recipe. `strict`: names are case-sensitive (lite); else they are not (classic)."""

    def __init__(self, value: Any, file: str, path: str, *, strict: bool) -> None:
        self.file, self.path, self.strict = file, path, strict
        if not isinstance(value, dict):
            raise self.wrong("", f"expected a map, got {_kind(value)}")
        self._value = value if strict else {str(key).lower(): entry for key, entry in value.items()}
        self.names = {str(key) for key in value}

    def where(self, name: str) -> str:
        field = ".".join(filter(None, (self.path, name)))
        return f"{self.file} field {field}" if field else self.file

    def wrong(self, name: str, why: str, mend: str = "") -> RecipeError:
        return RecipeError("the recipe is not valid", where=self.where(name), why=why, mend=mend)

    def get(self, name: str) -> Any:
        return self._value.get(name if self.strict else name.lower())

    def text(self, name: str, default: str | None = None) -> str:
        value = self.get(name)
        if value is None:
            if default is None:
                near = difflib.get_close_matches(name, self.names - _KNOWN, 1, 0.6)
                hint = f"rename {near[0]}" if near else f"add {name}"
                raise self.wrong(name, "it is missing", hint)
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.wrong(name, f"expected text, got {_kind(value)}")
        return str(value)

    def word(self, name: str, choices: Collection[str], default: str) -> str:
        value = self.text(name, default)
        chosen = value if self.strict else value.upper()
        if chosen not in choices:
            raise self.wrong(name, f"{value!r} is none of {', '.join(choices)}")
        return chosen

    def number(self, name: str) -> float | None:
        value = self.get(name)
        if value is None:
            return None
        try:
            number = float(str(value))
        except ValueError:
            raise self.wrong(name, f"{value!r} is no number of seconds") from None
        if isinstance(value, bool) or not 0 < number < 1e9:
            raise self.wrong(name, f"{value!r} is no number of seconds")
        return number

    def fields(self, name: str) -> Fields | None:
        value = self.get(name)
        if value is None:
            return None
        return Fields(value, self.file, ".".join(filter(None, (self.path, name))), strict=self.strict)

    def items(self, name: str) -> list[Fields]:
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, f"expected a list, got {_kind(value)}")
        path = ".".join(filter(None, (self.path, name)))
        return [Fields(entry, self.file, f"{path}[{n}]", strict=self.strict) for n, entry in enumerate(value)]

    def texts(self, name: str) -> dict[str, str]:
        value = self.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(name, f"expected a map of texts, got {_kind(value)}")
        for key, entry in value.items():
            if isinstance(entry, dict | list) or entry is None or (self.strict and not isinstance(entry, str)):
                raise self.wrong(f"{name}.{key}", f"expected text, got {_kind(entry)}", "put it in quotes")
        return {str(key): _text(entry) for key, entry in value.items()}


_KNOWN = frozenset(
    [
        "ComponentName",
        "ComponentVersion",
        "ComponentType",
        "ComponentDescription",
        "ComponentPublisher",
        "ComponentConfiguration",
        "ComponentDependencies",
        "RecipeFormatVersion",
        "VersionRequirement",
        "DependencyType",
        "Manifests",
        "Lifecycle",
    ]
)
"""Names that are no misspelling of another."""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {dict: "a map", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
