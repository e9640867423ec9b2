"""The upload queue: what must reach the cloud is first on the disk, in the folder of the component that made it.

The owner puts entries into `work/<component>/upload/` and deletes what StreamUpload has released; StreamUpload only
reads there. What it has released stands in a file of its own work folder.

    <number>-<kind>.jsonl   records, one JSON object a line with its checksum, appended to until the kind's next number
    <number>-<kind>/        a file and `entry.json`, complete from the rename of the folder on
"""

from edgeloop.queue.folder import Entry, QueueError, folder
from edgeloop.queue.producer import UploadQueue
from edgeloop.queue.reader import QueueReader
from edgeloop.queue.released import Released

__all__ = ["Entry", "QueueError", "QueueReader", "Released", "UploadQueue", "folder"]
