"""`LOOP.yaml`: where pictures come from, who labels them, what a better model must save, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.config.load import convert
from edgeloop.errors import EdgeloopError

Step = Literal["fetch", "labels", "train", "publish", "deploy", "probation"]
STEPS: tuple[Step, ...] = ("fetch", "labels", "train", "publish", "deploy", "probation")


class Deploy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """core: root of a local core, whose ModelUpdate is told; or thing_group and line: as of `edgeloop deploy`."""

    core: str = ""
    thing_group: str = ""
    line: str = ""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """model: its name. pictures: a folder, or s3://…, of hard examples with their sidecars. answers: the same of
    records that went up: what operators said of parts. labels: a data set, or a folder of them, that people or other
    programs label in; where it is not said, the work folder's own. after: new labels that a training is worth; errors:
    share of wrong verdicts, surely exceeded, from which any new label is. first: a package to begin with, where nothing
    is active. key: that signs. publish: a folder or s3://…, see `model publish`. ask: steps before which a person is
    asked. probation: s."""

    model: Id
    work: str
    pictures: str = ""
    answers: str = ""
    labels: str = ""
    after: Annotated[int, Meta(ge=1)] = 20
    errors: Annotated[float, Meta(gt=0, le=1)] = 1.0
    costs: str = ""
    first: str = ""
    key: str = ""
    publish: str = ""
    deploy: Deploy | None = None
    ask: tuple[Step, ...] = ()
    probation: Annotated[float, Meta(ge=0)] = 3600.0
    seed: int = 0


def read(path: Path) -> Plan:
    """Raises EdgeloopError naming the field; paths are relative to the file."""
    try:
        known = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise EdgeloopError("cannot read the loop's plan", where=str(path), why=why) from None
    if not isinstance(known, dict):
        raise EdgeloopError("no plan of a loop", where=str(path), why="it is no map", mend="model: NAME, work: DIR, …")
    plan = convert(known, Plan, str(path))
    base = path.parent
    moved = {
        name: str(base / value)
        for name in ("work", "pictures", "answers", "labels", "first", "key", "publish")
        if (value := getattr(plan, name)) and "://" not in value
    }
    return msgspec.structs.replace(plan, **moved)
