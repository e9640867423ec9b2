"""The components that a nucleus brings along. They have no process."""

from __future__ import annotations

from edgeloop_tools.core.recipes import Lifecycle, Manifest, Recipe, Version

TOKEN_EXCHANGE = "aws.greengrass.TokenExchangeService"

_VERSIONS = {
    "aws.greengrass.Nucleus": "2.14.0",
    "aws.greengrass.NucleusLite": "2.6.0",
    TOKEN_EXCHANGE: "2.0.3",
    "aws.greengrass.Cli": "2.14.0",
}
ALWAYS = {"classic": ("aws.greengrass.Nucleus", "aws.greengrass.Cli"), "lite": ("aws.greengrass.NucleusLite",)}
"""What is there without being deployed."""

RECIPES = {
    name: Recipe(name, Version.parse(version), {}, {}, Manifest({}, Lifecycle({}), ()), description="part of the core")
    for name, version in _VERSIONS.items()
}
