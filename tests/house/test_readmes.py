"""The words of the READMEs are run: each block of shell as it stands, or what its comment says of it.

Above a block that needs more than a checkout stands a comment, invisible on the page:
`run: stub aws` (run here, with an account of the tests), `run: end to end: FILE::TEST` (that test does what it says),
`run: rig` (a real nucleus), `run: never, because …`.
"""

from __future__ import annotations

import ast
import os
import pty
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.harness.aws import Cloud
from edgeloop_tools.harness.aws.state import Device

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "components").rglob("README.md")),
         *sorted((ROOT / "scripts").rglob("README.md"))]  # fmt: skip
SECONDS = 280
COMMENT = re.compile(r"<!-- run: (.+) -->")
KINDS = {
    "stub aws": r"stub aws",
    "end to end": r"end to end: (tests/\S+\.py)::(test_\w+)",
    "rig": r"rig",
    "never": r"never, because \S.*",
}
AWS = """#!{python}
import os, sys, boto3
words = sys.argv[1:]
region = os.environ.get("AWS_REGION")
if words == ["configure", "sso"]:
    pass
elif words[:2] == ["s3", "mb"]:
    place = {{"LocationConstraint": region}}
    bucket = words[2].removeprefix("s3://")
    boto3.client("s3", region_name=region).create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
elif words[:3] == ["iot", "create-thing-group", "--thing-group-name"]:
    boto3.client("iot", region_name=region).create_thing_group(thingGroupName=words[3])
else:
    sys.exit(f"aws: the stub does not know: {{words}}")
"""
"""Stands in for AWS's own program; like it, and unlike boto3, it reads AWS_REGION."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    comment: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        """One of KINDS, "as it stands", or "" where the comment is none of them."""
        found = [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, self.comment)]
        return found[0] if found else "as it stands" if not self.comment else ""


def blocks(page: Path) -> Iterator[Block]:
    start, language, comment, inside = 0, "", "", list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            if start:
                yield Block(page, start, language, comment, "\n".join([*inside, ""]))
                start, comment = 0, ""
            else:
                start, language, inside = number, line[3:].strip(), []
        elif start:
            inside.append(line)
        else:
            found = COMMENT.fullmatch(line.strip())
            comment = found[1] if found else comment if not line.strip() else ""


ALL = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in ALL if block.language == "sh"]


def test_every_block_says_how_it_is_run() -> None:
    assert [str(block) for block in ALL if not block.language] == [], "say what language it is: sh, yaml, json, text"
    assert [f"{block}: {block.comment}" for block in SHELL if not block.kind] == [], f"a comment is one of {[*KINDS]}"
    counts = Counter(block.kind for block in SHELL)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("as it stands", *KINDS))
    print(f"\nblocks of shell in {len(PAGES)} READMEs: {told}", file=sys.__stdout__)
    assert counts["as it stands"] + counts["stub aws"] > 0


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this one, with what the pages take for there: a line, recordings."""
    folder = tmp_path_factory.mktemp("readmes") / "edgeloop"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "greengrass-build", "tests")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
    shutil.copytree(ROOT / "scripts" / "edgeloop_tools" / "config" / "examples" / "press", folder, dirs_exist_ok=True)
    line = (folder / "line.yaml").read_text()
    (folder / "old.yaml").write_text(line)
    rng = np.random.default_rng(3)
    for name, rows in (("recordings", 1500), ("healthy", 1900)):
        (folder / name).mkdir()
        time = np.arange(rows)
        values = np.c_[20 + np.sin(time / 40) + rng.normal(0, 0.1, rows), 5 + rng.normal(0, 0.2, rows)]
        broken = (time > rows - 200) & (name == "recordings")
        values[broken] += 4
        with (folder / name / "pump.csv").open("w") as file:
            print("time,pressure,current" + (",label,anomaly" if name == "recordings" else ""), file=file)
            for at, (pressure, current), bad in zip(time, values, broken, strict=True):
                stamp = f"2026-03-01T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z"
                label = f",{int(bad)},{int(bad)}" if name == "recordings" else ""
                print(f"{stamp},{pressure:.4f},{current:.4f}{label}", file=file)
    _pictures(folder)
    return folder


