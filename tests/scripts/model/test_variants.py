"""More variants of a package: int8 by onnxruntime, Neo's by a job that botocore's own models check; the registry."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws
from onnx import TensorProto, helper, numpy_helper

from edgeloop.errors import EdgeloopError
from edgeloop.models.golden import Case
from edgeloop.models.manifest import Golden, Tensor, Variant
from edgeloop.models.package import unpack
from edgeloop_tools.build import model as default_models
from edgeloop_tools.cli import main
from edgeloop_tools.model import neo, publish, quantize, registry, variants

_spec = importlib.util.spec_from_file_location(
    "linear_model", Path(__file__).parents[2] / "runtime" / "models" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
linear_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(linear_model)
make = linear_model.make


def classifier(folder: Path, pictures: Path) -> Path:
    """Two layers of random filters, and a last one that tells good parts from bad ones by them."""
    rng = np.random.default_rng(4)
    kernels = [rng.normal(0, 0.2, shape).astype(np.float32) for shape in ((16, 3, 5, 5), (24, 16, 3, 3))]
    nodes = [
        helper.make_node("Conv", ["image", "k0"], ["c0"], strides=[2, 2]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "k1"], ["c1"], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("GlobalMaxPool", ["r1"], ["most"]),
        helper.make_node("Flatten", ["most"], ["features"]),
    ]
    weights = [numpy_helper.from_array(kernel, f"k{n}") for n, kernel in enumerate(kernels)]

    def model(more: list[Any], output: str, size: int, constants: list[Any]) -> bytes:
        graph = helper.make_graph(
            [*nodes, *more], "classifier",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 120, 160])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, size])], [*weights, *constants],
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return bytes(made.SerializeToString())

    session = ort.InferenceSession(model([], "features", 24, []), providers=["CPUExecutionProvider"])
    rows, wanted = [], []
    for kind, sign in (("good", 2.0), ("bad", -2.0)):
        for path in sorted((pictures / kind).glob("*.png")):
            image = cv2.resize(cv2.imread(str(path)), (160, 120), interpolation=cv2.INTER_AREA)[:, :, ::-1]
            tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255
            rows.append(np.append(session.run(None, {"image": tensor})[0][0], 1.0))
            wanted.append([sign, -sign])
    found = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=3e-2)[0].astype(np.float32)
    last = [helper.make_node("Gemm", ["features", "w", "b"], ["logits"])]
    constants = [numpy_helper.from_array(found[:-1], "w"), numpy_helper.from_array(found[-1], "b")]
    path = folder / "parts.onnx"
    path.write_bytes(model(last, "logits", 2, constants))
    (folder / "labels.txt").write_text("good\nbad\n")
    return path


def test_an_int8_variant_of_a_classifier(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "parts.tar", tmp_path / "small.tar"
    words = ["model", "package", str(classifier(tmp_path, pictures)), "--name", "parts", "--version", "1.0.0"]
    words += ["--task", "classification", "--colours", "rgb", "--scale", "255", "--fit", "stretch", "-o", str(source)]
    assert main([*words, "--images", str(pictures / "good"), "--bad", str(pictures / "bad")]) == 0
    assert main(["model", "keygen", "-o", str(tmp_path / "release")]) == 0
    words = ["model", "quantize", str(source), "--images", str(pictures), "--sign", str(tmp_path / "release.key")]
    capsys.readouterr()
    assert main([*words, "--parity", "0.9", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"the same on (9\d\.\d|100\.0)% of 20 inputs", said), said
    assert said.count("the one that a device like this takes") == 1
    before, package = unpack(source, tmp_path / "before"), unpack(out, tmp_path / "after")
    manifest = package.manifest
    assert manifest.provenance.parent == before.digest
    assert manifest.version == "1.0.1"
    fresh = manifest.variants[-1]
    assert (fresh.path, fresh.precision, fresh.runtime) == ("model.int8.onnx", "int8", "onnxruntime")
    assert fresh.metrics["parity"] >= 0.9
    operators = {n.op_type for n in onnx.load(str(package.folder / "model.int8.onnx")).graph.node}
    assert "QuantizeLinear" in operators
    assert main(["model", "verify", str(out), "--key", str(tmp_path / "release.pub"), "--try"]) == 0
    assert "model.int8.onnx here: " in capsys.readouterr().out


def test_a_model_that_does_not_bear_it_stays_as_it_is(pictures: Path, tmp_path: Path) -> None:
    """The product's own: logarithms of ratios."""
    out = tmp_path / "small.tar"
    with pytest.raises(EdgeloopError, match=r"int8 does not say what float32 says .* inputs"):
        quantize.quantize(default_models.path("visual_inspection"), out, images=pictures)
    assert not out.exists()


