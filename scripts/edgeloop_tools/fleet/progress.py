"""What becomes of a deployment, told as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.fleet.account import Account, speaking
from edgeloop_tools.fleet.registry import missing

GOOD = ("SUCCEEDED", "COMPLETED")
BAD = ("FAILED", "REJECTED", "TIMED_OUT", "CANCELED")
_COUNTS = {
    "queued": "numberOfQueuedThings", "in progress": "numberOfInProgressThings",
    "succeeded": "numberOfSucceededThings", "failed": "numberOfFailedThings", "rejected": "numberOfRejectedThings",
    "timed out": "numberOfTimedOutThings", "canceled": "numberOfCanceledThings", "removed": "numberOfRemovedThings",
}  # fmt: skip
_ENDED = ("succeeded", "failed", "rejected", "timed out", "canceled", "removed")
FIRST = 0.5
"""Seconds until the second look; later ones are ever further apart."""
_SHOWN = 10
"""Devices whose reason for failing is told."""


@dataclass(slots=True)
class Outcome:
    """bad: device → why. open: devices that have not answered."""

    bad: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.bad and not self.open


class Progress:
    """patience: seconds that one wait may take. pause: waits so many seconds."""

    def __init__(
        self, account: Account, say: Callable[[str], None], patience: float, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._account, self._say, self._patience, self._pause = account, say, patience, pause

    def group(self, deployment: str, job: str, devices: Collection[str]) -> Outcome:
        """Until every device of the group has ended, or the job is cancelled."""
        outcome, said, waited, step = Outcome(), "", 0.0, FIRST
        while True:
            counts, cancelled = self._counts(job)
            line = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
            if line != said:
                self._say(f"{len(devices)} devices: {line or 'not begun'}")
                said = line
            ended = sum(counts[name] for name in _ENDED)
            if cancelled or ended >= len(devices):
                break
            if waited >= self._patience:
                break
            self._pause(step)
            waited, step = waited + step, min(step * 1.3, 15.0)
        if counts["succeeded"] < len(devices):
            for device in sorted(devices):
                status, why = self.status(device, deployment)
                if status in BAD and len(outcome.bad) < _SHOWN:
                    outcome.bad[device] = f"{status} {why}".strip()
                elif status not in GOOD and status not in BAD:
                    outcome.open.append(device)
                if len(outcome.bad) >= _SHOWN:
                    break
            if cancelled and not outcome.bad:
                outcome.bad["the deployment"] = "was cancelled"
        return outcome

    def devices(self, deployments: dict[str, str]) -> Outcome:
        """Until each device has ended its deployment."""
        outcome, left, waited, step = Outcome(), dict(deployments), 0.0, FIRST
        while left:
            for device, deployment in list(left.items()):
                status, why = self.status(device, deployment)
                if status in GOOD or status in BAD:
                    self._say(f"{device}: {status.lower()}{f': {why}' if why else ''}")
                    del left[device]
                if status in BAD:
                    outcome.bad[device] = f"{status} {why}".strip()
            if not left or waited >= self._patience:
                break
            self._pause(step)
            waited, step = waited + step, min(step * 1.3, 15.0)
        outcome.open = sorted(left)
        return outcome

    def status(self, device: str, deployment: str) -> tuple[str, str]:
        """(status, reason); ("", "") of a device that has not heard of it."""
        try:
            with speaking(self._account.region):
                pages = self._account.greengrass.get_paginator("list_effective_deployments").paginate(
                    coreDeviceThingName=device
                )
                rows = [row for page in pages for row in page["effectiveDeployments"]]
        except EdgeloopError as refused:
            if missing(refused):
                return "", ""
            raise
        for row in rows:
            if row["deploymentId"] == deployment:
                types = ", ".join(row.get("statusDetails", {}).get("errorTypes", []))
                why = " ".join(str(row.get("reason", "")).split())
                return str(row["coreDeviceExecutionStatus"]), f"{why} {f'({types})' if types else ''}".strip()
        return "", ""

    def unhealthy(self, group: str) -> list[str]:
        """Core devices of the group that say that a component of theirs is broken."""
        with speaking(self._account.region):
            pages = self._account.greengrass.get_paginator("list_core_devices").paginate(
                thingGroupArn=group, status="UNHEALTHY"
            )
            return sorted(str(row["coreDeviceThingName"]) for page in pages for row in page["coreDevices"])

    def _counts(self, job: str) -> tuple[dict[str, int], bool]:
        with speaking(self._account.region):
            found: dict[str, Any] = self._account.iot.describe_job(jobId=job)["job"]
        details = found.get("jobProcessDetails", {})
        return {name: int(details.get(key, 0)) for name, key in _COUNTS.items()}, found.get("status") == "CANCELED"
