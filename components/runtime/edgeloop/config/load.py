"""From what a nucleus hands over to typed values, leniently: lite makes a string of every number and boolean.

Accepted beside the plain JSON type: "5" and "5.0" for 5, "true"/"yes"/"on"/"1" for True, "a b" or "a, b" for a list
of words, a number for a text, and "" or null for "not configured" (the default). Unknown keys are errors
with a suggestion.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from msgspec import inspect

from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import QUANTITIES
from edgeloop.config.scalars import Refused, leaf, shown
from edgeloop.errors import ConfigurationError

T = TypeVar("T")

_DEEPEST = 24
_BAD: Final = object()
_CORRECT = "correct it in the deployment's configuration"


class InvalidConfiguration(ConfigurationError):
    """One or more fields that do not fit; the text is that of the first, `errors` has all."""

    def __init__(self, errors: list[ConfigurationError]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(first.what, where=first.where, why=first.why, mend=first.mend + more)
        self.errors = tuple(errors)


def convert(value: Any, type: type[T], where: str = "") -> T:
    """A typed value. Raises InvalidConfiguration naming the dotted path, `where` being that of the value itself.

    >>> import msgspec
    >>> from edgeloop.config.quantities import Duration
    >>> fields = [("poll", Duration, Duration("1 s")), ("unit", int, 1)]
    >>> Source = msgspec.defstruct("Source", fields, frozen=True, forbid_unknown_fields=True)
    >>> convert({"poll": "50 ms", "unit": "7"}, Source)
    Source(poll=Duration('50 ms'), unit=7)
    >>> try: convert({"pol": "50 ms"}, Source, "sources.press1")
    ... except ConfigurationError as error: print(error)
    unknown key (sources.press1.pol); did you mean 'poll'?
    """
    walk = _Walk()
    result = walk.value(value, describe(type), where, 0)
    if walk.errors:
        raise InvalidConfiguration(walk.errors)
    return cast(T, result)


def tolerant(
    value: Any, type: type[T], where: str = "", previous: T | None = None
) -> tuple[T, list[ConfigurationError]]:
    """As convert, but what is wrong costs no more than itself and is returned as errors. A bad entry of a collection (a
    map of id to struct) stays as it is in `previous`, or is left out; so does a bad setting, or has its default; an
    unknown one is left out. Entries are taken whole or not at all: a mistyped interlock must not be no interlock.

    Raises InvalidConfiguration where nothing can be made of the rest.

    >>> import msgspec
    >>> fields = [("poll", int, 5), ("unit", int, 1)]
    >>> Source = msgspec.defstruct("Source", fields, frozen=True, forbid_unknown_fields=True)
    >>> value, errors = tolerant({"poll": "x", "unit": 7, "colour": 1}, Source)
    >>> value, [error.where for error in errors]
    (Source(poll=5, unit=7), ['colour', 'poll'])
    """
    walk = _Walk(dropped=[], previous=previous, origin=where)
    walk.lenient = True
    result = walk.value(value, describe(type), where, 0)
    if walk.errors:
        raise InvalidConfiguration(walk.errors)
    return cast(T, result), walk.dropped or []


def partial(value: Any, type: type[T], where: str = "") -> tuple[dict[str, T], list[ConfigurationError]]:
    """Entries by id, each converted alone, so that one bad entry does not stop the others. Empty entries are absent.

    >>> good, bad = partial({"a": "1", "b": "x", "c": ""}, int, "limits")
    >>> good, str(bad[0])
    ({'a': 1}, "invalid value (limits.b): 'x' is no integer; correct it in the deployment's configuration")
    """
    walk = _Walk()
    result = walk.entries({} if absent(value) else value, describe(Id), describe(type), where, 0, walk.errors)
    return ({} if result is _BAD else result), walk.errors


def absent(value: object) -> bool:
    """Whether a value says "not configured": null, or the "" that is left on lite where something was removed."""
    return value is None or value == ""


def describe(type: Any) -> inspect.Type:
    """msgspec's description of a type."""
    return _described(type)


_described = lru_cache(maxsize=256)(inspect.type_info)