def wide() -> tuple[bytes, list[Case]]:
    """y = (x · W) · V with one entry of W ten thousand times the others: 8 bits a tensor cannot say it."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=(8, 4)).astype(np.float32)
    second = rng.normal(size=(4, 2)).astype(np.float32)
    first[0, 0], second[0] = 1e4, 1e-4
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("MatMul", ["p", "v"], ["y"])],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(first, "w"), numpy_helper.from_array(second, "v")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    inputs = [rng.normal(size=(3, 8)).astype(np.float32) for _ in range(4)]
    return model.SerializeToString(), [Case({"x": x}, [x @ first @ second]) for x in inputs]


def test_int8_that_says_something_else_is_refused(make: Any, tmp_path: Path) -> None:
    model, cases = wide()
    path, _ = make(
        0.0, model=model, cases=cases, inputs=(Tensor(name="x", dtype="float32", shape=("n", 8)),),
        golden=Golden(absolute=1e-2, relative=1e-3),
    )  # fmt: skip
    out = tmp_path / "small.tar"
    with pytest.raises(EdgeloopError, match=r"int8 does not say what float32 says .*the same on \d"):
        quantize.quantize(path, out)
    assert not out.exists()


def test_a_variant_has_tolerances_of_its_own(make: Any, tmp_path: Path) -> None:
    """What is right for float32 is not asked of int8, on the device neither; the other way round it is."""
    more = {"rough.onnx": linear_model.linear(0.3)}
    for absolute, passes in ((0.5, True), (0.1, False)):
        path, _ = make(
            0.0, more=more, schema=2, version=f"1.0.{int(10 * absolute)}",
            variants=(
                Variant(runtime="onnxruntime", path="model.onnx"),
                Variant(runtime="onnxruntime", path="rough.onnx", golden=Golden(absolute=absolute)),
            ),
        )  # fmt: skip
        package = unpack(path, tmp_path / "out")
        outcomes = [variants.Prover().prove(package, variant) for variant in package.manifest.variants]
        assert [outcome.error == "" for outcome in outcomes] == [True, passes]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, Stubber]]:
    """S3 in memory, and SageMaker's client, whose calls and answers botocore checks against its own model."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="line7", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        sagemaker = boto3.client("sagemaker")
        with Stubber(sagemaker) as stub:
            yield s3, sagemaker, stub


ROLE = "arn:aws:iam::123456789012:role/neo"
OUTPUT = {
    "S3OutputLocation": ANY,
    "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
}


def job(status: str, **more: Any) -> dict[str, Any]:
    return {
        "CompilationJobName": "j", "CompilationJobArn": "arn:aws:sagemaker:eu-central-1:1:compilation-job/j",
        "CompilationJobStatus": status, "StoppingCondition": {}, "CreationTime": 1, "LastModifiedTime": 1,
        "FailureReason": "", "ModelArtifacts": {"S3ModelArtifacts": "s3://line7/neo/out/model-LINUX_X86_64.tar.gz"},
        "RoleArn": ROLE, "InputConfig": {"S3Uri": "s3://line7/x", "Framework": "ONNX"},
        "OutputConfig": {"S3OutputLocation": "s3://line7/neo/out/"}, **more,
    }  # fmt: skip


def old(make: Any, **changes: Any) -> Path:
    """A model as Neo takes them: opset 12, sizes that are numbers."""
    model = onnx.load_from_string(linear_model.linear(1.0))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 12))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    fields = {
        "inputs": (Tensor(name="x", dtype="float32", shape=(3, 4)),),
        "outputs": (Tensor(name="y", dtype="float32", shape=(3, 2)),), **changes,
    }  # fmt: skip
    return Path(make(1.0, model=model.SerializeToString(), **fields)[0])


def started(stub: Stubber, s3: Any, target: dict[str, Any] = OUTPUT) -> None:
    expected = {
        "CompilationJobName": ANY, "RoleArn": ROLE, "OutputConfig": target,
        "InputConfig": {"S3Uri": ANY, "Framework": "ONNX", "DataInputConfig": json.dumps({"x": [3, 4]})},
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
    }  # fmt: skip
    answer = {"CompilationJobArn": "arn:aws:sagemaker:eu-central-1:123456789012:compilation-job/j"}
    stub.add_response("create_compilation_job", answer, expected)


def test_what_neo_compiled_becomes_a_variant(make: Any, cloud: Any, tmp_path: Path) -> None:
    s3, sagemaker, stub = cloud
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("compiled.so", "./compiled_model.json", "compiled.params", "../../evil", "/abs"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"real"))
        link = tarfile.TarInfo("libdlr.so")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    s3.put_object(Bucket="line7", Key="neo/out/model-LINUX_X86_64.tar.gz", Body=buffer.getvalue())
    started(stub, s3)
    stub.add_response("describe_compilation_job", job("INPROGRESS"), {"CompilationJobName": ANY})
    stub.add_response("describe_compilation_job", job("COMPLETED"), {"CompilationJobName": ANY})
    path, said = old(make), list[str]()
    made = neo.compile_package(
        path, tmp_path / "neo.tar", to="s3://line7/neo", role=ROLE, target="linux-x86_64", sagemaker=sagemaker, s3=s3,
        say=said.append, pause=0,
    )  # fmt: skip
    stub.assert_no_pending_responses()
    assert "Neo compiles for linux-x86_64" in said[0]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="line7")["Contents"]]
    sent = [key for key in keys if key.endswith("/model.tar.gz")]
    with tarfile.open(fileobj=io.BytesIO(s3.get_object(Bucket="line7", Key=sent[0])["Body"].read())) as archive:
        assert archive.getnames() == ["model.onnx"]
    fresh = made.manifest.variants[-1]
    assert (fresh.runtime, fresh.path, fresh.architecture) == ("dlr", "neo-x86_64", "x86_64")
    names = {name for name in made.manifest.files if name.startswith("neo-x86_64/")}
    assert names == {f"neo-x86_64/{name}" for name in ("compiled.so", "compiled_model.json", "compiled.params")}
    assert [v.path for v in made.manifest.candidates(("onnxruntime",), "x86_64")] == ["model.onnx"]
    assert len(made.manifest.candidates(("onnxruntime", "dlr"), "x86_64")) == 2
    assert made.taken == "model.onnx"


