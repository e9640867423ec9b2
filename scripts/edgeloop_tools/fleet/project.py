"""A GDK project per component: gdk-config.json, recipe.yaml, the artifacts, and a build that copies them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError

GDK_VERSION = "1.3.0"
CONFIGURATION, RECIPE, BUILT = "gdk-config.json", "recipe.yaml", "greengrass-build"


def configuration(name: str, version: str, bucket: str, region: str, build: list[str]) -> dict[str, Any]:
    """gdk-config.json; `bucket` without region and account, which GDK appends."""
    from edgeloop_tools.build.recipe import PUBLISHER

    return {
        "component": {
            name: {
                "author": PUBLISHER,
                "version": version,
                "build": {"build_system": "custom", "custom_build_command": build},
                "publish": {"bucket": bucket, "region": region},
            }
        },
        "gdk_version": GDK_VERSION,
    }


def emit(top: Path, name: str, version: str, recipe: str, files: Mapping[str, bytes], bucket: str, region: str) -> Path:
    """Writes the project `top`/`name` anew; returns its folder."""
    folder = top / name
    commands = [f"cp {RECIPE} {BUILT}/recipes/"]
    if files:
        commands.append(f"cp artifacts/* {BUILT}/artifacts/{name}/{version}/")
    config = configuration(name, version, bucket, region, ["sh", "-c", " && ".join(commands)])
    try:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "artifacts").mkdir(parents=True)
        (folder / CONFIGURATION).write_text(json.dumps(config, indent=2) + "\n")
        (folder / RECIPE).write_text(recipe)
        for file, data in files.items():
            (folder / "artifacts" / file).write_bytes(data)
    except OSError as error:
        raise EdgeloopError("cannot write the GDK project", where=str(folder), why=error.strerror or "",
                            mend="choose another folder with --out") from error  # fmt: skip
    return folder


def umbrella(top: Path, *, laid_out: bool) -> None:
    """The recipe at the top of the checkout, without which gdk does not start there; laid_out: in gdk's folder of what
    is built too, with the folder of artifacts that an umbrella leaves empty."""
    from edgeloop import __version__
    from edgeloop_tools.build import recipes, write
    from edgeloop_tools.build.components import UMBRELLA

    text = recipes()[f"{UMBRELLA}-{__version__}.yaml"].encode()
    write(top / RECIPE, text)
    if laid_out:
        write(top / BUILT / "recipes" / RECIPE, text)
        (top / BUILT / "artifacts" / UMBRELLA / __version__).mkdir(parents=True, exist_ok=True)


def gdk() -> str | None:
    """The installed GDK command line, if there is one."""
    return shutil.which("gdk")


def run(program: str, folder: Path, region: str, *words: str) -> None:
    """`gdk component WORDS` in the project. Raises EdgeloopError with the last line of what it said."""
    environment = {**os.environ, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    command = [program, "component", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise EdgeloopError("cannot run gdk", where=program, why=error.strerror or "",
                            mend="install it, or use --with boto3") from error  # fmt: skip
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip(" =")]
        why = next((line for line in reversed(said) if "rror" in line), said[-1] if said else "it said nothing")
        raise EdgeloopError(f"gdk {' '.join(command[1:3])} failed", where=str(folder), why=why,
                            mend="run it there to see all, or use --with boto3")  # fmt: skip
