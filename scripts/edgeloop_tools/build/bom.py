"""The bill of materials (CycloneDX 1.6, ECMA-424): each component's artifacts, each package that a profile installs.

The same commit gives the same bytes: no time stamp, and a serial number that is a function of the content.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgeloop import __version__
from edgeloop_tools.build.components import RUNTIME, UMBRELLA
from edgeloop_tools.build.lock import DEVICE, PROFILES

if TYPE_CHECKING:
    from edgeloop_tools.build import Built

FILE = "edgeloop.cdx.json"
_NAMESPACE = uuid.UUID("0f5e5b0e-6f0c-5d5c-9c55-2b6f3c1d7a11")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:\s*;[^\\\n]*)?)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)", re.M)


def packages(profile: str) -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    """purl → (name, version, marker, SHA-256 of its wheels) of a device profile's lock.

    >>> sorted(name for name, *_ in packages("core").values())[:2]
    ['awscrt', 'awsiotsdk']
    """
    found = {}
    for name, version, marker, hashes in _PIN.findall((DEVICE / f"{profile}.txt").read_text()):
        digests = tuple(re.findall(r"sha256:([0-9a-f]{64})", hashes))
        found[f"pkg:pypi/{name.lower()}@{version}"] = (name, version, marker.strip(" ;\\"), digests)
    return found


def bom(built: Iterable[Built]) -> str:
    """The document for these artifacts."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.model.license import LicenseExpression
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    profiles = [name for name, profile in PROFILES.items() if profile.folder == DEVICE]
    artifacts = sorted(built, key=lambda b: (b.component, b.path.name))
    digests = {b.path: hashlib.sha256(b.path.read_bytes()).hexdigest() for b in artifacts}
    locks = {name: packages(name) for name in profiles}
    content = repr([sorted((b.component, b.path.name, digests[b.path]) for b in artifacts), sorted(locks.items())])
    document = Bom(serial_number=uuid.uuid5(_NAMESPACE, content))
    ours = [LicenseExpression("Apache-2.0")]
    document.metadata.timestamp = None  # type: ignore[assignment]
    document.metadata.component = Component(
        name=UMBRELLA, version=__version__, type=ComponentType.APPLICATION, bom_ref=UMBRELLA, licenses=ours
    )
    files: dict[str, list[Component]] = {}
    for b in artifacts:
        files.setdefault(b.component, []).append(
            Component(
                name=b.path.name,
                version=__version__,
                type=ComponentType.FILE,
                bom_ref=f"{b.component}/{b.path.name}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digests[b.path])],
            )
        )
    references = [
        Component(
            name=name,
            version=__version__,
            type=ComponentType.APPLICATION,
            bom_ref=name,
            licenses=ours,
            components=parts,
        )
        for name, parts in files.items()
    ]
    installed: dict[str, Component] = {}
    for name in profiles:
        for purl, (package, version, marker, hashes) in locks[name].items():
            properties = [Property(name="edgeloop:profile", value=p) for p in profiles if purl in locks[p]]
            properties += [Property(name="edgeloop:marker", value=marker)] if marker else []
            properties += [Property(name="edgeloop:wheel:sha256", value=h) for h in hashes]
            installed[purl] = Component(
                name=package, version=version, type=ComponentType.LIBRARY, bom_ref=purl,
                purl=PackageURL.from_string(purl), properties=properties,
            )  # fmt: skip
    document.components.update([*references, *installed.values()])
    document.dependencies.add(
        Dependency(document.metadata.component.bom_ref, [Dependency(c.bom_ref) for c in references])
    )
    for component in references:
        needs = installed.values() if component.name == RUNTIME else []
        document.dependencies.add(Dependency(component.bom_ref, [Dependency(c.bom_ref) for c in needs]))
    return JsonV1Dot6(document).output_as_string(indent=1) + "\n"