def _pictures(folder: Path) -> None:
    """Good parts, and parts with labels: boards of DeepPCB where EDGELOOP_DATA has them, else of a simulated belt."""
    boards = sorted((Path(os.environ.get("EDGELOOP_DATA", "/nowhere")) / "deeppcb").rglob("*_temp.jpg"))[:60]
    for number in range(24):
        good = folder / "good_parts" / f"{number:02}.png"
        for place in (good.parent, folder / "parts" / "good", folder / "parts" / "bad"):
            place.mkdir(parents=True, exist_ok=True)
        if boards:
            temp = boards[2 * number]
            shutil.copy(temp, good.with_suffix(".jpg"))
            shutil.copy(boards[2 * number + 1], folder / "parts" / "good" / f"{number:02}.jpg")
            bad = temp.with_name(temp.name.replace("_temp", "_test"))
            shutil.copy(bad, folder / "parts" / "bad" / f"{number:02}.jpg")
            continue
        for path, part, share in (
            (good, 100 * number, 0.0), (folder / "parts" / "good" / good.name, 7000 + 50 * number, 0.0),
            (folder / "parts" / "bad" / good.name, 9000 + 50 * number, 1.0),
        ):  # fmt: skip
            image = Camera(Conveyor("gate", 5, 96, 80, defective=share)).image(part)
            cv2.imwrite(str(path), image[:, :, ::-1])


def run(block: Block, checkout: Path, environ: dict[str, str]) -> str:
    """By sh, at the top of the checkout, with a person at the terminal who says yes."""
    sources = [checkout / "components", checkout / "components" / "runtime", checkout / "scripts"]
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
    place = environ.get("PATH", "")
    environ = {**kept, "EDGELOOP_VENV": sys.prefix, "PYTHONPATH": os.pathsep.join(map(str, sources)), **environ}
    environ["PATH"] = os.pathsep.join(filter(None, [place, "/usr/local/bin:/usr/bin:/bin"]))
    script = checkout.parent / "block.sh"
    script.write_text(block.text)
    person, terminal = pty.openpty()
    try:
        os.write(person, b"y\n")
        done = subprocess.run(
            ["/bin/sh", "-e", str(script)], cwd=checkout, env=environ, stdin=terminal, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    finally:
        os.close(person)
        os.close(terminal)
    assert done.returncode == 0, f"{block} does not do what it says:\n{block.text}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture
def account(checkout: Path) -> Iterator[tuple[Cloud, dict[str, str]]]:
    """An account that is empty but for devices; its region is what the page says."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    cloud = Cloud(f"http://{host}:{port}")
    for name in ("press7", "press8"):
        cloud.state.devices[name] = Device(("presses",))
    programs = checkout.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "aws").write_text(AWS.format(python=sys.executable))
    (programs / "aws").chmod(0o755)
    environ = {key: value for key, value in cloud.environment().items() if "REGION" not in key}
    try:
        yield cloud, environ | {"PATH": str(programs)}
    finally:
        cloud.close()
        server.stop()


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_it_does_what_it_says(block: Block, request: pytest.FixtureRequest) -> None:
    if found := re.fullmatch(KINDS["end to end"], block.comment):
        tree = ast.walk(ast.parse((ROOT / found[1]).read_text()))
        assert found[2] in {node.name for node in tree if isinstance(node, ast.FunctionDef)}, block.comment
        return
    if block.kind not in ("as it stands", "stub aws"):
        pytest.skip(f"not run here: {block.comment}")
    checkout: Path = request.getfixturevalue("checkout")
    if block.kind == "as it stands":
        assert "Traceback" not in run(block, checkout, {})
        return
    account: tuple[Cloud, dict[str, str]] = request.getfixturevalue("account")
    cloud, environ = account
    said = run(block, checkout, environ)
    assert "Traceback" not in said
    assert cloud.wrong == []
    if "deploy --thing-group" in block.text:
        assert "2 devices: 2 succeeded" in said
        assert [made["targetArn"] for made in cloud.state.deployments] == [cloud.state.group_arn("presses")]
