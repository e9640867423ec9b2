"""How a deployment spreads, when it stops and what a device does when it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError

FAILURES = ("FAILED", "REJECTED", "TIMED_OUT", "ALL")
DEFAULTS: dict[str, Any] = {
    "failureHandlingPolicy": "ROLLBACK",
    "componentUpdatePolicy": {"timeoutInSeconds": 60, "action": "NOTIFY_COMPONENTS"},
    "configurationValidationPolicy": {"timeoutInSeconds": 30},
}


@dataclass(frozen=True, slots=True)
class Abort:
    """Cancel when `percent` of the devices that are through, of which there are `least`, ended as `failure`."""

    failure: str
    percent: float
    least: int

    @classmethod
    def parse(cls, text: str) -> Abort:
        """
        >>> Abort.parse("TIMED_OUT 20% of 5"), Abort.parse("10%")
        (Abort(failure='TIMED_OUT', percent=20.0, least=5), Abort(failure='FAILED', percent=10.0, least=1))
        """
        found = re.fullmatch(r"(?:([A-Z_]+) +)?(\d+(?:\.\d+)?) ?%(?: of (\d+))?", text.strip())
        if not found or (found[1] or "FAILED") not in FAILURES or not 0 < float(found[2]) <= 100 or found[3] == "0":
            raise _wrong("--abort", text, f'write such as "FAILED 10% of 5"; one of {", ".join(FAILURES)}')
        return cls(found[1] or "FAILED", float(found[2]), int(found[3] or 1))


@dataclass(frozen=True, slots=True)
class Rate:
    """Devices a minute: constant, or from `base` up to `most`, `factor` times as many after each `after` successes."""

    most: int
    base: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rate:
        """
        >>> Rate.parse("10"), Rate.parse("5..100")
        (Rate(most=10, base=None), Rate(most=100, base=5))
        """
        found = re.fullmatch(r"(?:(\d+)\.\.)?(\d+)", text.strip())
        base, most = (int(found[1]) if found[1] else None, int(found[2])) if found else (None, 0)
        if not 1 <= most <= 1000 or (base is not None and not 1 <= base <= most):
            raise _wrong("--rate", text, "write devices a minute, 1 to 1000, such as 10 or 5..100")
        return cls(most, base)


@dataclass(frozen=True, slots=True)
class Rollout:
    """None and empty: as in the current deployment, else Greengrass's defaults. Times in seconds."""

    rate: Rate | None = None
    factor: float = 2.0
    after: int = 10
    aborts: tuple[Abort, ...] = ()
    failure: str | None = None
    notify: bool | None = None
    update_timeout: int | None = None
    validation_timeout: int | None = None
    device_timeout: int | None = None

    def policies(self, current: Mapping[str, Any]) -> dict[str, Any]:
        """deploymentPolicies."""
        made: dict[str, Any] = {}
        for key, default in DEFAULTS.items():
            given = current.get(key, default)
            made[key] = {**default, **given} if isinstance(default, dict) else given
        if self.failure:
            made["failureHandlingPolicy"] = self.failure
        if self.notify is not None:
            made["componentUpdatePolicy"]["action"] = "NOTIFY_COMPONENTS" if self.notify else "SKIP_NOTIFY_COMPONENTS"
        if self.update_timeout is not None:
            made["componentUpdatePolicy"]["timeoutInSeconds"] = self.update_timeout
        if self.validation_timeout is not None:
            made["configurationValidationPolicy"]["timeoutInSeconds"] = self.validation_timeout
        return made

    def job(self, current: Mapping[str, Any]) -> dict[str, Any]:
        """iotJobConfiguration."""
        made = dict(current)
        if self.rate:
            spread: dict[str, Any] = {"maximumPerMinute": self.rate.most}
            if self.rate.base is not None:
                spread["exponentialRate"] = {
                    "baseRatePerMinute": self.rate.base,
                    "incrementFactor": self.factor,
                    "rateIncreaseCriteria": {"numberOfSucceededThings": self.after},
                }
            made["jobExecutionsRolloutConfig"] = spread
        if self.aborts:
            criteria = [
                {
                    "failureType": abort.failure,
                    "action": "CANCEL",
                    "thresholdPercentage": abort.percent,
                    "minNumberOfExecutedThings": abort.least,
                }
                for abort in self.aborts
            ]
            made["abortConfig"] = {"criteriaList": criteria}
        if self.device_timeout is not None:
            made["timeoutConfig"] = {"inProgressTimeoutInMinutes": max(1, round(self.device_timeout / 60))}
        return made


def seconds(option: str, text: str | None) -> int | None:
    """Of a duration, such as `90 s` or `30 min`."""
    if text is None:
        return None
    try:
        found = round(Duration(text).seconds)
    except ValueError as error:
        raise _wrong(option, text, str(error)) from error
    if found < 1:
        raise _wrong(option, text, "at least 1 s")
    return found


def _wrong(option: str, text: str, mend: str) -> EdgeloopError:
    return EdgeloopError("a wrong value", where=option, why=repr(text), mend=mend)
