"""One probe, from its arguments to what is printed."""

from __future__ import annotations

import argparse
import sys

from edgeloop.config.identifiers import is_id
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.probe import section
from edgeloop_tools.probe.section import Proposal


def probe(arguments: argparse.Namespace) -> int:
    """YAML on standard output, what is being done on standard error."""
    id = arguments.id or {"modbus": "plc1", "opcua": "server1", "mqtt": "broker1", "serial": "port1"}[arguments.kind]
    if not is_id(id):
        raise EdgeloopError("wrong id", where=f"--id {id}", mend="use a-z, 0-9, _ and -, at most 32 characters")
    try:
        print(section.text(_found(id, arguments)), end="")
    except ValueError as error:
        raise EdgeloopError("it cannot be asked", where=arguments.url, why=str(error)) from None
    return 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _found(id: str, arguments: argparse.Namespace) -> Proposal:
    if arguments.kind == "modbus":
        from edgeloop_tools.probe import modbus

        return modbus.probe(id, arguments.url, arguments.unit, arguments.range, arguments.timeout, say)
    if arguments.kind == "opcua":
        from edgeloop_tools.probe import opcua

        return opcua.probe(id, arguments.url, arguments.timeout, say)
    span = Duration(arguments.span).seconds
    if arguments.kind == "mqtt":
        from edgeloop_tools.probe import mqtt

        given = {name: getattr(arguments, name) for name in ("ca", "certificate", "key", "username", "password_file")}
        return mqtt.probe(id, arguments.url, arguments.filter, span, {k: v for k, v in given.items() if v}, say)
    from edgeloop_tools.probe import serial

    return serial.probe(id, arguments.url, arguments.baud, span, say)
