from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.config.load import InvalidConfiguration, convert, partial, tolerant
from edgeloop.config.quantities import Duration, Rate, bounded
from edgeloop.errors import ConfigurationError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Simulator(Setting, frozen=True, tag_field="type", tag="simulator"):
    seed: int = 0


class Replay(Setting, frozen=True, tag_field="type", tag="replay"):
    path: Annotated[str, Meta(min_length=1)]
    rate: Annotated[Rate, bounded("Rate", ge="1 Hz", le="1 kHz")] = Rate("10 Hz")


class Limits(Setting, frozen=True):
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low is not below high")


class Everything(Setting, frozen=True):
    site: Id = "plant"
    tick: Duration = Duration("50 ms")
    on: bool = True
    count: Annotated[int, Meta(ge=1, le=10)] = 3
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    open_end: Annotated[float, Meta(gt=0)] = 1.0
    mode: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    kinds: tuple[str, ...] = ()
    numbers: list[int] = []
    unique: frozenset[str] = frozenset()
    pair: tuple[int, str] = (1, "x")
    maybe: int | None = None
    either: int | str = 0
    text: str = "default"
    sources: dict[Id, Simulator | Replay] = {}
    limits: dict[Id, Limits] = {}
    raw: dict[str, Any] = {}
    limit: Limits = Limits()


def why(value: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        convert(value, Everything)
    return str(caught.value)


def test_what_lite_makes_of_numbers_and_booleans_is_understood() -> None:
    given = {
        "tick": "20 ms", "on": "false", "count": "7", "share": "0.25", "numbers": "1 2, 3", "kinds": "one two",
        "pair": ["2", "y"], "maybe": "5", "either": "text", "colour": "BLUE", "mode": "B", "unique": ["q", "q"],
        "sources": {"press1": {"type": "replay", "path": "/x", "rate": "12.5"}, 
                    "press2": {"type": "simulator", "seed": "7"}},
    }  # fmt: skip
    assert convert(given, Everything) == Everything(
        tick=Duration("20 ms"), on=False, count=7, share=0.25, numbers=[1, 2, 3], kinds=("one", "two"), pair=(2, "y"),
        maybe=5, either="text", colour=Colour.BLUE, mode="b", unique=frozenset({"q"}),
        sources={"press1": Replay(path="/x", rate=Rate("12.5 Hz")), "press2": Simulator(seed=7)},
    )  # fmt: skip


@pytest.mark.parametrize("value", ["true", "True", "yes", "on", "1", 1, True])
def test_ways_to_say_true(value: object) -> None:
    assert convert({"on": value}, Everything).on is True


@pytest.mark.parametrize("empty", ["", None])
def test_what_was_removed_has_its_default(empty: object) -> None:
    everything = {field.name: empty for field in msgspec.structs.fields(Everything) if field.name != "text"}
    assert convert(everything, Everything) == Everything()
    assert convert({"unknown": empty}, Everything) == Everything()
    assert convert({"limits": {"gone": empty, "here": {}}}, Everything).limits == {"here": Limits()}


def test_an_empty_text_is_a_text() -> None:
    assert convert({"text": ""}, Everything).text == ""
    assert convert({"text": None}, Everything).text == "default"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"cout": 1}, "unknown key (cout); did you mean 'count'?"),
        ({"zzz": 1}, "unknown key (zzz); known keys: colour, count,"),
        ({"count": "x"}, "invalid value (count): 'x' is no integer"),
        ({"count": "11"}, "(count): 11 is more than the maximum 10"),
        ({"count": 0}, "(count): 0 is less than the minimum 1"),
        ({"count": 1.5}, "(count): 1.5 is no integer"),
        ({"count": True}, "(count): True is no integer"),
        ({"open_end": 0}, "(open_end): 0.0 is not above 0"),
        ({"share": "nan"}, "(share): 'nan' is no number"),
        ({"share": "1e999"}, "(share): '1e999' is no number"),
        ({"on": "perhaps"}, "(on): 'perhaps' is neither true nor false"),
        ({"tick": "5 parsec"}, "(tick): unknown unit 'parsec' of a duration"),
        ({"mode": "c"}, "(mode): 'c' is none of: a, b"),
        ({"colour": "green"}, "(colour): 'green' is none of: red, blue"),
        ({"site": "Plant 1"}, "(site): 'Plant 1' does not match"),
        ({"pair": [1]}, "(pair): 1 entries, 2 expected"),
        ({"numbers": ["1", "x"]}, "(numbers[1]): 'x' is no integer"),
        ({"numbers": {}}, "(numbers): {} is no list"),
        ({"maybe": "x"}, "(maybe): 'x' is no integer"),
        ({"sources": 5}, "(sources): 5 is no map"),
        ({"sources": {"a": {"type": "simulater"}}}, "'simulater' is unknown; did you mean 'simulator'?"),
        ({"sources": {"a": {"seed": 1}}}, "missing value (sources.a.type); one of: replay, simulator"),
        ({"sources": {"a": {"type": "replay"}}}, "missing value (sources.a.path); set it"),
        ({"sources": {"a": {"type": "replay", "path": "x", "rate": "2 kHz"}}}, "(sources.a.rate): 2 kHz is more"),
        ({"sources": {"A 1": {"type": "simulator"}}}, "invalid key (sources.A 1): 'A 1' does not match"),
        ({"limit": {"low": 3}}, "(limit): low is not below high"),
        ({"text": ["x"]}, "(text): ['x'] is no text"),
        ([], "invalid value: [] is no map of settings"),
    ],
)
def test_errors_name_the_field_the_reason_and_the_mend(value: Any, line: str) -> None:
    assert line in why(value)
    assert "\n" not in why(value)


