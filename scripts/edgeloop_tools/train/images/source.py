"""Pictures and their labels, from wherever a user of another service has them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from camera_inference.pictures import decode
from edgeloop.errors import EdgeloopError
from edgeloop.teach.backbone import Pixels
from edgeloop_tools.label.dataset import DataSet, Item, read
from edgeloop_tools.train.images.recordio import listed, records

RECORDS: Final = (".rec", ".recordio")


def data_set(where: Path) -> DataSet:
    """A folder, a manifest, a `.lst` list (paths below its folder), a RecordIO file. Raises EdgeloopError."""
    if where.is_dir():
        lists = [p for p in sorted(where.iterdir()) if p.suffix in (".lst", *RECORDS)]
        if len(lists) == 1:
            where = lists[0]
    if where.suffix == ".lst":
        items = [Item(path, _name(label)) for path, label in listed(where)]
        if not items:
            raise EdgeloopError("the list is empty", where=str(where), mend="number, label, path, with tabs between")
        return DataSet(where.parent, items, sorted({i.label for i in items}))
    if where.suffix in RECORDS:
        return _recorded(where)
    return read(where)


def _name(label: float) -> str:
    return f"class_{label:g}"


def _recorded(path: Path) -> DataSet:
    """Unpacked below the temporary folder: a picture is read several times."""
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-records-"))
    items = []
    try:
        for place, (_, label, picture) in enumerate(records(path)):
            suffix = ".png" if picture.startswith(b"\x89PNG") else ".jpg"
            target = folder / f"{place:07}{suffix}"
            target.write_bytes(picture)
            items.append(Item(target.name, _name(label)))
    except OSError as error:
        raise EdgeloopError("cannot read the records", where=str(path), why=str(error)) from None
    if not items:
        raise EdgeloopError("the RecordIO file is empty", where=str(path))
    return DataSet(folder, items, sorted({i.label for i in items}))


def pictures(data: DataSet, items: list[Item], lines: list[str]) -> Iterator[tuple[Item, Pixels]]:
    """RGB, upright, one by one; what cannot be read is left out, and told."""
    for item in items:
        if item.source.startswith("s3://"):
            lines.append(f"{item.source}: fetch it first: `aws s3 sync`")
            continue
        path = data.path(item)
        try:
            image = decode(path.read_bytes(), item.source)
        except OSError as error:
            lines.append(f"{item.source}: left out: {error.strerror or error}")
            continue
        except EdgeloopError as error:
            lines.append(str(error))
            continue
        yield item, np.ascontiguousarray(image[:, :, ::-1])
