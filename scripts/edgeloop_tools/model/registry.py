"""SageMaker's Model Registry: an entry for each version published; what is not approved there is not deployed."""

from __future__ import annotations

from typing import Any, Final

from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import Manifest
from edgeloop.models.versions import rank
from edgeloop_tools.model.publish import Published, wanted

SCHEME: Final = "sagemaker:"
"""Of a model's uri in a line: `sagemaker:GROUP`."""
PENDING: Final = "PendingManualApproval"
APPROVED: Final = "Approved"
_LONGEST: Final = 256
_MOST_METRICS: Final = 40


def enter(group: str, manifest: Manifest, found: Published, sagemaker: Any = None) -> str:
    """A version of a model package group, waiting for approval; its ARN. The group is made where there is none.

    Raises EdgeloopError.
    """
    from botocore.exceptions import ClientError

    from edgeloop_tools.fleet.account import Account, speaking

    with speaking():
        client = sagemaker or Account(None).client("sagemaker")
        try:
            client.describe_model_package_group(ModelPackageGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise
            client.create_model_package_group(
                ModelPackageGroupName=group, ModelPackageGroupDescription=f"Edgeloop: {manifest.name}"
            )
        answer = client.create_model_package(
            ModelPackageGroupName=group, ModelApprovalStatus=PENDING, SourceUri=found.uri,
            ModelPackageDescription=(manifest.card.description or f"{manifest.name} {manifest.version}")[:1024],
            CustomerMetadataProperties=_told(manifest, found),
        )  # fmt: skip
    return str(answer["ModelPackageArn"])


def resolve(group: str, name: str, version: str, sagemaker: Any = None) -> Published:
    """The newest approved version that is wanted: `latest`, `1.2.*`, `1.2.3`. Raises EdgeloopError."""
    from edgeloop_tools.fleet.account import Account, speaking

    matched: list[Published] = []
    waiting: list[str] = []
    with speaking():
        client = sagemaker or Account(None).client("sagemaker")
        token: dict[str, str] = {}
        while True:
            page = client.list_model_packages(ModelPackageGroupName=group, MaxResults=100, **token)
            for entry in page["ModelPackageSummaryList"]:
                about = client.describe_model_package(ModelPackageName=entry["ModelPackageArn"])
                said = about.get("CustomerMetadataProperties", {})
                if said.get("name") != name or not wanted(said.get("version", ""), version):
                    continue
                if about.get("ModelApprovalStatus") == APPROVED:
                    uri = about.get("SourceUri") or said.get("uri", "")
                    matched.append(Published(said["version"], uri, said["digest"]))
                else:
                    waiting.append(said["version"])
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
    if not matched:
        why = f"not approved: {', '.join(sorted(waiting, key=rank))}" if waiting else f"nothing is {name} {version}"
        raise EdgeloopError("no such approved version", where=f"{SCHEME}{group}", why=why,
                            mend="approve it in SageMaker's Model Registry")  # fmt: skip
    return max(matched, key=lambda each: rank(each.version))


def _told(manifest: Manifest, found: Published) -> dict[str, str]:
    """Name, version, digest, lineage and figures, as the registry's pairs of texts."""
    lineage = {"parent": manifest.provenance.parent or "", "data": manifest.provenance.data,
               "code": manifest.provenance.code, "trained_at": manifest.provenance.trained_at}  # fmt: skip
    metrics = {f"metric.{name}": f"{value:g}" for name, value in sorted(manifest.metrics.items())[:_MOST_METRICS]}
    told = {"name": manifest.name, "version": manifest.version, "digest": found.digest, "uri": found.uri,
            "task": manifest.task, **lineage, **metrics}  # fmt: skip
    return {_plain(key)[:128]: _plain(value)[:_LONGEST] for key, value in told.items() if value}


def _plain(text: str) -> str:
    """The letters that the registry takes."""
    return "".join(c if c.isalnum() or c in " _.:/=+-@" else "_" for c in text)