def test_all_errors_are_kept_and_counted() -> None:
    with pytest.raises(InvalidConfiguration, match="and 2 more") as caught:
        convert({"count": "x", "share": 2, "oops": 1}, Everything)
    assert {error.where for error in caught.value.errors} == {"count", "share", "oops"}


def test_paths_begin_where_the_caller_says() -> None:
    with pytest.raises(ConfigurationError, match=r"\(sources.press1.low\)"):
        convert({"low": "x"}, Limits, "sources.press1")


def test_one_bad_entry_does_not_stop_the_others() -> None:
    good, bad = partial({"a": {"low": "0.5"}, "b": {"low": 5}, "C!": {}, "d": ""}, Limits, "limits")
    assert good == {"a": Limits(low=0.5)}
    assert [error.where for error in bad] == ["limits.b", "limits.C!"]
    assert partial("", Limits) == ({}, [])
    _, errors = partial([], Limits, "limits")
    assert str(errors[0]).startswith("invalid value (limits): [] is no map")


def test_a_bad_entry_stays_as_it_was() -> None:
    before, errors = tolerant({"limits": {"a": {"high": 2}, "b": {"high": 3}}}, Everything)
    assert errors == []
    after, errors = tolerant(
        {"limits": {"a": {"high": "x"}, "b": {"high": 4}, "new": {"hihg": 1}}}, Everything, previous=before
    )
    assert after.limits == {"a": Limits(high=2.0), "b": Limits(high=4.0)}
    assert [error.where for error in errors] == ["limits.a.high", "limits.new.hihg"]


def test_a_bad_or_unknown_setting_costs_no_more_than_itself() -> None:
    before, errors = tolerant({"count": 7, "limits": {"a": {"high": 2}}}, Everything)
    assert errors == []
    value = {"count": "x", "cuont": 3, "text": "new", "limits": {"a": {"high": 3}}}
    after, errors = tolerant(value, Everything, previous=before)
    assert (after.count, after.text, after.limits) == (7, "new", {"a": Limits(high=3.0)})
    assert [error.where for error in errors] == ["cuont", "count"]
    assert str(errors[0]).endswith("did you mean 'count'?; where another version left it, reset /cuont in a deployment")
    fresh, _ = tolerant(value, Everything)
    assert fresh.count == Everything().count


def test_nothing_is_made_of_what_lacks_a_required_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"missing value \(path\)"):
        tolerant({"rate": "10 Hz"}, Replay)
    with pytest.raises(ConfigurationError, match=r"\(path\)"):
        tolerant({"path": ["x"]}, Replay)


def test_depth_is_bounded() -> None:
    value: Any = []
    for _ in range(900):
        value = [value]
    assert convert({"raw": {"inner": value}}, Everything).raw["inner"] is value
    with pytest.raises(ConfigurationError, match="no integer"):
        convert({"numbers": value}, Everything)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = [field.name for field in msgspec.structs.fields(Everything)]


@given(st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=4))
def test_anything_is_converted_or_refused_in_one_line(value: dict[str, Any]) -> None:
    line = ""
    try:
        convert(value, Everything)
    except ConfigurationError as error:
        line = str(error)
    assert "\n" not in line
