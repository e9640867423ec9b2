"""A large wheel into an environment, in as much room as its content takes. Standard library only.

A zip file's members are taken from its end and the file is cut after each, so that what is unpacked and what is still
packed never lie there together, as they do under pip.
"""

from __future__ import annotations

import compileall
import configparser
import csv
import importlib.util
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CHUNK = 1 << 18
SCRIPT = "#!{python}\nimport sys\nfrom {module} import {name}\nsys.exit({call}())\n"


def plain(wheel: Path) -> bool:
    """Whether everything in it goes to the packages' folder as it is; what does not is pip's business."""
    with zipfile.ZipFile(wheel) as archive:
        names = [member.filename for member in archive.infolist()]
    paths = [PurePosixPath(name) for name in names]
    inside = all(not path.is_absolute() and ".." not in path.parts for path in paths)
    records = [path for path in paths if path.name == "RECORD" and path.parent.suffix == ".dist-info"]
    return inside and len(records) == 1 and not any(path.parts[0].endswith(".data") for path in paths if path.parts)


def unpack(wheel: Path, python: Path, site: Path) -> None:
    """Installs a plain wheel into the packages' folder `site` and takes the file away; its RECORD, which says that it
    is whole, comes last.

    Raises OSError, zipfile.BadZipFile.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = sorted(archive.infolist(), key=lambda member: member.header_offset, reverse=True)
        record = next(m.filename for m in members if m.filename.endswith(".dist-info/RECORD"))
        rows = [row for row in csv.reader(io.StringIO(archive.read(record).decode())) if row]
        for member in members:
            if not member.is_dir() and member.filename != record:
                _extract(archive, member, site / member.filename)
            os.truncate(wheel, member.header_offset)
    wheel.unlink()
    info = (site / record).parent
    (info / "INSTALLER").write_text("edgeloop\n")
    rows.append([f"{info.name}/INSTALLER", "", ""])
    rows += [[f"../../../bin/{name}", "", ""] for name in _scripts(info, python)]
    rows += [[name, "", ""] for name in _compiled([row[0] for row in rows], site)]
    with (site / record).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with archive.open(member) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file, CHUNK)
        mode = member.external_attr >> 16
        if stat.S_ISREG(mode) and mode & 0o111:
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode | 0o111)


def _scripts(info: Path, python: Path) -> Iterator[str]:
    """Writes the programs that the package names beside the interpreter."""
    names = configparser.ConfigParser(delimiters=("=",))
    names.optionxform = str  # type: ignore[assignment,method-assign]
    names.read(info / "entry_points.txt")
    for name, value in names.items("console_scripts") if names.has_section("console_scripts") else []:
        module, _, call = value.partition("[")[0].strip().partition(":")
        script = python.parent / PurePosixPath(name).name
        script.write_text(SCRIPT.format(python=python, module=module, name=call.partition(".")[0], call=call))
        script.chmod(0o755)
        yield script.name


def _compiled(names: list[str], site: Path) -> Iterator[str]:
    for name in names:
        if name.endswith(".py") and compileall.compile_file(site / name, quiet=2):
            cached = Path(importlib.util.cache_from_source(str(site / name)))
            if cached.exists():
                yield str(cached.relative_to(site))
