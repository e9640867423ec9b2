"""Rules of one recipe by itself. What the local core's parsers refuse is refused here too, with the line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.ipc import limits, rpc
from edgeloop_tools.core.recipes import lite, parse
from edgeloop_tools.lint import Finding
from edgeloop_tools.lint.document import Document, Where

GDK_SIZE = 16_000
SCRIPT_SIZE = 10_000
KEYS: dict[str, dict[str, str]] = {
    "": {
        name.lower(): name
        for name in (
            "RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentType", "ComponentDescription",
            "ComponentPublisher", "ComponentConfiguration", "ComponentDependencies", "Manifests", "Lifecycle",
        )
    },
    "manifest": {name.lower(): name for name in ("Name", "Platform", "Artifacts", "Lifecycle")},
    "artifact": {name.lower(): name for name in ("Uri", "Permission", "Unarchive", "Digest", "Algorithm")},
    "dependency": {name.lower(): name for name in ("VersionRequirement", "DependencyType")},
    "step": {name.lower(): name for name in ("Script", "Timeout", "Setenv", "RequiresPrivilege", "Skipif")},
}  # fmt: skip
_VARIABLE = re.compile("|".join(re.escape(f"{{{name}}}") for name in lite.VARIABLES))
_PATH_VARIABLE = re.compile(r"\{artifacts:decompressedPath\}")


def parsed(document: Document) -> Iterator[Finding]:
    """`classic`, `lite`: what a nucleus's own reading refuses."""
    for nucleus in ("classic", "lite"):
        try:
            parse(document.text.encode(), document.path, nucleus)
        except EdgeloopError as error:
            field = error.where.partition(" field ")[2]
            line = int(found[1]) if (found := re.search(r" line (\d+)$", error.where)) else document.line_of(field)
            what = f"{field}: {error.why}" if field else f"{error.what}: {error.why}"
            yield Finding(document.path, line, nucleus, what, error.mend)


def keys(document: Document) -> Iterator[Finding]:
    """`keys`: lite reads names as they are written, GDK refuses what it does not know."""
    for where in document.duplicates:
        yield document.finding(where, "keys", f"{where[-1]} is given twice")
    levels: list[tuple[Where, str, Any]] = [((), "", document.value)]
    levels += [(("ComponentDependencies", name), "dependency", d) for name, d in document.dependencies.items()]
    for where, manifest in document.manifests():
        levels.append((where, "manifest", manifest))
        artifacts = manifest.get("Artifacts")
        for number, artifact in enumerate(artifacts if isinstance(artifacts, list) else ()):
            levels.append(((*where, "Artifacts", number), "artifact", artifact))
    levels += [(where, "step", step) for where, _, step in document.steps()]
    for where, level, value in levels:
        for name in value if isinstance(value, dict) else ():
            right = KEYS[level].get(str(name).lower())
            if right != name:
                yield document.finding((*where, name), "keys", f"unknown key {name}", f"write {right}" if right else "")


def texts(document: Document) -> Iterator[Finding]:
    """`text`: what GDK's schema wants as text, and components of ours are of one type."""
    places: list[Where] = [(name,) for name in ("ComponentType", "ComponentDescription", "ComponentPublisher")]
    for where, manifest in document.manifests():
        platform = manifest.get("Platform")
        places += [(*where, "Platform", name) for name in (platform if isinstance(platform, dict) else ())]
    places += [(*where, "Script") for where, _, step in document.steps() if "Script" in step]
    for where in places:
        if where in document.lines and not isinstance(document.get(*where), str):
            yield document.finding(where, "text", f"{where[-1]} is no text", "put it in quotes")
    kind = document.get("ComponentType")
    if isinstance(kind, str) and kind != "aws.greengrass.generic":
        yield document.finding(("ComponentType",), "text", f"{kind!r} is not aws.greengrass.generic")


def size(document: Document) -> Iterator[Finding]:
    """`size`: GDK's limit; lite's smaller one is the parser's."""
    if (length := len(document.text.encode())) > GDK_SIZE:
        yield document.finding((), "size", f"{length} B, GDK takes {GDK_SIZE}")