def test_a_job_that_fails_is_one_line(make: Any, cloud: Any, tmp_path: Path) -> None:
    s3, sagemaker, stub = cloud
    started(stub, s3, {"S3OutputLocation": ANY, "TargetDevice": "rasp4b"})
    failed = job("FAILED", FailureReason="ClientError: OperatorNotImplemented: [Loop]\nmore")
    stub.add_response("describe_compilation_job", failed, {"CompilationJobName": ANY})
    with pytest.raises(EdgeloopError, match=r"Neo did not compile the model .*OperatorNotImplemented: \[Loop\]"):
        neo.compile_package(old(make), tmp_path / "neo.tar", to="s3://line7", role=ROLE, target="rasp4b",
                            sagemaker=sagemaker, s3=s3, say=lambda _: None, pause=0)  # fmt: skip


def test_what_neo_cannot_take_is_refused_before_anything_is_sent(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--to", "s3://line7/neo", "--role", ROLE, "-o", str(tmp_path / "neo.tar")]
    assert main(["model", "compile", str(make(1.0)[0]), *words, "--target", "linux-x86_64"]) == 1
    said = capsys.readouterr().err
    assert "opset 17; Neo's ONNX for the edge is 1.7, which ends at opset 12" in said
    assert "leaves ('n', 4) open" in said
    assert main(["model", "compile", str(old(make)), *words, "--target", "linux-mips"]) == 1
    assert "Neo compiles for no such target" in capsys.readouterr().err


def test_the_registry_holds_a_version_until_it_is_approved(make: Any, tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    path, digest = make(1.0, version="1.2.0", metrics={"recall": 0.93})
    with mock_aws():
        sagemaker = boto3.client("sagemaker")
        words = ["model", "publish", str(path), "--to", str(tmp_path / "shelf"), "--unsigned", "--registry", "surface"]
        assert main(words) == 0
        (entry,) = sagemaker.list_model_packages(ModelPackageGroupName="surface")["ModelPackageSummaryList"]
        about = sagemaker.describe_model_package(ModelPackageName=entry["ModelPackageArn"])
        assert about["CustomerMetadataProperties"]["digest"] == digest
        assert about["CustomerMetadataProperties"]["metric.recall"] == "0.93"
        line = {MODELS: {"models": {"linear": {"uri": "sagemaker:surface", "version": "latest"}}}}
        with pytest.raises(EdgeloopError, match=r"no such approved version .*not approved: 1\.2\.0"):
            publish.resolved(line)
        sagemaker.update_model_package(
            ModelPackageArn=entry["ModelPackageArn"], ModelApprovalStatus="Approved",
            CustomerMetadataProperties=about["CustomerMetadataProperties"],  # moto forgets what is not said again
        )  # fmt: skip
        model = publish.resolved(line)[MODELS]["models"]["linear"]
    assert model["digest"] == f"sha256:{digest}"
    assert model["uri"].startswith("file:///")
    assert "version" not in model


def test_botocore_takes_what_the_registry_is_told(make: Any, cloud: Any, tmp_path: Path) -> None:
    _, sagemaker, stub = cloud
    path, digest = make(1.0, version="1.2.0")
    manifest = unpack(path, tmp_path / "out").manifest
    found = publish.Published("1.2.0", "s3://line7/linear-1.2.0.tar", digest)
    stub.add_client_error("describe_model_package_group", "ValidationException", "no such group")
    stub.add_response("create_model_package_group", {"ModelPackageGroupArn": GROUP})
    stub.add_response("create_model_package", {"ModelPackageArn": f"{GROUP}/1"}, {
        "ModelPackageGroupName": "surface", "ModelApprovalStatus": "PendingManualApproval",
        "SourceUri": found.uri, "ModelPackageDescription": "linear 1.2.0",
        "CustomerMetadataProperties": {
            "name": "linear", "version": "1.2.0", "digest": digest, "uri": found.uri, "task": "regression",
        },
    })  # fmt: skip
    assert registry.enter("surface", manifest, found, sagemaker) == f"{GROUP}/1"


MODELS = "io.edgeloop.ModelUpdate"
GROUP = "arn:aws:sagemaker:eu-central-1:123456789012:model-package-group/surface"
