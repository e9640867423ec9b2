"""What `cameras.<id>.opinion` says. Both who asks and who calls read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.quantities import NANOSECONDS, Duration, Size
from edgeloop.limits.expression import Expression

NAMES: Final = ("confidence", "novelty", "score", "label", "verdict")
"""What `when` may name; novelty is how unlike the usual the picture is, 1 at the edge of what was seen."""
DAY: Final = NANOSECONDS["d"]
_TARGET = re.compile(r"https?://[^\s/@]+(?:/\S*)?|[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
_PER = re.compile(r"(.*?)(?:\s*(?:/|\bper\b)\s*(?:an?\s+)?(\w+))?\s*", re.DOTALL)
_MONEY = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?)\s*(?:USD|EUR|\$|€)?\s*")
_SPANS = {"s": "s", "second": "s", "min": "min", "minute": "min", "h": "h", "hour": "h", "d": "d", "day": "d",
          "week": "week", "month": "month", "year": "year"}  # fmt: skip


def _a_day(text: str, name: str, number: Callable[[str], float]) -> float:
    match = _PER.fullmatch(text)
    assert match is not None
    span = _SPANS.get((match[2] or "d").lower().removesuffix("s") or "s")
    if span is None:
        raise ValueError(f"most.{name}: {text!r} has no span, such as /d")
    try:
        found = float(number(match[1].strip()))
    except ValueError as error:
        raise ValueError(f"most.{name}: {text!r}: {error}") from None
    return float(Fraction(found) * DAY / NANOSECONDS[span])


def _count(text: str) -> float:
    word = text.lower().removesuffix("pictures").removesuffix("picture").strip().replace(",", "").replace("_", "")
    if not word.isascii() or not word.isdigit():
        raise ValueError(f"{text!r} is no number of pictures")
    return int(word)


def _amount(text: str) -> float:
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no amount, such as 2 USD")
    return float(match[1])


class Most(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What second opinions may take; within 24 hours, whatever the span it is written for."""

    pictures: Annotated[str, Meta(title="Pictures", description='such as "2000/d"; 0: none')] = "2000/d"
    bytes: Annotated[str, Meta(title="Bytes", description='such as "200 MB/d"')] = "200 MB/d"
    money: Annotated[
        str, Meta(title="Money", description='such as "2 USD/d", by `price`; empty: no limit of its own')
    ] = ""

    def __post_init__(self) -> None:
        _ = self.pictures_a_day, self.bytes_a_day, self.money_a_day

    @property
    def pictures_a_day(self) -> float:
        """
        >>> Most(pictures="100/h").pictures_a_day, Most(bytes="1 MB/d").bytes_a_day, Most(money="2 USD/d").money_a_day
        (2400.0, 1000000.0, 2.0)
        """
        return _a_day(self.pictures, "pictures", _count)

    @property
    def bytes_a_day(self) -> float:
        return _a_day(self.bytes, "bytes", lambda text: int(Size(text)))

    @property
    def money_a_day(self) -> float | None:
        return _a_day(self.money, "money", _amount) if self.money.strip() else None


class Opinion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures that the edge is unsure of, to a model elsewhere."""

    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description='"http://host:port/path" that takes a JPEG, or the name of a SageMaker endpoint',
            min_length=1,
            max_length=512,
        ),
    ]
    when: Annotated[
        str,
        Meta(
            title="When",
            description=f"a condition over {', '.join(NAMES)} of the edge's own finding; empty: only at random",
        ),
    ] = "confidence < 0.8 or novelty > 0.9"
    random: Annotated[
        str, Meta(title="Random", description="share of the others that is asked too, for the rate of agreement")
    ] = "1%"
    mode: Annotated[
        Literal["wait", "after"] | None,
        Meta(
            title="Mode",
            description="wait: a part's verdict is held until the opinion is there or `deadline` is over; after: the "
            "opinion only corrects statistics and labels; absent: wait for parts (policy every), else after",
        ),
    ] = None
    deadline: Annotated[
        Duration,
        Meta(
            title="Deadline",
            description="most that a verdict is held, after the edge has its own",
            extra={"ge": "10 ms", "le": "1 min"},
        ),
    ] = Duration("300 ms")
    most: Annotated[Most, Meta(title="Most", description="what may be spent a day")] = Most()
    price: Annotated[str, Meta(title="Price", description="what one picture is taken to cost, for `most.money`")] = (
        "0.0004 USD"
    )
    crop: Annotated[
        bool, Meta(title="Crop", description="true: around what the edge found, else the camera's region; false: all")
    ] = True
    quality: Annotated[int, Meta(title="Quality", description="of the JPEG that is sent", ge=30, le=100)] = 90
    labels: Annotated[
        str,
        Meta(
            title="Labels",
            description="of an endpoint that answers with bare probabilities, in its order, separated by blanks",
            max_length=2048,
        ),
    ] = ""
    connections: Annotated[int, Meta(title="Connections", description="kept open, most at once", ge=1, le=32)] = 4

    def __post_init__(self) -> None:
        if not _TARGET.fullmatch(self.endpoint):
            raise ValueError(f"endpoint: {self.endpoint!r} is neither http(s)://host/path nor a SageMaker endpoint")
        if self.when.strip():
            condition = Expression(self.when)
            for operand in condition.operands:
                if operand.name not in NAMES or operand.function:
                    raise ValueError(f"when: {operand.name!r} is none of {', '.join(NAMES)}")
        _ = self.share, self.money

    @property
    def share(self) -> float:
        """Of what `when` does not take, 0..1.

        >>> Opinion(endpoint="big").share, Opinion(endpoint="big", random="0.05").share
        (0.01, 0.05)
        """
        text = self.random.strip()
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ValueError(f"random: {self.random!r} is no share, such as 1%")
        return value

    @property
    def money(self) -> float:
        """Of one picture."""
        return _amount(self.price)

    @property
    def remote(self) -> bool:
        """Whether it is SageMaker's, by name."""
        return "://" not in self.endpoint
