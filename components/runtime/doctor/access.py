"""Who components run as, and which cameras, sound cards and serial ports that user reaches."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.device import COMPONENT_USERS, Device, me
from doctor.finding import Finding

NODES = (
    ("cameras", ("/dev/video*",), "video"),
    ("serial ports", ("/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*", "/dev/ttyTHS*", "/dev/ttymxc*"), "dialout"),
    ("sound cards", ("/dev/snd/pcm*c",), "audio"),
    ("industrial I/O", ("/dev/iio:device*",), "iio"),
)


def user(device: Device) -> Iterator[Finding]:
    account = device.account
    if account is None:
        wanted = device.user or " or ".join(COMPONENT_USERS)
        yield Finding("warning" if device.nucleus is None else "problem", "user", f"no user {wanted}",
                      "components run as it, never as root",
                      "let the nucleus's installer make it, or name yours with --user")  # fmt: skip
    elif account.uid == 0:
        yield Finding("problem", "user", f"{account.name} is root", "nothing of Edgeloop runs as root",
                      "make a user for components")  # fmt: skip
    else:
        groups = ", ".join(sorted(account.groups)) or "no group"
        yield Finding("ok", "user", f"{account.name} ({account.uid}), in {groups}; looked at as {me()}")


def nodes(device: Device) -> Iterator[Finding]:
    for what, patterns, usual in NODES:
        found = [name for pattern in patterns for name in device.glob(pattern)]
        if not found:
            yield Finding("note", what, "none")
            continue
        closed: dict[str, list[str]] = {}
        for name in found:
            group, allowed = device.group_of(name)
            if device.account is not None and (not allowed or group not in device.account.groups):
                closed.setdefault(group if allowed else usual, []).append(name)
        if not closed or device.account is None:
            yield Finding("ok", what, ", ".join(found))
        for group, names in closed.items() if device.account is not None else ():
            assert device.account is not None
            yield Finding("warning", what, ", ".join(names), f"{device.account.name} may not use them",
                          f"sudo usermod -aG {group} {device.account.name}, then restart the nucleus")  # fmt: skip
    if ports := device.glob("/dev/serial/by-id/*"):
        yield Finding("ok", "serial ports", ", ".join(ports), "these names stay when cables are moved")
