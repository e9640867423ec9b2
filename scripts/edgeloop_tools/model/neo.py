"""`model compile`: SageMaker Neo makes a folder for dlr of an ONNX model, which becomes a variant of the package.

Neo's frameworks for the edge are frozen (ONNX 1.7: opset 12): what it cannot take is refused here, before anything is
uploaded.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edgeloop import optional
from edgeloop.clock import now
from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import Manifest, Variant
from edgeloop_tools.model.targets import TARGETS
from edgeloop_tools.model.variants import Extended, Files, extend, opened, opset, source

OPSET: Final = 12
"""Of ONNX 1.7, the last that Neo takes for the edge."""
LIMIT: Final = 1 << 30
"""Bytes of what Neo made."""
PATIENCE: Final = 900
"""s that Neo may take for a job."""
_PAUSE: Final = 10.0
_WANTED: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def compile_package(
    path: Path, out: Path, *, to: str, role: str, target: str, version: str = "", key: str = "",
    sagemaker: Any = None, s3: Any = None, say: Callable[[str], object] = print, pause: float = _PAUSE,
) -> Extended:  # fmt: skip
    """Uploads, compiles, fetches, packs. to: `s3://bucket/prefix` for what goes there and comes from there. Raises
    EdgeloopError where Neo cannot take the model, and where the job fails."""
    from edgeloop_tools.fleet.account import Account, speaking

    if target not in TARGETS:
        raise EdgeloopError("Neo compiles for no such target", where=target, mend=f"one of {', '.join(TARGETS)}")
    parts = urlsplit(to)
    if parts.scheme != "s3" or not parts.netloc:
        raise EdgeloopError("Neo reads and writes below s3://bucket/prefix", where=to)
    bucket, prefix = parts.netloc, unquote(parts.path).strip("/")
    with opened(path) as package:
        base = source(package)
        model = package.folder / base.path
        check(model, package.manifest)
        if sagemaker is None or s3 is None:
            account = Account(None)
            sagemaker, s3 = sagemaker or account.client("sagemaker"), s3 or account.s3
        job = f"{_named(package.manifest)}-{now() // 1_000_000_000}"[-63:].lstrip("-")
        source_key = "/".join(filter(None, (prefix, job, "model.tar.gz")))
        with speaking():
            s3.put_object(Bucket=bucket, Key=source_key, Body=_archive(model))
            sagemaker.create_compilation_job(
                CompilationJobName=job, RoleArn=role,
                InputConfig={
                    "S3Uri": f"s3://{bucket}/{source_key}", "Framework": "ONNX",
                    "DataInputConfig": json.dumps({t.name: list(t.shape) for t in package.manifest.inputs}),
                },
                OutputConfig={
                    "S3OutputLocation": f"s3://{bucket}/{'/'.join(filter(None, (prefix, job)))}/",
                    **TARGETS[target].output,
                },
                StoppingCondition={"MaxRuntimeInSeconds": PATIENCE},
            )  # fmt: skip
            say(f"{job}: Neo compiles for {target}")
            where = _waited(sagemaker, job, pause)
            made = urlsplit(where)
            data = s3.get_object(Bucket=made.netloc, Key=unquote(made.path.lstrip("/")))["Body"].read(LIMIT + 1)
        name = f"neo-{target.removeprefix('linux-')}"
        files = _files(data, name, where)
        known: Any = TARGETS[target].architecture
        variant = Variant(runtime="dlr", path=name, architecture=known)
        return extend(package, variant, files, out, version=version, key=key)


def check(model: Path, manifest: Manifest) -> None:
    """Raises EdgeloopError for what Neo does not take."""
    onnx = optional.load("onnx", "looking at a model")
    loaded = onnx.load(str(model), load_external_data=False)
    version = opset(loaded)
    reasons = []
    if version > OPSET:
        reasons.append(f"opset {version}; Neo's ONNX for the edge is 1.7, which ends at opset {OPSET}")
    if foreign := sorted({each.domain for each in loaded.opset_import} - {"", "ai.onnx"}):
        reasons.append(f"operators of {', '.join(foreign)}")
    for tensor in manifest.inputs:
        if not all(isinstance(extent, int) for extent in tensor.shape):
            reasons.append(f"input {tensor.name} leaves {tensor.shape} open; Neo needs numbers")
        if tensor.dtype != "float32":
            reasons.append(f"input {tensor.name} is {tensor.dtype}; Neo takes float32")
    if any(isinstance(extent, str) for tensor in manifest.outputs for extent in tensor.shape):
        reasons.append("an output's size changes with the picture; Neo's graphs have none such")
    if reasons:
        mend = f"export it with opset {OPSET} and fixed sizes, or use `model quantize`, which needs no Neo"
        raise EdgeloopError("Neo cannot take this model", where=manifest.name, why="; ".join(reasons), mend=mend)


def _named(manifest: Manifest) -> str:
    """Of a job: letters, digits and single hyphens."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", f"{manifest.name}-{manifest.version}").strip("-")


def _archive(model: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(model, "model.onnx")
    return buffer.getvalue()


def _waited(sagemaker: Any, job: str, pause: float) -> str:
    """Where the job put what it made. Raises EdgeloopError where it failed, or takes longer than it may."""
    deadline = time.monotonic() + PATIENCE + 300
    while time.monotonic() < deadline:
        found = sagemaker.describe_compilation_job(CompilationJobName=job)
        status = found["CompilationJobStatus"]
        if status == "COMPLETED":
            return str(found["ModelArtifacts"]["S3ModelArtifacts"])
        if status in ("FAILED", "STOPPED"):
            why = str(found.get("FailureReason") or status).strip().splitlines()[0][:300]
            raise EdgeloopError("Neo did not compile the model", where=job, why=why)
        time.sleep(pause)
    raise EdgeloopError("Neo has not ended", where=job, why=f"after {PATIENCE + 300} s")


def _files(data: bytes, name: str, where: str) -> Files:
    """The regular files of Neo's archive, below a folder. Raises EdgeloopError."""
    if len(data) > LIMIT:
        raise EdgeloopError("what Neo made is too large", where=where, why=f"over {LIMIT >> 20} MiB")
    found: Files = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in archive:
                base = member.name.removeprefix("./")
                if not member.isfile() or not _WANTED.fullmatch(base):
                    continue
                total += member.size
                opened_file = archive.extractfile(member)
                if total > LIMIT or opened_file is None:
                    raise EdgeloopError("what Neo made is too large", where=where, why=f"over {LIMIT >> 20} MiB")
                found[f"{name}/{base}"] = opened_file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise EdgeloopError("what Neo made cannot be read", where=where, why=str(error)) from None
    if not any(each.endswith(".so") for each in found):
        raise EdgeloopError("what Neo made has no library", where=where, why=f"{', '.join(sorted(found)) or 'nothing'}")
    return found
