from __future__ import annotations

from typing import Any

import pytest

from edgeloop.clock import NS
from edgeloop.config.quantities import Duration
from edgeloop.models.report import Report, Usual
from edgeloop.models.store import Pointer, Ref
from model_update.configuration import Probation
from model_update.probation import judge

NEW = Ref(digest="b" * 64, version="2.0.0")
POINTER = Pointer(name="m", generation=4, active=NEW, previous=None, state="probation", since=1000 * NS)
RULES = Probation(inferences=100, time=Duration("1 min"), load=Duration("2 min"), failures=0.01)


BEFORE = Usual(said={"pass": 95, "fail": 5}, ms=8.0)


def report(age: int, **changes: Any) -> Report:
    fields: dict[str, Any] = {"fate": "loaded", "generation": 4, "digest": NEW.digest, "inferences": 200, **changes}
    return Report(component="io.edgeloop.Camera", name="m", time=(1000 + age) * NS, **fields)


@pytest.mark.parametrize(
    ("age", "reports", "verdict", "why"),
    [
        (90, [report(90)], "stay", "200 runs, 0 failed"),
        (90, [report(90, failures=2)], "stay", "200 runs, 2 failed"),
        (30, [report(30)], "wait", "200 of 100 runs"),
        (90, [report(90, inferences=99)], "wait", "99 of 100 runs"),
        (90, [report(90, inferences=60), report(90, inferences=60)], "stay", "120 runs"),
        (10**7, [], "wait", "no component uses it yet"),
        (10**7, [report(10**7, inferences=0)], "wait", "0 of 100 runs"),
        (1, [report(1, fate="crashed", reason="it died")], "back", "Camera: it died"),
        (1, [report(1), report(1, fate="rejected", reason="no model")], "back", "Camera: no model"),
        (90, [report(90, failures=8)], "back", "8 of 208 runs failed"),
        (90, [report(90, inferences=0, failures=2)], "wait", "0 of 100 runs"),
        (60, [report(60, generation=3)], "wait", "no component"),
        (130, [report(125, generation=3)], "back", "Camera has not loaded it within 2 min"),
        (300, [report(125, generation=3)], "wait", "no component"),
        (130, [report(125, generation=3, clean=True)], "wait", "no component"),
        (130, [report(125, fate="waiting", reason="no onnxruntime")], "back", "within 2 min: no onnxruntime"),
        (130, [report(125, fate="trying")], "back", "within 2 min: it hangs"),
        (90, [report(90, ms=80.0, before=BEFORE)], "back", "a run takes 80.0 ms, 8.0 ms before"),
        (90, [report(90, ms=20.0, before=BEFORE)], "stay", "200 runs"),
        (90, [report(90, ms=1.9, before=Usual(ms=0.1))], "stay", "200 runs"),
        (90, [report(90, ms=80.0, inferences=9, before=BEFORE)], "wait", "9 of 100 runs"),
        (90, [report(90, said={"pass": 190, "fail": 10}, before=BEFORE)], "stay", "200 runs"),
        (90, [report(90, said={"pass": 100, "fail": 100}, before=BEFORE)], "back", "fail 5% → 50%, pass 95% → 50%"),
        (90, [report(90, said={"unknown": 200}, before=BEFORE)], "back", "unknown 0% → 100%"),
        (90, [report(90, said={"pass": 200}, before=Usual(said={"unknown": 80, "fail": 20}))], "stay", "200 runs"),
        (90, [report(90, said={"pass": 200}, before=Usual(said={"fail": 20}))], "stay", "200 runs"),
        (90, [report(90, said={"pass": 20}, before=Usual(said={"fail": 200}))], "stay", "200 runs"),
        (90, [report(90, said={"pass": 200}, before=Usual(said={"fail": 120, "pass": 80}))], "stay", "200 runs"),
    ],
)
def test_verdicts(age: int, reports: list[Report], verdict: str, why: str) -> None:
    found = judge(POINTER, reports, (1000 + age) * NS, RULES)
    assert found[0] == verdict, found
    assert why in found[1]
    assert (found[2] is not None) == (verdict == "back")
