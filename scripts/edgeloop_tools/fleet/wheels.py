"""Wheelhouses for the machines of a fleet."""

from __future__ import annotations

from pathlib import Path


def fetched(platforms: str, profiles: str, python: str, folder: Path) -> dict[str, Path]:
    """Machine → wheelhouse, downloaded below `folder`. platforms: such as `linux/aarch64,linux/x86_64`."""
    from edgeloop_tools.build.wheelhouse import machines, wheelhouse

    words = profiles.replace(",", " ").split()
    return {machine: wheelhouse(words, python, machine, folder / "wheels") for machine in machines(platforms)}
