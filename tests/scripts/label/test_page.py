"""The page in Chromium: by keyboard, fast, with boxes and areas, back and undone."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright import sync_api as playwright

from edgeloop.errors import EdgeloopError
from edgeloop_tools.label.dataset import read
from edgeloop_tools.label.page import Desk, application, serve
from edgeloop_web.server import WebServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = CHROMIUM is None and "EDGELOOP_ALL_PEERS" not in os.environ
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
COUNT = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        image = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (320, 240))
        cv2.imwrite(str(tmp_path / f"{number:03}.jpg"), image)
    return tmp_path


@pytest.fixture
def desk(folder: Path) -> Desk:
    data = read(folder)
    data.classes = ["good", "scratch"]
    return Desk(data, [])


@pytest.fixture
def server(desk: Desk) -> Iterator[WebServer]:
    made = WebServer(application(desk, "", frozenset({"127.0.0.1"})), "127.0.0.1", 0)
    made.start()
    yield made
    made.close()


@pytest.mark.skipif(MISSING, reason="chromium is not installed (Debian: chromium)")
def test_a_person_labels_by_keyboard(server: WebServer, desk: Desk, folder: Path) -> None:
    errors: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(server.url)
        page.get_by_label("Your name").fill("Ana")
        page.get_by_label("Your name").press("Tab")
        page.locator("h1").click()
        began = time.monotonic()
        for number in range(COUNT - 2):
            page.locator(f"body[data-seen='{number}']").wait_for(timeout=60_000)
            page.keyboard.press("2" if number % 5 == 0 else "1")
        page.locator(f"body[data-place='{COUNT - 2}']").wait_for(timeout=60_000)
        rate = 60 * (COUNT - 2) / (time.monotonic() - began)
        page.keyboard.press("u")
        page.locator(f"body[data-place='{COUNT - 3}']").wait_for(timeout=60_000)
        page.keyboard.press("b")
        area = page.locator("#picture").bounding_box()
        assert area is not None
        page.mouse.move(area["x"] + 0.25 * area["width"], area["y"] + 0.5 * area["height"])
        page.mouse.down()
        page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.75 * area["height"])
        page.mouse.up()
        page.keyboard.press("2")
        page.locator("#marks rect").wait_for(state="attached", timeout=60_000)
        page.get_by_text("Boxes: drag").wait_for(timeout=60_000)
        page.keyboard.press("a")
        for x, y in ((0.1, 0.1), (0.3, 0.1), (0.2, 0.3)):
            page.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
        page.keyboard.press("Enter")
        page.keyboard.press("1")
        page.get_by_text("Areas: click").wait_for(timeout=60_000)
        page.locator("#marks polygon").wait_for(state="attached", timeout=60_000)
        browser.close()
    print(f"{rate:.0f} pictures a minute")
    assert errors == []
    desk.save()
    back = read(folder)
    kinds = [i.label for i in back.items]
    assert kinds[: COUNT - 3] == ["scratch" if k % 5 == 0 else "good" for k in range(COUNT - 3)]
    assert {i.by for i in back.items[: COUNT - 3]} == {"Ana"}
    marked = back.items[COUNT - 3]
    assert marked.label == ""
    box = marked.boxes[0]
    assert [round(v / 10) for v in (box.x, box.y, box.width, box.height)] == [8, 12, 16, 6]
    assert len(marked.polygons[0].points) == 6


def asked(server: WebServer, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url.rstrip("/") + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_only_this_page_sets_labels(server: WebServer, desk: Desk) -> None:
    own = {"Origin": server.url.rstrip("/")}
    row = {"label": "good", "by": "Ana"}
    assert asked(server, "/api/items/0", row)[0] == 403
    assert asked(server, "/api/items/0", row, Origin="http://elsewhere.example")[0] == 403
    assert asked(server, "/api/items/0", row, Host="elsewhere.example:80", **own)[0] == 421
    assert asked(server, "/api/items/0", {"boxes": [["good", 1, 1, 0, 0]]}, **own)[0] == 400
    assert asked(server, "/api/items/0", {"label": "a\x00b"}, **own)[0] == 400
    assert asked(server, "/api/items/0", row, **own)[0] == 200
    assert desk.data.items[0].label == "good"
    status, content = asked(server, "/api/pictures/0")
    assert status == 200
    assert content.startswith(b"\xff\xd8")


def test_labels_survive_the_end_of_the_process(desk: Desk, folder: Path) -> None:
    desk.put(3, {"label": "scratch", "by": "Ana"})
    desk.put(4, {"label": "good", "by": "Ana"})
    desk.undo()
    again = Desk(read(folder), [])
    assert [again.data.items[k].label for k in (3, 4)] == ["scratch", ""]
    assert len((folder / "labels.jsonl").read_bytes().splitlines()) == 3


def test_others_need_a_password(desk: Desk) -> None:
    with pytest.raises(EdgeloopError, match="--password-file"):
        serve(desk.data, [], 0, "127.0.0.1", None)
    server = WebServer(application(desk, "a long word"), "127.0.0.1", 0)
    server.start()
    try:
        assert asked(server, "/")[0] == 401
        assert asked(server, "/", Authorization="Basic QW5hOmEgbG9uZyB3b3Jk")[0] == 200
    finally:
        server.close()
