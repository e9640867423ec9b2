"""The components that a nucleus brings along, or that AWS offers and the core has in a form of its own."""

from __future__ import annotations

import shlex
import sys

from edgeloop_tools.core.recipes import Lifecycle, Manifest, Recipe, RecipeDependency, Requirement, Step, Version

TOKEN_EXCHANGE = "aws.greengrass.TokenExchangeService"
STREAM_MANAGER = "aws.greengrass.StreamManager"

_VERSIONS = {
    "aws.greengrass.Nucleus": "2.14.0",
    "aws.greengrass.NucleusLite": "2.6.0",
    TOKEN_EXCHANGE: "2.0.3",
    "aws.greengrass.Cli": "2.14.0",
}
ALWAYS = {"classic": ("aws.greengrass.Nucleus", "aws.greengrass.Cli"), "lite": ("aws.greengrass.NucleusLite",)}
"""What is there without being deployed."""

PORT_KEY = "STREAM_MANAGER_SERVER_PORT"
"""Of Stream Manager's configuration, and of the environment that tells components."""

_STREAM_MANAGER_RUN = (
    f"exec {shlex.quote(sys.executable)} -m edgeloop_tools.core.stream_manager"
    " --control '{kernel:rootPath}/control.sock' --port '{configuration:/STREAM_MANAGER_SERVER_PORT}'"
    " --authenticate '{configuration:/STREAM_MANAGER_AUTHENTICATE_CLIENT}'"
    " --store '{configuration:/STREAM_MANAGER_STORE_ROOT_DIR}'"
    " --threads '{configuration:/STREAM_MANAGER_EXPORTER_THREAD_POOL_SIZE}'"
)

RECIPES = {
    name: Recipe(name, Version.parse(version), {}, {}, Manifest({}, Lifecycle({}), ()), description="part of the core")
    for name, version in _VERSIONS.items()
}
RECIPES[STREAM_MANAGER] = Recipe(
    STREAM_MANAGER,
    Version.parse("2.1.13"),
    {TOKEN_EXCHANGE: RecipeDependency(Requirement.parse(">=2.0.0 <3.0.0", STREAM_MANAGER), "HARD")},
    {
        PORT_KEY: "",
        "STREAM_MANAGER_AUTHENTICATE_CLIENT": "true",
        "STREAM_MANAGER_STORE_ROOT_DIR": "",
        "STREAM_MANAGER_EXPORTER_THREAD_POOL_SIZE": "5",
    },
    Manifest({}, Lifecycle({"run": Step(_STREAM_MANAGER_RUN)}), ()),
    description="part of the core",
)
"""Empty: the core's port, the work folder."""
