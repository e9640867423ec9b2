"""The text of a recipe file, YAML or JSON, as a document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from edgeloop_tools.core.recipes.errors import RecipeError


class _Classic(yaml.SafeLoader):
    """YAML as the classic nucleus reads it: only true and false are booleans, dates are text."""


_Classic.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Classic.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false|True|False|TRUE|FALSE"), list("tTfF"))


class _Lite(yaml.BaseLoader):
    """YAML as nucleus lite reads it: every scalar is text."""


def load(text: bytes, path: Path, *, lite: bool) -> Any:
    """Raises RecipeError with the line of a syntax error."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise RecipeError("cannot read the recipe", where=str(path), why=f"byte {error.start} is no UTF-8") from None
    if path.suffix.lower() == ".json":
        try:
            return json.loads(decoded)
        except (ValueError, RecursionError) as error:
            raise RecipeError("cannot read the recipe", where=str(path), why=f"no JSON: {error}") from None
    try:
        return yaml.load(decoded, _Lite if lite else _Classic)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path} line {mark.line + 1}" if mark else str(path)
        raise RecipeError("cannot read the recipe", where=where, why=f"no YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError("cannot read the recipe", where=str(path), why=f"no YAML: {error}") from None
