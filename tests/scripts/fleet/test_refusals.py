"""What AWS and the network refuse, each as one line with the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from edgeloop_tools.harness.aws import Cloud

Run = Callable[..., tuple[int, str, str]]
BUCKET = "parts-eu-central-1-123456789012"


@pytest.fixture
def publish(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Publishes Runtime, which must fail; the one line."""

    def call(*words: str) -> str:
        code, out, err = run("publish", "runtime", "--bucket", "parts", "--out", tmp_path, "--with", "boto3", *words)
        assert code == 1
        assert err.count("\n") == 1, err
        assert "Traceback" not in out + err
        return err

    return call


Publish = Callable[..., str]


def test_no_credentials(cloud: Cloud, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "there are no AWS credentials: " in (line := publish())
    assert "aws configure" in line


def test_a_profile_that_is_not_there(cloud: Cloud, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "plant")
    assert "no such AWS profile" in publish()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", "the AWS credentials have expired"),
        ("InvalidClientTokenId", "AWS does not know these credentials"),
        ("SignatureDoesNotMatch", "AWS does not know these credentials"),
    ],
)
def test_credentials_that_are_no_good(cloud: Cloud, publish: Publish, code: str, said: str) -> None:
    cloud.fail("sts", "GetCallerIdentity", code=code, status=403, times=9)
    line = publish()
    assert said in line
    assert "aws sso login" in line


def test_a_token_that_expires_on_the_way(cloud: Cloud, publish: Publish) -> None:
    cloud.fail("greengrass", "CreateComponentVersion", code="ExpiredTokenException", status=403, times=9)
    assert "the AWS credentials have expired" in publish()


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("greengrass", "ListComponentVersions", "greengrass:ListComponentVersions"),
        ("greengrass", "CreateComponentVersion", "greengrass:CreateComponentVersion"),
        ("greengrass", "DescribeComponent", "greengrass:DescribeComponent"),
    ],
)
def test_what_is_not_permitted_names_the_action(
    cloud: Cloud, publish: Publish, service: str, operation: str, action: str
) -> None:
    cloud.fail(service, operation, code="AccessDeniedException", status=403, times=9)
    line = publish()
    assert f"AWS does not permit this ({action})" in line
    assert f"allow {action}: `edgeloop policy publisher`" in line


def test_no_permission_to_upload(cloud: Cloud, publish: Publish) -> None:
    cloud.fail("s3", "PUT", code="AccessDenied", status=403, times=9, matching=lambda r: "runtime.pyz" in str(r.params))
    assert "AWS does not permit this (s3:PutObject)" in publish()


def test_no_permission_to_make_the_bucket(cloud: Cloud, publish: Publish) -> None:
    cloud.fail("s3", "PUT", code="AccessDenied", status=403, times=9)
    assert "AWS does not permit this (s3:CreateBucket)" in publish()


def test_a_bucket_of_another_account(cloud: Cloud, publish: Publish) -> None:
    cloud.fail("s3", "HEAD", code="403", status=403, times=9)
    line = publish()
    assert f"this bucket cannot be used ({BUCKET}): it belongs to another AWS account" in line
    assert "--bucket" in line


def test_a_bucket_that_another_account_has_just_made(cloud: Cloud, publish: Publish) -> None:
    cloud.fail("s3", "PUT", code="BucketAlreadyExists", status=409, times=9)
    assert f"this bucket cannot be used ({BUCKET})" in publish()


def test_every_object_request_names_the_owner(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    run("publish", "runtime", "--bucket", "parts", "--out", tmp_path, "--with", "boto3")
    owners = [request.params["owner"] for request in cloud.requests if request.service == "s3"]
    creations = [owner for owner in owners if not owner]
    assert len(creations) == 1
    assert set(owners) == {"", cloud.state.ACCOUNT}


def test_a_bucket_in_another_region(cloud: Cloud, publish: Publish, storage: str) -> None:
    elsewhere = boto3.client("s3", region_name="us-west-2", endpoint_url=storage)
    elsewhere.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    assert "it is in us-west-2, the components go to eu-central-1" in publish()


def test_a_region_that_there_is_not(cloud: Cloud, publish: Publish) -> None:
    assert "there is no region eu-centrall-1; did you mean eu-central-1?" in publish("--region", "eu-centrall-1")


def test_no_region(cloud: Cloud, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "which region?; give --region" in publish()


def test_no_network(cloud: Cloud, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    line = publish()
    assert "AWS cannot be reached (http://127.0.0.1:1" in line
    assert "check the network" in line


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 429), ("InternalServerException", 500)])
def test_a_hiccup_is_overcome(cloud: Cloud, run: Run, tmp_path: Path, code: str, status: int) -> None:
    cloud.fail("greengrass", "CreateComponentVersion", code=code, status=status, times=1)
    cloud.fail("s3", "PUT", code="SlowDown", status=503, times=1)
    assert run("publish", "runtime", "--bucket", "parts", "--out", tmp_path, "--with", "boto3")[0] == 0


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [("ThrottlingException", 429, "AWS asks to slow down"), ("InternalServerException", 500, "AWS failed")],
)
def test_what_stays_is_said(cloud: Cloud, publish: Publish, code: str, status: int, said: str) -> None:
    cloud.fail("greengrass", "CreateComponentVersion", code=code, status=status, times=99)
    line = publish()
    assert said in line
    assert "what is done is not repeated" in line


def test_a_bucket_name_that_s3_does_not_take(cloud: Cloud, publish: Publish) -> None:
    assert "S3 takes no such name" in publish("--bucket", "Parts_of")


def test_a_version_that_is_none(cloud: Cloud, publish: Publish) -> None:
    assert "'1.x' is no version (--version)" in publish("--version", "1.x")
