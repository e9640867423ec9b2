"""Everything that is to survive is written here, and in the journal's segments: see README.md of this folder."""

from edgeloop.durable.backoff import BackOff
from edgeloop.durable.disk import File, make_folder, place, remove, replace, sync_folder
from edgeloop.durable.document import Damaged, Document, read, write
from edgeloop.durable.listing import Listing
from edgeloop.durable.log import AppendLog, records
from edgeloop.durable.seal import seal, unseal
from edgeloop.durable.snapshot import Snapshot

__all__ = [
    "AppendLog", "BackOff", "Damaged", "Document", "File", "Listing", "Snapshot", "make_folder", "place", "read",
    "records", "remove", "replace", "seal", "sync_folder", "unseal", "write",
]  # fmt: skip
