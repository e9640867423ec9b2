"""Who may do what; nothing without a login; what a hostile request gets."""

from __future__ import annotations

import json
import random
import string
from typing import Any
from urllib.parse import quote

import pytest

ORIGIN = {"Origin": "http://127.0.0.1"}
HOSTILE = [
    "<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "../../etc/passwd", "\x00", "a" * 5000, "{{7*7}}",
]  # fmt: skip


def routes(line: Any) -> dict[str, Any]:
    found: dict[str, Any] = line.ask("/api/v1/openapi.json", token=line.token).json["paths"]
    return found


def filled(path: str) -> str:
    return path.replace("{id}", "x").replace("{camera}", "x").replace("{part}", "x").replace("{name}", "x")


def test_without_users_the_page_says_only_how_to_add_one(alone: Any) -> None:
    assert b"Nobody may log in yet" in alone.ask("/login").body
    assert alone.ask("/api/v1/line").status == 401
    assert alone.ask("/").headers["location"] == "/login"


def test_every_route_wants_a_login(line: Any) -> None:
    for path, operations in routes(line).items():
        for method in operations:
            answer = line.ask(filled(path), {} if method == "post" else None)
            assert answer.status in (401, 403), (method, path, answer.status)
            assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/metrics", "/api/v1/events", "/api/v1/pictures/gate/1", "/nothing", "/api/v1/nothing"):
        assert line.ask(path).status == 401, path


def test_roles(line: Any) -> None:
    viewer = line.user("add", "screen", "--role", "viewer", "--token")
    alarm = line.ask("/api/v1/alarms", token=viewer).json[0]["id"]
    refused = line.ask(f"/api/v1/alarms/{alarm}/acknowledge", {"reason": "true"}, token=viewer)
    assert (refused.status, refused.json["detail"]) == (403, "this takes the role operator; screen is viewer")
    assert line.ask("/api/v1/models/x/hold", {"version": "1"}, token=line.token).status == 403
    assert line.ask("/api/v1/audit", token=line.token).status == 403
    line.user("remove", "screen")
    assert line.ask("/api/v1/line", token=viewer).status == 401


def test_another_page_cannot_answer_for_somebody(line: Any) -> None:
    login = b"name=otto&password=operator-word-1"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert line.ask("/login", login, headers=form).status == 403
    assert line.ask("/login", login, headers=form | {"Origin": "https://elsewhere.example"}).status == 403
    own = {"Origin": line.url}
    entered = line.ask("/login", login, headers=form | own)
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert all(word in cookie.lower() for word in ("httponly", "samesite=strict"))
    session = {"Cookie": cookie.partition(";")[0]}
    alarm = line.ask("/api/v1/alarms", headers=session).json[0]["id"]
    path = f"/api/v1/alarms/{alarm}/comment"
    assert line.ask(path, {"text": "x"}, headers=session).status == 403
    assert line.ask(path, {"text": "x"}, headers=session | {"Origin": "http://evil.example"}).status == 403
    assert line.ask(path, {"text": "seen"}, headers=session | own).status == 200
    line.kill("console")
    line.start("console")
    line.wait(lambda: line.ask("/api/v1/session", headers=session).status == 200, 60, "the session after a kill")
    assert line.ask("/logout", b"", headers=session | own).status == 303
    assert line.ask("/api/v1/session", headers=session).status == 401


def test_passwords_cannot_be_guessed_fast(line: Any) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": line.url}
    tries = [line.ask("/login", b"name=nobody&password=wrong-word", headers=headers).status for _ in range(6)]
    assert tries == [303] * 5 + [429]


def test_headers_of_every_answer(line: Any) -> None:
    for path in ("/", "/login", "/static/app.js", "/api/v1/line", "/nothing"):
        headers = line.ask(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_are_refused_or_kept_as_words(line: Any, text: str) -> None:
    alarm = line.ask("/api/v1/alarms", token=line.token).json[0]["id"]
    answer = line.ask(f"/api/v1/alarms/{alarm}/comment", {"text": text}, token=line.token)
    assert answer.status in (200, 422)
    name = quote(text[:60], safe="")
    for path in (f"/api/v1/alarms/{name}", f"/api/v1/streams/{name}/points", f"/api/v1/pictures/{name}/1"):
        assert line.ask(path, token=line.token).status == 404, path


def test_fuzzed_bodies_and_queries_never_fail_the_program(line: Any) -> None:
    chance = random.Random(7)
    alarm = line.ask("/api/v1/alarms", token=line.token).json[0]["id"]
    posts = [filled(p).replace("/alarms/x/", f"/alarms/{alarm}/") for p, o in routes(line).items() if "post" in o]
    seen = set()
    for _ in range(150):
        body = chance.choice([
            bytes(chance.randrange(256) for _ in range(chance.randrange(200))),
            b"[" * 5000, json.dumps({chance.choice(string.ascii_letters): 10**400}).encode(),
            json.dumps({"reason": chance.choice([None, 1, "true\x00", [], {}, "x" * 9000])}).encode(),
            json.dumps({"span": chance.choice(["", "-1 s", "1e999 s", "9" * 30, "8 lightyears"])}).encode(),
            b"x" * 70_000,
        ])  # fmt: skip
        seen.add(line.ask(chance.choice(posts), body, token=line.token).status)
    for value in ("-1", "nan", "1e400", "x", "9" * 40, "%00"):
        for name in ("from", "to", "points", "most", "samples"):
            seen.add(line.ask(f"/api/v1/streams/press1_vib/points?{name}={value}", token=line.token).status)
            seen.add(line.ask(f"/api/v1/parts?{name}={value}", token=line.token).status)
    assert seen <= {200, 403, 404, 413, 422}
    assert line.processes["console"].poll() is None
