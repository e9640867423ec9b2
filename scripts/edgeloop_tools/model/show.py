"""What people type, and what they are shown."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from edgeloop.config.identifiers import is_id
from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import Manifest
from edgeloop.models.package import unpack
from edgeloop_tools.model.make import Judged, Made, Wishes

SHOWN = 12


def size(text: str) -> tuple[int, int] | None:
    """
    >>> size("640x480"), size("320")
    ((640, 480), (320, 320))
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text.strip())
    if found is None or int(found[1]) < 1:
        raise EdgeloopError("this is no size", where="--size", why=text, mend="write WxH, such as 640x480")
    return int(found[1]), int(found[2] or found[1])


def numbers(text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise EdgeloopError(
            "these are no numbers", where=where, why=text, mend="write one, or three as a,b,c"
        ) from None


def key(path: Path | None) -> str:
    if path is None:
        return ""
    from edgeloop_tools.model import keys

    return keys.private(path)


def check(wishes: Wishes) -> None:
    """Raises EdgeloopError for what no manifest takes."""
    if not is_id(wishes.name):
        raise EdgeloopError("this is no name of a model", where="--name", why=wishes.name, mend="a-z, 0-9, _ and -")
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?", wishes.version):
        raise EdgeloopError("this is no version", where="--version", why=wishes.version, mend="write it as 1.2.3")
    if not wishes.out.absolute().parent.is_dir():
        raise EdgeloopError("there is no such folder", where=str(wishes.out.parent), mend="create it first")


def text(made: Made) -> str:
    width = max(len(value) for _, value, _ in made.told)
    lines = [f"  {name:<8} {value:<{min(width, 80)}}  {option}" for name, value, option in made.told]
    lines += [f"  note     {note}" for note in made.notes]
    manifest = made.manifest
    lines.append(f"  limit    {manifest.thresholds['fail']:.4g}, from which a picture fails")
    shown = made.judged[:SHOWN] + [j for j in made.judged[SHOWN:] if j.bad][:SHOWN]
    lines += [_line(judged) for judged in shown]
    if len(made.judged) > len(shown):
        lines.append(f"  … {len(made.judged):,} pictures in all")
    figures = "  ".join(f"{name} {value:g}" for name, value in manifest.metrics.items())
    lines.append(f"  measured {figures}")
    lines.append(
        f"{made.path}: {manifest.name} {manifest.version}, {made.path.stat().st_size:,} B, digest {made.digest[:12]}"
    )
    return "\n".join(lines)


def _line(judged: Judged) -> str:
    finding = judged.finding
    boxes = Counter(box.label for box in finding.boxes)
    seen = ", ".join(f"{count} {label}" for label, count in boxes.most_common(4))
    kind = "bad " if judged.bad else ""
    words = f"{finding.label} {finding.score:.3f}, sure {finding.confidence:.2f}"
    return f"  {kind}{judged.picture.name[:40]:<40} {judged.verdict:<7} {words}" + (f": {seen}" if seen else "")


def document(made: Made) -> str:
    pictures = [
        {"picture": j.picture.name, "bad": j.bad, "verdict": j.verdict, **msgspec.to_builtins(j.finding)}
        for j in made.judged
    ]
    head = {name: value for name, value, _ in made.told}
    body = {
        "package": str(made.path), "digest": made.digest, "told": head, "notes": made.notes, "pictures": pictures,
        "manifest": msgspec.to_builtins(made.manifest),
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(body), indent=1).decode()


def preview(made: Made, folder: Path) -> None:
    """The pictures with what was seen on them."""
    from camera_inference import pictures

    folder.mkdir(parents=True, exist_ok=True)
    for number, judged in enumerate(made.judged):
        finding = judged.finding
        line = f"{judged.verdict}: {finding.label} {finding.score:.2f}, sure {finding.confidence:.2f}"
        drawn = pictures.annotated(judged.picture.image, "bgr", finding.boxes, line)
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", judged.picture.name)[:60]
        (folder / f"{number:04d}_{name}.jpg").write_bytes(pictures.jpeg(drawn, "bgr", 88))


def inspected(path: Path, *, card: bool) -> str:
    """Raises EdgeloopError for what is no package."""
    with tempfile.TemporaryDirectory() as folder:
        package = unpack(path, Path(folder))
    manifest = package.manifest
    if not card:
        return manifest.encode().decode().rstrip()
    return _card(manifest, package.digest)


def _card(manifest: Manifest, digest: str) -> str:
    rows = [
        ("model", f"{manifest.name} {manifest.version}, {manifest.task}, digest {digest[:12]}"),
        ("what", manifest.card.description), ("use", manifest.card.use), ("limits", manifest.card.limits),
        ("licence", manifest.card.licence), ("labels", ", ".join(manifest.labels[:20])),
        ("head", manifest.head.decoder if manifest.head else ""),
        ("runs on", ", ".join(f"{v.runtime} {v.architecture} {v.precision}" for v in manifest.variants)),
        ("fails from", ", ".join(f"{value:g}" for value in manifest.thresholds.values())),
        ("figures", ", ".join(f"{name} {value:g}" for name, value in manifest.metrics.items())),
        ("trained", " ".join((manifest.provenance.trained_at, manifest.provenance.data)).strip()),
    ]  # fmt: skip
    return "\n".join(f"{name:<11}{value}" for name, value in rows if value)
