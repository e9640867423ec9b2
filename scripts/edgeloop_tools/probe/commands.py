"""The verb `source`."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

LISTEN = "30s"


def register(verbs: Subparsers) -> None:
    """Add `source probe`."""
    source = verbs.add_parser("source", help="what a source could read: looks, and prints a `sources:` section")
    actions = source.add_subparsers(dest="action", required=True, metavar="ACTION")
    probe = actions.add_parser(
        "probe", help="read what is there", description="Never writes, asks at most ten times a second."
    )
    kinds = probe.add_subparsers(dest="kind", required=True, metavar="TYPE")
    modbus = kinds.add_parser("modbus", help="units, registers and bits that answer")
    modbus.add_argument("url", help="tcp://host:502, tls://…, rtu:///dev/…?baud=19200&parity=E, rtu+tcp://…")
    modbus.add_argument("--unit", type=_span, default=(1, 1), metavar="1..32", help="unit ids (1)")
    modbus.add_argument("--range", type=_span, default=(0, 999), metavar="0..999", help="addresses (0..999)")
    modbus.add_argument("--timeout", type=float, default=1.0, metavar="S", help="for an answer (1)")
    opcua = kinds.add_parser("opcua", help="variables below Objects")
    opcua.add_argument("url", help="opc.tcp://host:4840/path")
    opcua.add_argument("--timeout", type=float, default=5.0, metavar="S", help="for an answer (5)")
    mqtt = kinds.add_parser("mqtt", help="topics that speak while it listens")
    mqtt.add_argument("url", help="mqtt://host:1883 or mqtts://host:8883")
    mqtt.add_argument("--for", dest="span", default=LISTEN, metavar="SPAN", help=f"listen so long ({LISTEN})")
    mqtt.add_argument("--filter", default="#", help="topics to listen to (#)")
    mqtt.add_argument("--ca", default="", metavar="FILE")
    mqtt.add_argument("--certificate", default="", metavar="FILE")
    mqtt.add_argument("--key", default="", metavar="FILE")
    mqtt.add_argument("--username", default="")
    mqtt.add_argument("--password-file", default="", metavar="FILE")
    serial = kinds.add_parser("serial", help="lines that come at a port")
    serial.add_argument("url", metavar="port", help="/dev/serial/by-id/…")
    serial.add_argument("--for", dest="span", default="5s", metavar="SPAN", help="listen so long at each baud (5s)")
    serial.add_argument("--baud", type=int, default=0, help="instead of trying the usual ones")
    for parser in (modbus, opcua, mqtt, serial):
        parser.add_argument("--id", default="", metavar="ID", help="of the source in what is printed")
        parser.set_defaults(run=_probe)


def _span(text: str) -> tuple[int, int]:
    """
    >>> _span("1..32"), _span("7")
    ((1, 32), (7, 7))
    """
    match = re.fullmatch(r"(\d{1,5})(?:(?:\.\.|-)(\d{1,5}))?", text)
    if match is None or not 0 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no span such as 1..32")
    return int(match[1]), int(match[2] or match[1])


def _probe(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.probe import run

    return run.probe(arguments)