def plain(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """A type without its wrapper, and the `extra` of the wrapper."""
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        extra = {**(kind.extra or {}), **extra}
        kind = kind.type
    return kind, extra


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


class _Walk:
    """One conversion. What does not fit becomes _BAD and a line in `errors` (entries of collections: in `dropped`)."""

    def __init__(self, dropped: list[ConfigurationError] | None = None, previous: Any = None, origin: str = "") -> None:
        self.errors: list[ConfigurationError] = []
        self.dropped, self.previous, self.origin = dropped, previous, origin
        self.lenient = False

    def inner(self) -> _Walk:
        return _Walk(self.dropped, self.previous, self.origin)

    def value(self, value: Any, kind: inspect.Type, where: str, depth: int) -> Any:
        bare, extra = plain(kind)
        try:
            if depth > _DEEPEST:
                raise Refused(f"more than {_DEEPEST} levels")
            if isinstance(bare, inspect.UnionType):
                return self._union(value, bare, where, depth)
            if isinstance(bare, inspect.StructType):
                return self._struct(value, bare, where, depth)
            if isinstance(bare, inspect.DictType):
                return self._dict(value, bare, where, depth)
            if isinstance(bare, (inspect.CollectionType, inspect.TupleType)):
                return self._list(value, bare, where, depth)
            return leaf(value, bare, extra)
        except Refused as error:
            return self._bad(where, str(error))

    def _bad(self, where: str, why: str, what: str = "invalid value", mend: str = _CORRECT) -> Any:
        self.errors.append(ConfigurationError(what, where=where, why=why, mend=mend))
        return _BAD

    def _struct(self, value: Any, kind: inspect.StructType, where: str, depth: int) -> Any:
        if value == "":
            value = {}
        if not isinstance(value, Mapping):
            raise Refused(f"{shown(value)} is no map of settings")
        before = len(self.errors)
        by_name = {field.encode_name: field for field in kind.fields}
        if kind.tag_field is not None:
            value = {key: item for key, item in value.items() if key != kind.tag_field}
        for key in value:
            if key not in by_name and kind.forbid_unknown_fields and not absent(value[key]):
                self._unknown(_join(where, key), str(key), by_name)
        arguments: dict[str, Any] = {}
        for name, field in by_name.items():
            given = value.get(name)
            if absent(given) and not (given == "" and _takes_empty(field.type)):
                if field.required:
                    self._bad(_join(where, name), "", "missing value", f"set it{_hint(field.type)}")
                continue
            converted = self._setting(given, field, _join(where, name), depth + 1)
            if converted is not _BAD:
                arguments[field.name] = converted
        if len(self.errors) > before:
            return _BAD
        try:
            return kind.cls(**arguments)
        except (ValueError, TypeError) as error:
            return self._bad(where, str(error))

    def _setting(self, given: Any, field: inspect.Field, where: str, depth: int) -> Any:
        """Leniently, an optional setting that does not fit is _BAD, and that is no error of the whole."""
        if not self.lenient or self.dropped is None:
            return self.value(given, field.type, where, depth)
        walk = self.inner()
        walk.lenient = True
        converted = walk.value(given, field.type, where, depth)
        if not walk.errors:
            return converted
        converted = self._before(where)
        target = self.errors if field.required and converted is _BAD else self.dropped
        target += walk.errors
        return converted

    def _unknown(self, where: str, key: str, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.6)
        mend = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(names)) or 'none'}"
        if self.lenient and self.dropped is not None:
            pointer = "/" + where.replace(".", "/")
            mend += f"; where another version left it, reset {pointer} in a deployment"
            self.dropped.append(ConfigurationError("unknown key", where=where, mend=mend))
            return
        self._bad(where, "", "unknown key", mend)

    def _dict(self, value: Any, kind: inspect.DictType, where: str, depth: int) -> Any:
        target = self.errors
        if self.dropped is not None and _is_struct(kind.value_type):
            target = self.dropped
        return self.entries(value, kind.key_type, kind.value_type, where, depth, target)

    def entries(
        self,
        value: Any,
        key_type: inspect.Type,
        value_type: inspect.Type,
        where: str,
        depth: int,
        target: list[ConfigurationError],
    ) -> Any:
        """Entries that fit; those of the others are appended to `target`. "" and null remove an entry of structs."""
        if value == "":
            value = {}
        if not isinstance(value, Mapping):
            return self._bad(where, f"{shown(value)} is no map")
        result: dict[Any, Any] = {}
        for key, item in value.items():
            path = _join(where, key)
            if absent(item) and not (item == "" and _takes_empty(value_type)):
                continue
            walk = self.inner()
            name = _BAD
            try:
                name = leaf(str(key), plain(key_type)[0], {})
            except Refused as error:
                mend = f"rename it to {_key_hint(key_type)}"
                walk._bad(path, str(error), "invalid key", mend)
            converted = walk.value(item, value_type, path, depth + 1)
            if walk.errors:
                target += walk.errors
                converted = self._before(path) if target is self.dropped else _BAD
            if converted is not _BAD:
                result[name] = converted
        return result

    def _before(self, path: str) -> Any:
        """What the previous configuration has at a path, or _BAD."""
        value: Any = self.previous
        for name in path.removeprefix(self.origin).removeprefix(".").split("."):
            value = value.get(name, _BAD) if isinstance(value, dict) else getattr(value, name, _BAD)
        return value

    def _list(self, value: Any, kind: inspect.Type, where: str, depth: int) -> Any:
        if isinstance(value, str):
            value = value.replace(",", " ").split()
        if not isinstance(value, (list, tuple)):
            raise Refused(f"{shown(value)} is no list")
        if isinstance(kind, inspect.TupleType):
            if len(value) != len(kind.item_types):
                raise Refused(f"{len(value)} entries, {len(kind.item_types)} expected")
            types: Iterable[inspect.Type] = kind.item_types
        else:
            assert isinstance(kind, inspect.CollectionType)
            if kind.min_length is not None and len(value) < kind.min_length:
                raise Refused(f"{len(value)} entries, at least {kind.min_length} expected")
            if kind.max_length is not None and len(value) > kind.max_length:
                raise Refused(f"{len(value)} entries, at most {kind.max_length} allowed")
            types = (kind.item_type for _ in value)
        before = len(self.errors)
        pairs = enumerate(zip(value, types, strict=False))
        items = [self.value(v, t, f"{where}[{i}]", depth + 1) for i, (v, t) in pairs]
        if len(self.errors) > before:
            return _BAD
        make: Callable[[list[Any]], Any] = list
        for family, maker in ((inspect.SetType, set), (inspect.FrozenSetType, frozenset), (inspect.ListType, list)):
            if isinstance(kind, family):
                make = maker
                break
        else:
            make = tuple
        return make(items)

    def _union(self, value: Any, kind: inspect.UnionType, where: str, depth: int) -> Any:
        members = [t for t in kind.types if not isinstance(plain(t)[0], inspect.NoneType)]
        if len(members) < len(kind.types) and absent(value):
            return None
        structs = [s for t in members if isinstance(s := plain(t)[0], inspect.StructType) and s.tag_field is not None]
        if structs and isinstance(value, Mapping):
            return self._tagged(value, structs, where, depth)
        attempts = []
        for member in sorted(members, key=_preference):
            walk = self.inner()
            converted = walk.value(value, member, where, depth)
            if not walk.errors:
                return converted
            attempts.append(walk.errors)
        if len(attempts) == 1:
            self.errors += attempts[0]
            return _BAD
        raise Refused("; ".join(dict.fromkeys(errors[0].why or errors[0].what for errors in attempts)))

    def _tagged(self, value: Mapping[str, Any], structs: list[inspect.StructType], where: str, depth: int) -> Any:
        field = structs[0].tag_field or "type"
        by_tag = {str(struct.tag): struct for struct in structs}
        tag = value.get(field)
        path = _join(where, field)
        if absent(tag):
            return self._bad(path, "", "missing value", f"one of: {', '.join(sorted(by_tag))}")
        if str(tag) not in by_tag:
            near = difflib.get_close_matches(str(tag).lower(), list(by_tag), n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(sorted(by_tag))}"
            return self._bad(path, f"{shown(tag)} is unknown", mend=mend)
        return self.value(value, by_tag[str(tag)], where, depth)


