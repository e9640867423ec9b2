"""Thing groups, their devices, and the deployments they have."""

from __future__ import annotations

from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.fleet.account import Account, speaking
from edgeloop_tools.fleet.document import Document, kept
from edgeloop_tools.fleet.registry import missing


class Targets:
    def __init__(self, account: Account) -> None:
        self._account = account

    def devices(self, group: str) -> list[str]:
        """Raises EdgeloopError for a group that there is not."""
        try:
            with speaking(self._account.region):
                pages = self._account.iot.get_paginator("list_things_in_thing_group").paginate(
                    thingGroupName=group, recursive=True
                )
                return sorted(str(name) for page in pages for name in page["things"])
        except EdgeloopError as refused:
            if missing(refused):
                mend = f"aws iot create-thing-group --thing-group-name {group} --region {self._account.region}"
                where = self._account.region
                raise EdgeloopError(f"there is no thing group {group}", where=where, mend=mend) from refused
            raise

    def current(self, arn: str) -> tuple[Document, bool]:
        """(the newest deployment's document, whether it stands); {} where there is none."""
        with speaking(self._account.region):
            rows = self._account.greengrass.list_deployments(targetArn=arn, historyFilter="LATEST_ONLY")["deployments"]
            if not rows:
                return {}, True
            found = self._account.greengrass.get_deployment(deploymentId=rows[0]["deploymentId"])
        return kept(found), found.get("deploymentStatus") not in ("CANCELED", "FAILED")

    def things(self) -> set[str]:
        """Those that have a deployment of their own."""
        with speaking(self._account.region):
            pages = self._account.greengrass.get_paginator("list_deployments").paginate(historyFilter="LATEST_ONLY")
            arns = [str(row["targetArn"]) for page in pages for row in page["deployments"]]
        return {arn.partition(":thing/")[2] for arn in arns if ":thing/" in arn}

    def deploy(self, arn: str, document: Document) -> tuple[str, str]:
        """(deployment id, id of its job)."""
        with speaking(self._account.region):
            made: dict[str, Any] = self._account.greengrass.create_deployment(targetArn=arn, **document)
        return str(made["deploymentId"]), str(made.get("iotJobId", ""))
