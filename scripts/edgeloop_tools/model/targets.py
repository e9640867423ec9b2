"""What SageMaker Neo compiles for. Nothing else is imported: each start of the tools reads it for the help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Target:
    """output: of OutputConfig. architecture: of the variant."""

    output: dict[str, Any]
    architecture: str


def _platform(architecture: str, wanted: str, **more: str) -> Target:
    return Target({"TargetPlatform": {"Os": "LINUX", "Arch": wanted, **more}}, architecture)


TARGETS: Final = {
    "linux-x86_64": _platform("x86_64", "X86_64"),
    "linux-aarch64": _platform("aarch64", "ARM64"),
    "linux-armv7l": _platform("armv7l", "ARM_EABIHF"),
    "jetson_nano": Target({"TargetDevice": "jetson_nano"}, "aarch64"),
    "jetson_xavier": Target({"TargetDevice": "jetson_xavier"}, "aarch64"),
    "rasp3b": Target({"TargetDevice": "rasp3b"}, "armv7l"),
    "rasp4b": Target({"TargetDevice": "rasp4b"}, "armv7l"),
    "imx8qm": Target({"TargetDevice": "imx8qm"}, "aarch64"),
}
"""What it is compiled for. dlr has a library of its own for x86-64 alone; Neo's folder brings one."""
