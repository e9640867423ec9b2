"""No text without all three languages, no text outside the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[2] / "components"
STATIC = [COMPONENTS / "console" / "static", COMPONENTS / "runtime" / "edgeloop_web" / "static"]
SCRIPTS = sorted(p for folder in STATIC for p in folder.rglob("*.js"))
PAGES = sorted(p for folder in STATIC for p in folder.rglob("*.html"))


def table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in SCRIPTS:
        if path.name not in ("texts.js", "words.js"):
            continue
        text = path.read_text()
        for key, words in re.findall(r'^\s*"?([\w.]+)"?: (\[\s*".*?"(?:,)?\s*\]),$', text, re.MULTILINE | re.DOTALL):
            found[key] = json.loads(re.sub(r",\s*\]$", "]", words))
    return found


def test_every_text_has_three_languages() -> None:
    words = table()
    assert len(words) > 150
    for key, entry in words.items():
        assert len(entry) == 3, key
        assert all(entry), key
        places = {frozenset(re.findall(r"\{(\w+)\}", text)) for text in entry}
        assert len(places) == 1, f"{key}: the languages name different values"


@pytest.mark.parametrize("path", [*SCRIPTS, *PAGES], ids=lambda path: path.name)
def test_every_key_that_is_said_exists(path: Path) -> None:
    words, text = table(), path.read_text()
    said = re.findall(r'\bsay\("([\w.]+)"', text) + re.findall(r'data-say="([\w.]+)"', text)
    assert [key for key in said if key not in words] == []
    for prefix in re.findall(r"say\(`([\w.]+\.)\$\{", text):
        assert any(key.startswith(prefix) for key in words), prefix


@pytest.mark.parametrize("path", [p for p in SCRIPTS if p.parent.name == "pages" or p.name == "app.js"])
def test_no_words_outside_the_tables(path: Path) -> None:
    code = re.sub(r"//.*", "", path.read_text())
    assert re.findall(r'(?:text|placeholder|alt|"aria-label"): "([A-Za-z][^"]*)"', code) == []
