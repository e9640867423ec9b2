"""The fleet's page over an upload of several sites: alarms, findings and samples of devices that are not here."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.hub import Hub
from edgeloop.alarms import Alarm
from edgeloop.alarms.alarm import Cause
from edgeloop.clock import NS
from edgeloop_tools.analyse.fleet import BEGAN, upload
from edgeloop_tools.analyse.fleet import Fleet as Simulated
from edgeloop_tools.console.fleet import NAME, Fleet, FleetApi
from edgeloop_tools.console.uploaded import Uploaded

DAY = 86_400 * NS


def alarm(id: str, state: str = "raised", severity: str = "high", time: int = BEGAN + DAY) -> dict[str, Any]:
    made = Alarm(
        id=id, monitor="press1_bearing", asset="press1", kind="process", severity=severity, state=state,  # type: ignore[arg-type]
        text=f"{id} <b>words</b>", raised_at=BEGAN + DAY, time=time, sample_time=BEGAN + DAY,
        cause=Cause(stream="press1_vib_indicators"),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(made.document())
    return found


def records(folder: Path, site: str, number: int, *documents: Any) -> None:
    path = folder / f"records/site={site}/kind=alarms/date=2026-01-02/core-{site}_AnomalyInference_{number}_0-9.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"device": f"core-{site}", "component": "io.edgeloop.AnomalyInference", "kind": "alarms"}
    lines = [json.dumps({**head, "document": d}) if isinstance(d, dict) else str(d) for d in documents]
    path.write_text("\n".join([*lines, ""]))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploaded")
    simulated = Simulated(seed=1, sites=2, assets=1, days=3)
    upload(folder, simulated, simulated.means())
    records(folder, "site1", 1, alarm("a1"), "no json", {"half": "of it"})
    records(folder, "site2", 1, alarm("a1", severity="low"), alarm("a2", severity="critical"))
    records(folder, "site2", 2, alarm("a2", "cleared", "critical", BEGAN + 2 * DAY) | {"reason": "true"})
    finding = {"site": "site1", "asset": "press1", "severity": "medium", "words": "rises for 3 days",
               "since": "2026-01-01", "until": "2026-01-03"}  # fmt: skip
    (folder / "findings/site1").mkdir(parents=True)
    (folder / "findings/site1/press1.json").write_text(json.dumps([finding]))
    return folder


def test_sites_are_side_by_side_and_the_newest_state_counts(source: Path) -> None:
    uploaded = Uploaded(str(source))
    uploaded.look()
    uploaded.look()
    assets = uploaded.assets()
    assert [(a["id"], a["state"], a["alarms"]) for a in assets] == [
        ("site1 / press1", "high", 2), ("site2 / press1", "low", 1),
    ]  # fmt: skip
    assert len({a.id for a in uploaded.alarms()}) == 4
    assert uploaded.damaged == 2
    assert uploaded.devices() == {("site1", "core-site1"): "2026-01-02", ("site2", "core-site2"): "2026-01-02"}
    assert {a.text for a in uploaded.alarms() if a.kind == "fleet"} == {"rises for 3 days"}


def test_a_chart_is_of_its_own_site(source: Path) -> None:
    uploaded = Uploaded(str(source))
    uploaded.look()
    assert [s.name for s in uploaded.streams()] == ["site1 press1_vib_indicators", "site2 press1_vib_indicators"]
    simulated = Simulated(seed=1, sites=2, assets=1, days=3)
    for number, stream in enumerate(uploaded.streams()):
        points = uploaded.points(stream.name, BEGAN, BEGAN + 3 * DAY, 3)
        assert (points["channels"], points["units"]) == (["x_rms", "x_velocity"], ["mm/s", "mm/s"])
        for at in range(2):
            assert points["mean"][at] == pytest.approx(list(simulated.means()[number, at]), rel=1e-4)
        assert uploaded.newest(stream.name)["time_ms"] == (BEGAN + 3 * DAY - DAY // 24) // 1_000_000
    assert uploaded.points("site1 press1_vib_indicators", BEGAN - DAY, BEGAN, 9)["times"] == []


@pytest.fixture(scope="module")
def fleet(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(str(source), 0, tmp_path_factory.mktemp("work")) as made:
        yield made


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(fleet: Fleet, path: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(fleet.url + path, data, {"Origin": fleet.url.rstrip("/"), **headers})
    try:
        with urllib.request.build_opener(_Stays).open(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_it_takes_a_login_and_only_reads(fleet: Fleet) -> None:
    assert ask(fleet, "api/v1/line")[0] == 401
    form = urllib.parse.urlencode({"name": NAME, "password": fleet.password}).encode()
    status, headers, _ = ask(fleet, "login", form, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 303
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    routes = [route.path for route in FleetApi(fleet.uploaded, Hub()).routes() if "{" not in route.path]
    for path in routes:
        if not path.endswith("/events"):
            assert ask(fleet, path[1:], **cookie)[0] == 200, path
    alarms = json.loads(ask(fleet, "api/v1/alarms?open=1", **cookie)[2])
    assert {a["asset"] for a in alarms} == {"site1 / press1", "site2 / press1"}
    one = json.loads(ask(fleet, f"api/v1/alarms/{alarms[0]['id']}", **cookie)[2])
    assert one["streams"] in ([], [one["cause"]["stream"]])
    answer = ask(fleet, f"api/v1/alarms/{alarms[0]['id']}/acknowledge", b'{"reason": "true"}', **cookie)
    assert answer[0] in (403, 404, 405)
    assert ask(fleet, "api/v1/streams/nothing/points", **cookie)[0] == 404


def test_the_pages_show_it(fleet: Fleet, browser: Any) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(fleet.url)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(fleet.password)
    page.get_by_role("button").click()
    page.get_by_role("link").filter(has_text="site1 / press1").first.click()
    page.get_by_role("row").get_by_role("link").filter(has_text="a1 <b>words</b>").click()
    page.get_by_role("heading", name="Around the alarm").wait_for()
    page.locator("canvas").first.wait_for(timeout=60_000)
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    for name in ("Signals", "Parts", "Models", "System", "Settings"):
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        page.locator(f"#pages a[aria-current]:has-text('{name}')").wait_for()
        page.get_by_role("heading", level=1).first.wait_for()
    context.close()
    assert errors == []