def steps(document: Document) -> Iterator[Finding]:
    """`steps`: install and run, lower case, inside the manifest, with a numeric Timeout where they end."""
    for where, manifest in document.manifests():
        lifecycle = manifest.get("Lifecycle")
        if not isinstance(lifecycle, dict) or "run" not in lifecycle:
            yield document.finding((*where, "Lifecycle"), "steps", "there is no run step", 'add run: {Script: "true"}')
    for where, name, step in document.steps():
        if name not in ("install", "run"):
            yield document.finding(where, "steps", f"{name} does not do the same on both nuclei", "use install and run")
        if "Skipif" in step:
            yield document.finding((*where, "Skipif"), "steps", "lite ignores Skipif", "test it in the script")
        if name == "install" and "Timeout" not in step:
            yield document.finding(where, "steps", "install has no Timeout and is killed after 120 s", "add Timeout")
        if str(step.get("RequiresPrivilege", "false")).lower() != "false":
            yield document.finding((*where, "RequiresPrivilege"), "privilege", "nothing runs as root", "remove it")


def scripts(document: Document) -> Iterator[Finding]:
    """`braces`, `script`, `setenv`: what interpolation would spoil."""
    for where, name, step in document.steps():
        script = step.get("Script")
        if not isinstance(script, str):
            continue
        if len(script) >= SCRIPT_SIZE:
            yield document.finding(where, "script", f"{len(script)} B, lite takes {SCRIPT_SIZE}")
        for offset, line in enumerate(script.splitlines()):
            at = document.line((*where, "Script")) + offset + ("\n" in script)
            if found := re.search(r"[{}]", _VARIABLE.sub("", line)):
                rest = _VARIABLE.sub("", line)[found.start() :][:20]
                yield Finding(document.path, at, "braces", f"a brace that is no variable of both nuclei: {rest!r}")
            if _PATH_VARIABLE.search(line):
                yield Finding(document.path, at, "braces", "nothing is unpacked in lite's local deployments",
                              "use {artifacts:path}")  # fmt: skip
            if re.search(r"(^|[\s;&|])(sudo|su|runuser|setpriv)\s", line):
                yield Finding(document.path, at, "privilege", "nothing runs as root or as another user")
        setenv = step.get("Setenv")
        for key, value in setenv.items() if isinstance(setenv, dict) else ():
            if not isinstance(value, str):
                yield document.finding((*where, "Setenv", key), "setenv", f"{key} is no text", "put it in quotes")
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(key)):
                yield document.finding((*where, "Setenv", key), "setenv", f"{key!r} is no name of a variable")
        passes_on = re.search(r"(^|\n)\s*trap .* TERM", script) and "wait $child" in script
        if name == "run" and not passes_on and not re.search(r"(^|\n)\s*(exec\s+[^0-9]|true\s*$)", script):
            what = "a shell stays between the nucleus and the process and passes no signal on"
            yield document.finding(where, "script", what, "use exec, or trap and wait")


def artifacts(document: Document) -> Iterator[Finding]:
    """`artifact`: found by local deployments as a file, rewritten by GDK."""
    for where, manifest in document.manifests():
        entries = manifest.get("Artifacts")
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            here: Where = (*where, "Artifacts", number)
            uri = str(entry.get("Uri") or "") if isinstance(entry, dict) else ""
            if not re.fullmatch(r"s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/[A-Za-z0-9._-]+", uri):
                mend = "write s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/<file>"
                yield document.finding((*here, "Uri"), "artifact", f"{uri!r} is not GDK's placeholder", mend)
            if isinstance(entry, dict) and ({"Digest", "Algorithm"} & set(entry)):
                yield document.finding(here, "artifact", "a digest forbids the local file", "remove it")


def defaults(document: Document) -> Iterator[Finding]:
    """`configuration`: lite's limits of what it can store and give back."""
    top: Where = ("ComponentConfiguration", "DefaultConfiguration")
    if not document.defaults:
        return
    try:
        limits.check_update((), document.defaults)
        limits.check_response(document.defaults, len(rpc.encoder.encode(document.defaults)))
    except rpc.Refused as error:
        yield document.finding(top, "configuration", error.message)
    for path, leaf in limits.leaves(document.defaults):
        if leaf is None or (isinstance(leaf, float) and leaf != leaf):
            yield document.finding((*top, *path), "configuration", f"{'.'.join(path)} has no value", "leave it out")


ALONE: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    parsed, keys, texts, size, steps, scripts, artifacts, defaults,
)  # fmt: skip
