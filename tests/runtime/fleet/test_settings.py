"""What a line lets findings change is there to be changed."""

from __future__ import annotations

import msgspec
import pytest

from edgeloop.config.quantities import Budget
from edgeloop.fleet.settings import Fleet, misnamed

Monitor = msgspec.defstruct("Monitor", [("budget", Budget), ("asset", str, "")], kw_only=True)
Line = msgspec.defstruct("Line", [("monitors", dict[str, Monitor])])


@pytest.mark.parametrize(
    ("path", "bounds", "why"),
    [
        ("monitors.a.budgt", "1 alarm/month .. 1 alarm/day", "there is no such setting"),
        ("monitors.b.budget", "1 alarm/month .. 1 alarm/day", "there is no such entry"),
        ("monitors.a.asset", "a .. b", "it is no quantity or number"),
        ("monitors.a.budget", "seldom .. often", "seldom"),
    ],
)
def test_what_could_never_be_changed_is_told(path: str, bounds: str, why: str) -> None:
    (error,) = misnamed(Fleet(set={path: bounds}), Line({"a": Monitor(budget=Budget("1 alarm/week"))}))
    assert error.where == f"fleet.set.{path}"
    assert why in error.why


def test_what_can_be_changed_is_nothing_to_tell() -> None:
    fleet = Fleet(set={"monitors.a.budget": "1 alarm/month .. 1 alarm/day"})
    assert list(misnamed(fleet, Line({"a": Monitor(budget=Budget("1 alarm/week"))}))) == []
