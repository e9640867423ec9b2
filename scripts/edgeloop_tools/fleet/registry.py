"""The component versions of an account."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.recipes import Version
from edgeloop_tools.fleet.account import Account, code_of, speaking

DEPLOYABLE, FAILED = "DEPLOYABLE", "FAILED"
PENDING = ("REQUESTED", "INITIATED")
PATIENCE = 300.0
"""Seconds that a version may take to become deployable."""


@dataclass(frozen=True, slots=True)
class State:
    name: str
    reason: str = ""


class Registry:
    """pause: waits so many seconds."""

    def __init__(self, account: Account, pause: Callable[[float], None] = time.sleep) -> None:
        self._account, self._pause = account, pause

    def versions(self, name: str) -> list[Version]:
        """Newest first; none of a component that there is not."""
        arn = self._account.component(name)
        try:
            with speaking(self._account.region):
                pages = self._account.greengrass.get_paginator("list_component_versions").paginate(arn=arn)
                found = [entry["componentVersion"] for page in pages for entry in page.get("componentVersions", [])]
        except EdgeloopError as refused:
            if missing(refused):
                return []
            raise
        return sorted(map(Version.parse, found), reverse=True)

    def newest(self, name: str) -> Version | None:
        """The newest that can be deployed."""
        for version in self.versions(name):
            if name.startswith("aws.") or self.state(name, version).name == DEPLOYABLE:
                return version
        return None

    def state(self, name: str, version: Version) -> State:
        arn = self._account.component(name, str(version))
        with speaking(self._account.region):
            status = self._account.greengrass.describe_component(arn=arn)["status"]
        errors = [f"{where}: {what}" for where, what in status.get("errors", {}).items()]
        return State(str(status["componentState"]), "; ".join([status.get("message", ""), *errors]).strip("; "))

    def recipe(self, name: str, version: Version) -> dict[str, Any]:
        arn = self._account.component(name, str(version))
        with speaking(self._account.region):
            answer = self._account.greengrass.get_component(arn=arn, recipeOutputFormat="YAML")
        value = yaml.safe_load(answer["recipe"])
        if not isinstance(value, dict):
            raise EdgeloopError("the recipe in the cloud is no map", where=arn)
        return value

    def create(self, recipe: str) -> None:
        with speaking(self._account.region):
            self._account.greengrass.create_component_version(inlineRecipe=recipe.encode())

    def delete(self, name: str, version: Version) -> None:
        with speaking(self._account.region):
            self._account.greengrass.delete_component(arn=self._account.component(name, str(version)))

    def wait(self, name: str, version: Version) -> None:
        """Until it is deployable. Raises EdgeloopError when it fails or takes too long."""
        waited, step = 0.0, 0.5
        while (state := self.state(name, version)).name != DEPLOYABLE:
            if state.name not in PENDING:
                mend = "mend that and publish again: the failed version is replaced"
                raise EdgeloopError(f"{name} {version} is {state.name}", why=state.reason, mend=mend)
            if waited >= PATIENCE:
                raise EdgeloopError(f"{name} {version} is still {state.name} after {waited:.0f} s",
                                    mend="publish again later: what is done is not repeated")  # fmt: skip
            self._pause(step)
            waited, step = waited + step, min(step * 1.5, 10.0)


def missing(refused: EdgeloopError) -> bool:
    """Whether AWS said that there is no such thing."""
    cause = refused.__cause__
    return isinstance(cause, Exception) and code_of(cause) == "ResourceNotFoundException"


def conflicting(refused: EdgeloopError) -> bool:
    cause = refused.__cause__
    return isinstance(cause, Exception) and code_of(cause) == "ConflictException"
