"""The names under which other packages still know two steps of the durable room."""

from __future__ import annotations

from edgeloop.durable import replace, sync_folder

__all__ = ["replace", "sync_folder"]
