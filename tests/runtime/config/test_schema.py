from __future__ import annotations

import json
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.config.load import convert
from edgeloop.config.quantities import Budget, Duration, Rate, Size, bounded
from edgeloop.config.reference import fields, json_schema
from edgeloop.config.schema import defaults, difference, readable


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Simulator(Setting, frozen=True, tag_field="type", tag="simulator"):
    seed: Annotated[int, Meta(title="Seed", ge=0)] = 0


class Mqtt(Setting, frozen=True, tag_field="type", tag="mqtt"):
    broker: str
    password: str = ""


class Journal(Setting, frozen=True):
    segment: Annotated[Size, bounded("Segment", "size of one file", ge="1 MiB", le="1 GiB")] = Size("16 MiB")


class Configuration(Setting, frozen=True):
    site: Annotated[Id, Meta(title="Site")] = "plant"
    tick: Annotated[Duration, bounded("Tick", "time between notices", ge="1 ms", le="1 min")] = Duration("50 ms")
    rate: Rate | None = None
    budget: Budget = Budget("1 alarm/week")
    mode: Literal["latest", "every"] = "latest"
    journal: Journal = Journal()
    kinds: tuple[str, ...] = ("a", "b")
    sources: dict[Id, Simulator | Mqtt] = {}


def test_defaults_are_plain_readable_and_read_back() -> None:
    expected = {
        "site": "plant",
        "tick": "50 ms",
        "budget": "1 alarm/week",
        "mode": "latest",
        "journal": {"segment": "16 MiB"},
        "kinds": ["a", "b"],
        "sources": {},
    }
    assert defaults(Configuration) == expected
    assert convert(json.loads(json.dumps(expected)), Configuration) == Configuration()


def test_any_configuration_reads_back_from_its_readable_form() -> None:
    configuration = Configuration(
        rate=Rate("10/3 Hz"), sources={"a": Simulator(seed=3), "b": Mqtt(broker="x", password="hunter2")}
    )
    assert convert(json.loads(json.dumps(readable(configuration))), Configuration) == configuration


def test_rows_have_paths_types_bounds_and_words() -> None:
    rows = {row.path: row for row in fields(Configuration)}
    assert list(rows) == [
        "site", "tick", "rate", "budget", "mode", "journal", "journal.segment", "kinds", "sources",
        "sources.<id>[simulator].seed", "sources.<id>[mqtt].broker", "sources.<id>[mqtt].password",
    ]  # fmt: skip
    tick = rows["tick"]
    assert (tick.type, tick.default, tick.minimum, tick.maximum) == ("duration", "50 ms", "1 ms", "1 min")
    assert (tick.title, tick.description, tick.required) == ("Tick", "time between notices", False)
    assert (rows["rate"].type, rows["rate"].default) == ("rate", None)
    assert set(rows["mode"].choices) == {"latest", "every"}
    assert rows["sources"].type == "map of id to settings"
    assert rows["kinds"].type == "list of text"
    assert rows["sources.<id>[simulator].seed"].minimum == "0"
    assert rows["sources.<id>[mqtt].broker"].required
    assert rows["site"].title == "Site"


def test_the_difference_from_the_defaults_hides_secrets() -> None:
    configuration = Configuration(tick=Duration("20 ms"), sources={"b": Mqtt(broker="x", password="hunter2")})
    assert difference(Configuration()) == {}
    assert difference(configuration) == {
        "tick": "20 ms",
        "sources": {"b": {"type": "mqtt", "broker": "x", "password": "***"}},
    }


def test_json_schema_is_json_and_knows_quantities() -> None:
    schema = json.loads(json.dumps(json_schema(Configuration)))
    tick = schema["properties"]["tick"]
    assert tick["description"] == 'time between notices (duration (such as "50 ms", "2 s", "1 h"); 1 ms to 1 min)'
    assert tick["default"] == "50 ms"
    members = schema["properties"]["sources"]["additionalProperties"]["anyOf"]
    assert {member["properties"]["type"]["const"] for member in members} == {"simulator", "mqtt"}
    assert members[0]["additionalProperties"] is False
