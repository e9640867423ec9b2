"""Wheelhouses for the machines of a fleet."""

from __future__ import annotations

from pathlib import Path

from edgeloop.errors import EdgeloopError


def fetched(platforms: str, profiles: str, python: str, folder: Path) -> dict[str, Path]:
    """Machine → wheelhouse, downloaded below `folder`. platforms: such as `linux/aarch64,linux/x86_64`."""
    from edgeloop_tools.build.wheelhouse import wheelhouse

    found = {}
    for machine in machines(platforms):
        found[machine] = wheelhouse(words(profiles), python, machine, folder / "wheels" / machine)
    return found


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def machines(platforms: str) -> list[str]:
    """
    >>> machines("linux/aarch64,linux/x86_64")
    ['aarch64', 'x86_64']
    """
    from edgeloop_tools.fleet.units import ARCHITECTURES

    found = []
    for word in words(platforms):
        system, _, machine = word.partition("/")
        if system != "linux" or machine not in ARCHITECTURES:
            known = ", ".join(f"linux/{name}" for name in ARCHITECTURES)
            raise EdgeloopError("no such platform", where="--wheelhouse", why=word, mend=f"one of {known}")
        found.append(machine)
    return list(dict.fromkeys(found))
