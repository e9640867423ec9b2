"""What `fleet` of a line says, and configurations with a setting changed within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, inspect

from edgeloop.config.load import convert, describe, plain
from edgeloop.config.quantities import QUANTITIES
from edgeloop.config.schema import readable
from edgeloop.errors import ConfigurationError

C = TypeVar("C", bound=msgspec.Struct)
Value = str | float | int

SECTIONS: Final = ("monitors", "limits", "cameras")
"""What a finding can set something of; never rules, actions or sources."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings of the fleet's analyses for this line."""

    findings: Annotated[
        bool,
        Meta(title="Findings", description="hear what analyses find of this site at IoT Core, as alarms of kind fleet"),
    ] = True
    set: Annotated[
        dict[str, str],
        Meta(
            title="Set",
            description="settings that a finding may change, each with its bounds: "
            '`monitors.press7_bearing.budget: "1 alarm/month .. 1 alarm/day"`',
        ),
    ] = {}

    def __post_init__(self) -> None:
        for path, bounds in self.set.items():
            if len(path.split(".")) < 3 or path.split(".")[0] not in SECTIONS:
                raise ValueError(f"set: {path!r} is no setting of {', '.join(SECTIONS)}")
            if bounds.count("..") != 1 or not all(part.strip() for part in bounds.split("..")):
                raise ValueError(f"set.{path}: {bounds!r} is no range such as '1 alarm/month .. 1 alarm/day'")


def checked(fleet: Fleet, type: type[msgspec.Struct], path: str, value: Value) -> Value:
    """The value, which lies within the bounds that the line declared. Raises ConfigurationError.

    >>> from edgeloop.config.quantities import Budget
    >>> Monitor = msgspec.defstruct("Monitor", [("budget", Budget)])
    >>> Line = msgspec.defstruct("Line", [("monitors", dict[str, Monitor])])
    >>> fleet = Fleet(set={"monitors.a.budget": "1 alarm/month .. 1 alarm/day"})
    >>> checked(fleet, Line, "monitors.a.budget", "2 alarms/week")
    '2 alarms/week'
    >>> try: checked(fleet, Line, "monitors.a.budget", "3 alarms/d")
    ... except ConfigurationError as error: print(error)
    a setting of the fleet is refused (monitors.a.budget): 3 alarms/d is not within 1 alarm/month .. 1 alarm/day
    """
    bounds = fleet.set.get(path)
    if bounds is None:
        raise _refused(path, "the line does not allow it", "name it in fleet.set")
    number = reader(type, path)
    try:
        low, high = _ends(number, bounds)
        inside = low <= number(value) <= high
    except (ValueError, TypeError) as error:
        raise _refused(path, str(error)) from None
    if not inside:
        raise _refused(path, f"{value} is not within {bounds}")
    return value


def reader(type: type[msgspec.Struct], path: str) -> Callable[[Any], Any]:
    """What makes a number, to compare, of a value of the setting at a path. Raises ConfigurationError where it is
    none that has an order."""
    kind = describe(type)
    for step in path.split("."):
        kind = _inner(kind, step)
    bare = _bare(kind)
    if isinstance(bare, inspect.CustomType) and bare.cls in QUANTITIES:
        return bare.cls
    if isinstance(bare, (inspect.FloatType, inspect.IntType)):
        return float
    raise _refused(path, "it is no quantity or number")


def misnamed(fleet: Fleet, configuration: msgspec.Struct) -> Iterator[ConfigurationError]:
    """Of the settings that a line lets findings change, those that could never be changed: there is no such entry or
    setting, it has no order, or its bounds are not of its kind. `where` is below the line's `fleet`."""
    for path, bounds in fleet.set.items():
        where = f"fleet.set.{path}"
        try:
            number = reader(type(configuration), path)
            if not isinstance(at(configuration, path.rpartition(".")[0]), dict):
                yield ConfigurationError("no setting of this line", where=where, why="there is no such entry")
            _ends(number, bounds)
        except ConfigurationError as error:
            yield ConfigurationError("no setting of this line", where=where, why=error.why)
        except (ValueError, TypeError) as error:
            yield ConfigurationError("invalid value", where=where, why=str(error), mend="write it as LOW .. HIGH")


def _ends(number: Callable[[Any], Any], bounds: str) -> list[Any]:
    return sorted(number(part.strip()) for part in bounds.split(".."))


def over(configuration: C, values: Mapping[str, Value]) -> C:
    """The configuration with settings by path. Raises ConfigurationError."""
    data = readable(configuration)
    for path, value in values.items():
        *way, last = path.split(".")
        at: Any = data
        for step in way:
            at = at.get(step) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise _refused(path, "there is no such entry")
        at[last] = value
    return convert(data, type(configuration))


def at(configuration: msgspec.Struct, path: str) -> Any:
    """The plain value of a setting; None where there is none."""
    found: Any = readable(configuration)
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _bare(kind: inspect.Type) -> inspect.Type:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.UnionType):
        others = [t for t in bare.types if not isinstance(plain(t)[0], inspect.NoneType)]
        return _bare(others[0])
    return bare


def _inner(kind: inspect.Type, step: str) -> inspect.Type:
    bare = _bare(kind)
    if isinstance(bare, inspect.DictType):
        return bare.value_type
    if isinstance(bare, inspect.StructType):
        for field in bare.fields:
            if field.encode_name == step:
                return field.type
    raise _refused(step, "there is no such setting")


def _refused(path: str, why: str, mend: str = "") -> ConfigurationError:
    return ConfigurationError("a setting of the fleet is refused", where=path, why=why, mend=mend)
