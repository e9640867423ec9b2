"""The tokens that components and tools show on the bus."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holder:
    component: str
    unrestricted: bool = False


class Tokens:
    """One token per component, as SVCUID. On the classic nucleus they live as long as the core, on lite they die with
    the bus process."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._of: dict[str, str] = {}
        self._observers: set[str] = set()

    def of(self, component: str) -> str:
        if component not in self._of:
            token = secrets.token_urlsafe(12)
            self._of[component] = token
            self._holders[token] = Holder(component)
        return self._of[component]

    def observer(self) -> str:
        """A token for a tool: it may do everything, and outlives the bus process in both modes."""
        token = secrets.token_urlsafe(24)
        self._observers.add(token)
        self._holders[token] = Holder("edgeloop.tools", unrestricted=True)
        return token

    def holder(self, token: str) -> Holder | None:
        return self._holders.get(token)

    def revoke(self, component: str) -> str | None:
        """The token that is dead now."""
        token = self._of.pop(component, None)
        if token:
            del self._holders[token]
        return token

    def revoke_all(self) -> None:
        for component in list(self._of):
            self.revoke(component)
