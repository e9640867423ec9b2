"""The configuration tables of the components' READMEs, between their markers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edgeloop.config import reference
from edgeloop.config.declaration import Declaration
from edgeloop_tools.build.components import folder

BEGIN, END = "<!-- configuration -->", "<!-- /configuration -->"


def readme(declaration: Declaration[Any]) -> Path:
    return folder(declaration) / "README.md"


def filled(declaration: Declaration[Any]) -> str | None:
    """The README's text with a fresh table, or None where it has no markers."""
    path = readme(declaration)
    text = path.read_text() if path.is_file() else ""
    if BEGIN not in text:
        return None
    pattern = re.compile(f"{re.escape(BEGIN)}.*?({re.escape(END)}|$(?![\\s\\S]))", re.S)
    table = f"{BEGIN}\n{rows(declaration.configuration)}{END}"
    return pattern.sub(lambda _: table, text, count=1)


def rows(configuration: type) -> str:
    lines = ["| key | type | default | bounds | what |", "|---|---|---|---|---|"]
    for field in reference.fields(configuration):
        default = "required" if field.required else "" if field.type == "settings" else _code(field.default)
        cells = [f"`{field.path}`", field.type, default, _bounds(field), field.description or field.title]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _bounds(field: reference.Field) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.minimum and field.maximum:
        return f"{field.minimum} to {field.maximum}"
    return f"from {field.minimum}" if field.minimum else f"up to {field.maximum}" if field.maximum else ""


def _code(value: Any) -> str:
    if value in (None, ""):
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _cell(text: Any) -> str:
    return " ".join(str(text or "").split()).replace("|", "\\|")
