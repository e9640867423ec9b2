"""What the fleet is told, by way of the upload queue and files as StreamUpload writes them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgeloop.log import Log
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop_tools.cli import main
from model_update.updates import Updates

NAME = "io.edgeloop.ModelUpdate"


def test_which_model_serves_where(site: Any, make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = UploadQueue(site.root, NAME)
    append = partial(queue.append, sync=True)
    site.updates = Updates(site.root, site.work, lambda *_: None, site.health, Log("ModelUpdate", "error"), append)
    first, bad = make(1.0), make(2.0, says=3.0, version="1.1.0")
    site.commit(*first)
    site.want(*bad)
    site.updates.advance()
    site.updates._due.clear()
    site.updates.advance()
    reader = QueueReader(site.root, NAME)
    documents = []
    for entry in reader.entries():
        documents += [json.loads(line) for line, *_ in reader.records(entry, 0, 1 << 20, complete=False).found]
    assert [d["step"] for d in documents] == ["active", "committed", "refused"], "on change only"
    assert documents[-1]["active"]["digest"] == first[1]
    assert documents[-1]["desired"] == bad[1]
    folder = tmp_path / "up" / "records" / "site=s" / "kind=models" / "date=2026-11-28"
    folder.mkdir(parents=True)
    lines = [json.dumps({"device": "press-7", "component": NAME, "kind": "models", "document": d}) for d in documents]
    (folder / "press-7_ModelUpdate_1_0-9.jsonl").write_text("\n".join([*lines[::-1], "noise", ""]))
    assert main(["fleet", "models", str(tmp_path / "up")]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.startswith(f"press-7  linear  1.0.0 (wanted {bad[1][:12]})  committed  ")
    assert "golden cases come out wrong" in row
    assert main(["fleet", "models", str(tmp_path / "root")]) == 1
    assert "no records of models" in capsys.readouterr().err