def _key_hint(kind: inspect.Type) -> str:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.StrType) and bare.pattern:
        return "lower-case letters, digits, _ and -, at most 32, a letter or digit first"
    return "what the collection takes"


def _is_struct(kind: inspect.Type) -> bool:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.UnionType):
        return any(_is_struct(member) for member in bare.types)
    return isinstance(bare, inspect.StructType)


def _takes_empty(kind: inspect.Type) -> bool:
    bare, _ = plain(kind)
    return isinstance(bare, inspect.StrType) and not bare.min_length and not bare.pattern


def _hint(kind: inspect.Type) -> str:
    bare, _ = plain(kind)
    if isinstance(bare, inspect.LiteralType):
        return f" to one of: {', '.join(map(str, bare.values))}"
    if isinstance(bare, inspect.CustomType) and bare.cls in QUANTITIES:
        return f" to a {bare.cls.EXPECTED}"  # type: ignore[attr-defined]
    return ""


_ORDER = (
    inspect.StructType,
    inspect.LiteralType,
    inspect.EnumType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
)


def _preference(kind: inspect.Type) -> int:
    bare, _ = plain(kind)
    for rank, family in enumerate(_ORDER):
        if isinstance(bare, family):
            return rank
    return 99 if isinstance(bare, inspect.StrType) else 50
