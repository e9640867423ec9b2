"""What the cloud remembers, and its answers."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import yaml

PUBLIC = {"aws.greengrass.StreamManager": ["2.1.13", "2.2.0", "2.1.9"]}


class Refusal(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Registered:
    """states: still to be told, the last one stays."""

    recipe: dict[str, Any]
    states: list[str]
    token: str
    errors: dict[str, str] = field(default_factory=dict)
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    def state(self) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@dataclass(slots=True)
class Device:
    """status: of each deployment as list_effective_deployments tells it, the last one stays."""

    groups: tuple[str, ...] = ()
    health: str = "HEALTHY"
    status: list[str] = field(default_factory=lambda: ["IN_PROGRESS", "SUCCEEDED"])
    reason: str = ""


class State:
    """fetch: (bucket, key) → the object, or None."""

    ACCOUNT = "123456789012"

    def __init__(self, region: str, fetch: Callable[[str, str], bytes | None]) -> None:
        self.region, self._fetch = region, fetch
        self.components: dict[str, dict[str, Registered]] = {}
        self.deployments: list[dict[str, Any]] = []
        self.groups: set[str] = set()
        self.devices: dict[str, Device] = {}
        self.first_states: list[str] = []
        """What a new component version is before it is deployable or failed."""
        self._numbers = itertools.count(1)
        self._told: dict[tuple[str, str], list[str]] = {}

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer = getattr(self, f"_{name}", None)
        if answer is None:
            raise Refusal("ValidationException", f"{service} {operation} is not answered here")
        found: dict[str, Any] = answer(**params)
        return found

    def _get_caller_identity(self) -> dict[str, Any]:
        return {"Account": self.ACCOUNT, "UserId": "AIDAEXAMPLE", "Arn": f"arn:aws:iam::{self.ACCOUNT}:user/tester"}

    # components

    def _create_component_version(self, inlineRecipe: bytes, clientToken: str = "", **_: Any) -> dict[str, Any]:
        if len(inlineRecipe) > 16_000:
            raise Refusal("ValidationException", "recipe too large")
        try:
            recipe = yaml.safe_load(inlineRecipe)
            name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise Refusal("ValidationException", f"no recipe: {error}") from None
        versions = self.components.setdefault(name, {})
        if version in versions and versions[version].token == clientToken:
            return self._made(name, version)
        if version in versions:
            raise Refusal("ConflictException", f"Component [{name} : {version}] for account already exists")
        errors = {}
        for artifact in (a for manifest in recipe["Manifests"] for a in manifest.get("Artifacts", ())):
            where = urlsplit(artifact["Uri"])
            data = self._fetch(where.netloc, where.path.lstrip("/"))
            if data is None:
                errors[artifact["Uri"]] = "Specified artifact resource cannot be accessed"
                continue
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            artifact |= {"Digest": digest, "Algorithm": "SHA-256", "Unarchive": "NONE",
                         "Permission": {"Read": "OWNER", "Execute": "NONE"}}  # fmt: skip
        recipe.setdefault("Lifecycle", {})
        states = [*self.first_states, "FAILED" if errors else "DEPLOYABLE"]
        versions[version] = Registered(recipe, states, clientToken, errors)
        return self._made(name, version)

    def _made(self, name: str, version: str) -> dict[str, Any]:
        made = self.components[name][version].made
        status = {"componentState": "REQUESTED", "message": "NONE", "errors": {}}
        return {"arn": self.component_arn(name, version), "componentName": name, "componentVersion": version,
                "creationTimestamp": made, "status": status}  # fmt: skip

    def _delete_component(self, arn: str) -> dict[str, Any]:
        name, version, _ = self._named(arn)
        del self.components[name][version]
        return {}

    def _list_component_versions(self, arn: str, maxResults: int = 100, nextToken: str = "0") -> dict[str, Any]:
        name = arn.rpartition(":components:")[2]
        if arn != self.component_arn(name):
            raise Refusal("AccessDeniedException", f"{arn} is not of this account and region")
        versions = PUBLIC.get(name) or list(self.components.get(name, {}))
        start = int(nextToken)
        page = versions[start : start + min(maxResults, 2)]
        rows = [{"componentName": name, "componentVersion": v, "arn": self.component_arn(name, v)} for v in page]
        more = {"nextToken": str(start + len(page))} if start + len(page) < len(versions) else {}
        return {"componentVersions": rows, **more}

    def _describe_component(self, arn: str) -> dict[str, Any]:
        name, version, known = self._named(arn)
        status: dict[str, Any] = {"componentState": known.state(), "message": "NONE"}
        if status["componentState"] == "FAILED":
            status["errors"] = known.errors
        return {"arn": arn, "componentName": name, "componentVersion": version, "creationTimestamp": known.made,
                "status": status}  # fmt: skip

    def _get_component(self, arn: str, recipeOutputFormat: str = "JSON") -> dict[str, Any]:
        _, _, known = self._named(arn)
        text = json.dumps(known.recipe) if recipeOutputFormat == "JSON" else yaml.safe_dump(known.recipe)
        return {"recipeOutputFormat": recipeOutputFormat, "recipe": text.encode()}

    # deployments

    def _create_deployment(self, targetArn: str, components: dict[str, Any], **others: Any) -> dict[str, Any]:
        others.pop("clientToken", None)
        for name, entry in components.items():
            version = entry.get("componentVersion", "")
            if not name.startswith("aws.greengrass.") and version not in self.components.get(name, {}):
                raise Refusal("ResourceNotFoundException", f"Component {name} with version {version} not found")
            if merge := entry.get("configurationUpdate", {}).get("merge"):
                json.loads(merge)
        for old in self.deployments:
            if old["targetArn"] == targetArn:
                old |= {"isLatestForTarget": False, "deploymentStatus": "INACTIVE"}
        number = next(self._numbers)
        new = {"targetArn": targetArn, "components": components, "deploymentId": f"deployment-{number}",
               "revisionId": str(number), "iotJobId": f"job-{number}", "deploymentStatus": "ACTIVE",
               "creationTimestamp": datetime.now(UTC), "isLatestForTarget": True, **deepcopy(others)}  # fmt: skip
        self.deployments.append(new)
        return {"deploymentId": new["deploymentId"], "iotJobId": new["iotJobId"]}

    def _list_deployments(self, targetArn: str = "", historyFilter: str = "LATEST_ONLY", **_: Any) -> dict[str, Any]:
        wanted = ("targetArn", "revisionId", "deploymentId", "deploymentName", "creationTimestamp",
                  "deploymentStatus", "isLatestForTarget", "parentTargetArn")  # fmt: skip
        rows = [
            {key: entry[key] for key in wanted if key in entry}
            for entry in reversed(self.deployments)
            if targetArn in ("", entry["targetArn"]) and (historyFilter == "ALL" or entry["isLatestForTarget"])
        ]
        return {"deployments": rows}

    def _get_deployment(self, deploymentId: str) -> dict[str, Any]:
        for entry in self.deployments:
            if entry["deploymentId"] == deploymentId:
                return entry
        raise Refusal("ResourceNotFoundException", f"no deployment {deploymentId}")

    def _list_core_devices(self, thingGroupArn: str = "", status: str = "", **_: Any) -> dict[str, Any]:
        group = thingGroupArn.rpartition("/")[2]
        rows = [
            {"coreDeviceThingName": name, "status": device.health, "lastStatusUpdateTimestamp": datetime.now(UTC)}
            for name, device in self.devices.items()
            if (not group or group in device.groups) and status in ("", device.health)
        ]
        return {"coreDevices": rows}

    def _list_effective_deployments(self, coreDeviceThingName: str, **_: Any) -> dict[str, Any]:
        device = self.devices.get(coreDeviceThingName)
        if device is None:
            raise Refusal("ResourceNotFoundException", f"no core device {coreDeviceThingName}")
        rows = []
        for entry in self.deployments:
            kind, _, name = entry["targetArn"].rpartition(":")[2].partition("/")
            if not entry["isLatestForTarget"] or (name not in device.groups if kind == "thinggroup" else
                                                  name != coreDeviceThingName):  # fmt: skip
                continue
            if (status := self._status(coreDeviceThingName, entry)) == "UNKNOWN":
                continue
            row = {"deploymentId": entry["deploymentId"], "deploymentName": entry.get("deploymentName", ""),
                   "targetArn": entry["targetArn"], "coreDeviceExecutionStatus": status,
                   "creationTimestamp": entry["creationTimestamp"],
                   "modifiedTimestamp": entry["creationTimestamp"]}  # fmt: skip
            rows.append(row | ({"reason": device.reason} if device.reason and status == "FAILED" else {}))
        return {"effectiveDeployments": rows}

    # things

    def _describe_job(self, jobId: str, **_: Any) -> dict[str, Any]:
        for entry in self.deployments:
            if entry["iotJobId"] != jobId:
                continue
            group = entry["targetArn"].rpartition("/")[2]
            found = [self._status(name, entry) for name, device in self.devices.items() if group in device.groups]
            names = {"Queued": "QUEUED", "InProgress": "IN_PROGRESS", "Succeeded": "SUCCEEDED", "Failed": "FAILED",
                     "TimedOut": "TIMED_OUT", "Rejected": "REJECTED", "Canceled": "CANCELED"}  # fmt: skip
            details = {f"numberOf{key}Things": found.count(status) for key, status in names.items()}
            return {"job": {"jobId": jobId, "status": entry.get("jobStatus", "IN_PROGRESS"),
                            "jobProcessDetails": details}}  # fmt: skip
        raise Refusal("ResourceNotFoundException", f"no job {jobId}")

    def _status(self, device: str, deployment: dict[str, Any]) -> str:
        told = self._told.setdefault((device, deployment["deploymentId"]), list(self.devices[device].status))
        return told.pop(0) if len(told) > 1 else told[0]

    def _create_thing_group(self, thingGroupName: str, **_: Any) -> dict[str, Any]:
        self.groups.add(thingGroupName)
        return self._describe_thing_group(thingGroupName)

    def _describe_thing_group(self, thingGroupName: str) -> dict[str, Any]:
        if thingGroupName not in self.groups:
            raise Refusal("ResourceNotFoundException", f"no thing group {thingGroupName}")
        return {"thingGroupName": thingGroupName, "thingGroupArn": self.group_arn(thingGroupName)}

    def _list_things_in_thing_group(self, thingGroupName: str, **_: Any) -> dict[str, Any]:
        self._describe_thing_group(thingGroupName)
        return {"things": [name for name, device in self.devices.items() if thingGroupName in device.groups]}

    def component_arn(self, name: str, version: str = "") -> str:
        owner = "aws" if name in PUBLIC else self.ACCOUNT
        arn = f"arn:aws:greengrass:{self.region}:{owner}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def group_arn(self, name: str) -> str:
        return f"arn:aws:iot:{self.region}:{self.ACCOUNT}:thinggroup/{name}"

    def _named(self, arn: str) -> tuple[str, str, Registered]:
        name, _, version = arn.rpartition(":components:")[2].partition(":versions:")
        known = self.components.get(name, {}).get(version)
        if known is None or arn != self.component_arn(name, version):
            raise Refusal("ResourceNotFoundException", f"no {arn}")
        return name, version, known
