"""`cost`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers
    from edgeloop_tools.cost.estimate import Estimate


def register(subparsers: Subparsers) -> None:
    cost = subparsers.add_parser(
        "cost",
        help="what a line sends, wears and costs",
        description="An estimate for each device and month from the line's capture policy: bytes, requests, flash "
        "wear, money. Prices are a dated table; give your own with --prices.",
    )
    cost.add_argument("--line", type=Path, required=True, metavar="FILE")
    cost.add_argument("--overlay", type=Path, action="append", default=[], metavar="FILE", help="over it; repeat")
    cost.add_argument("--devices", type=int, default=1, metavar="N", help="of such a line (1)")
    cost.add_argument("--region", default="us-east-1", metavar="R", help="of the prices (us-east-1)")
    cost.add_argument("--prices", type=Path, metavar="FILE", help="JSON with prices of your own")
    cost.add_argument("--rate", action="append", default=[], metavar="STREAM=HZ", help="where only a run knows; repeat")
    cost.add_argument("--alarms", type=float, default=2.0, metavar="N", help="alarms a day (2)")
    cost.add_argument("--months", type=float, default=12.0, metavar="N", help="that what was sent is kept (12)")
    cost.add_argument("--flash", type=float, default=30.0, metavar="TB", help="that the device's flash bears (30)")
    cost.set_defaults(run=_cost)


def _cost(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.config import load
    from edgeloop_tools.config.outline import UPLOAD
    from edgeloop_tools.cost.estimate import estimate, shared
    from edgeloop_tools.cost.prices import prices

    line = load(arguments.line, arguments.overlay)
    table = prices(arguments.region, arguments.prices)
    found = estimate(line, dict(_rate(text) for text in arguments.rate), arguments.alarms)
    kinesis = bool(line.components().get(UPLOAD, {}).get("kinesis"))
    each = found.money(table, months=arguments.months, kinesis=kinesis)
    site = shared(table, kinesis=kinesis)
    for text in _shown(found, arguments.flash):
        print(text)
    print(f"\nUSD a month, list prices of {table.region} as of {table.date}, after {arguments.months:g} months:")
    for name, value in each.items():
        print(f"  {name:14} {value:10.4f} a device   {value * arguments.devices:12.2f} for {arguments.devices}")
    for name, value in site.items():
        print(f"  {name:14} {'':10} {'':8}   {value:12.2f} for all together")
    total = sum(each.values()) * arguments.devices + sum(site.values())
    print(f"  {'all':14} {'':10} {'':8}   {total:12.2f}")
    return 0


def _shown(found: Estimate, flash: float) -> list[str]:
    lines = [f"{'stream':28} {'Hz':>9} {'channels':>8} {'goes up':>8} {'MB a day':>9} {'objects':>8}"]
    for flow in found.flows:
        rate = f"{flow.rate:g}{'?' if flow.assumed else ''}"
        size = f"{flow.up / 1e6:>9.2f} {flow.objects:>8.0f}"
        lines.append(f"{flow.stream:28} {rate:>9} {flow.channels:>8} {flow.share:>8.2%} {size}")
    lines.append(f"{'results, alarms':28} {'':>9} {'':>8} {'':>8} {found.records / 1e6:>9.2f}")
    if any(flow.assumed for flow in found.flows):
        lines.append("?: the line does not say it; give --rate STREAM=HZ")
    years = flash * 1e12 / (found.written * 365) if found.written else float("inf")
    month = f"{found.up * 30.4 / 1e9:.2f} GB a month, {found.objects:.0f} objects a day"
    lines += [
        f"goes up: {found.up / 1e9:.3f} GB a day, {month}",
        f"written to the device's disk: {found.written / 1e9:.2f} GB a day; {flash:g} TB last {years:.1f} years",
    ]
    return lines


def _rate(text: str) -> tuple[str, float]:
    from edgeloop.errors import EdgeloopError

    stream, sign, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not sign or not 0 < value < 1e9:
        raise EdgeloopError("not a rate", where=f"--rate {text}", mend="such as --rate scale=10")
    return stream, value
