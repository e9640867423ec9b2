"""A Greengrass component that brings one version of a model: a deployment of it is the wish to have it active."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.recipe import FORMAT, PUBLISHER, URI, dump
from edgeloop_tools.model.variants import opened, was_signed

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
WISHES: Final = "{kernel:rootPath}/work/io.edgeloop.ModelUpdate/wishes"
SCRIPT: Final = """\
folder="{wishes}"
n=0
until [ -d "$folder" ] || [ $n -ge 1800 ]; do n=$((n+1)); sleep 1; done
printf '%s' '{wish}' >"$folder/.{model}.new" && mv "$folder/.{model}.new" "$folder/{model}.json"
exec sleep infinity
"""
"""ModelUpdate makes the folder; it looks there every 15 s."""


def write(package: Path, name: str, out: Path) -> list[str]:
    """Recipe and artifact below `out/recipes` and `out/artifacts`, as the Greengrass CLI and GDK take them; lines that
    tell. Raises EdgeloopError."""
    if not _NAME.fullmatch(name):
        raise EdgeloopError("this is no name of a component", where="--component", why=name,
                            mend="write it as com.example.Surface")  # fmt: skip
    with opened(package) as found:
        manifest, digest = found.manifest, found.digest
        signed = was_signed(found)
    file = f"{manifest.name}-{manifest.version}.tar"
    wish = {"uri": f"file:{{artifacts:path}}/{file}", "digest": digest, "component": name}
    script = SCRIPT.format(wishes=WISHES, wish=msgspec.json.encode(wish).decode(), model=manifest.name)
    document: dict[str, Any] = {
        "RecipeFormatVersion": FORMAT,
        "ComponentName": name,
        "ComponentVersion": manifest.version,
        "ComponentDescription": (manifest.card.description or f"the model {manifest.name}")[:256],
        "ComponentPublisher": PUBLISHER,
        "ComponentDependencies": {
            "io.edgeloop.ModelUpdate": {"VersionRequirement": ">=0.1.0", "DependencyType": "SOFT"}
        },
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": URI.format(file=file)}],
                "Lifecycle": {"run": {"Script": script}},
            }
        ],
    }
    recipe = out / "recipes" / f"{name}-{manifest.version}.yaml"
    artifact = out / "artifacts" / name / manifest.version / file
    for path in (recipe, artifact):
        path.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(dump(document))
    shutil.copyfile(package, artifact)
    artifact.chmod(0o644)
    lines = [f"{recipe}: deploy it and ModelUpdate brings {manifest.name} {manifest.version} into use", str(artifact)]
    return lines if signed else [*lines, "the package is not signed"]
