"""Model packages for the demo: the default model under another version, and one that does not keep its golden set."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgeloop.models import golden
from edgeloop.models.manifest import GOLDEN
from edgeloop.models.package import listed, pack, unpack
from edgeloop_tools.build.model import path

BAD, GOOD = "1.1.0", "1.2.0"
"""Versions."""


SIGNED, FORGED, OLD, SHADOWED = "1.2.0", "1.3.0", "1.1.0", "1.4.0"
"""Versions of the story of signatures."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package that ModelUpdate is to bring into use."""

    name: str
    version: str
    path: Path
    digest: str

    def desired(self) -> dict[str, str]:
        """As an entry of ModelUpdate's `models`."""
        return {"uri": self.path.as_uri(), "digest": f"sha256:{self.digest}"}


@dataclass(frozen=True, slots=True)
class Story:
    """Packages and what is to become of them. key: the public one that a line trusts."""

    key: str
    signed: Candidate
    forged: Candidate
    old: Candidate
    shadowed: Candidate


def story(name: str, folder: Path) -> Story:
    """A model that the right key signed, one that another did, an older one that the right key signed, and a candidate
    that rejects more. Written below `folder`, which is emptied before."""
    from edgeloop_tools.model import keys

    _fresh(folder)
    private, _, public = keys.generate(folder / "release")
    forger, _, _ = keys.generate(folder / "forger")
    package = unpack(path(name), folder / "default")
    files = {file: (package.folder / file).read_bytes() for file in package.manifest.files}
    limit = package.manifest.thresholds.get("fail", 0.5)
    made = {}
    for version, key, fail in ((SIGNED, private, limit), (FORGED, forger, limit), (OLD, private, limit),
                               (SHADOWED, private, limit / 10)):  # fmt: skip
        thresholds = {**package.manifest.thresholds, "fail": fail}
        manifest = msgspec.structs.replace(
            package.manifest, version=version, files=listed(files), thresholds=thresholds
        )
        target = folder / f"{name}-{version}.tar"
        digest = pack(target, manifest, files, key=keys.private(key))
        target.chmod(0o644)
        made[version] = Candidate(name, version, target, digest)
    shutil.rmtree(folder / "default")
    return Story(public, made[SIGNED], made[FORGED], made[OLD], made[SHADOWED])


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755, parents=True)
    folder.chmod(0o755)


def candidates(name: str, folder: Path) -> tuple[Candidate, Candidate]:
    """(bad, good), written below `folder`, which is emptied before."""
    _fresh(folder)
    package = unpack(path(name), folder / "default")
    files = {file: (package.folder / file).read_bytes() for file in package.manifest.files}
    wrong = [golden.Case(case.inputs, [1 - output for output in case.outputs]) for case in package.cases()]
    made = []
    for version, content in ((BAD, files | {GOLDEN: golden.encode(wrong)}), (GOOD, files)):
        manifest = msgspec.structs.replace(package.manifest, version=version, files=listed(content))
        target = folder / f"{name}-{version}.tar"
        digest = pack(target, manifest, content)
        target.chmod(0o644)
        made.append(Candidate(name, version, target, digest))
    shutil.rmtree(folder / "default")
    return made[0], made[1]
