"""Taught on the device: pictures of its own camera, a package in its own folder, active through ModelUpdate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from camera_inference.declaration import NAME
from camera_inference.teaching import Teach
from edgeloop import topics
from edgeloop.config.load import convert
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import store, taught
from edgeloop.models.package import unpack
from model_update.configuration import Configuration
from model_update.updates import Updates

MODELS = "io.edgeloop.ModelUpdate"
KEY = "1" * 43 + "="


class Updating:
    """ModelUpdate without a bus of its own: it hears what is told to it."""

    def __init__(self, root: Path, publish: Any) -> None:
        work = root / "work" / MODELS
        work.mkdir(parents=True, exist_ok=True)
        self.health = Health(MODELS, lambda document: None)
        self.updates = Updates(root, work, publish, self.health, Log("ModelUpdate", "error"))

    def hear(self, document: dict[str, Any], **configuration: Any) -> None:
        self.updates.apply(convert({"probation": {"inferences": 3, "time": "0 s"}, **configuration}, Configuration))
        self.updates.command(topics.MODEL_COMMANDS, msgspec.json.encode(document))
        self.updates.advance()


def test_a_camera_is_taught_and_judges_by_it(plant: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_IOT_THING_NAME", "press9")
    camera = {
        "uri": "simulator:?seed=4&rate=25&defective=0&width=96&height=72", "policy": "every", "deadline": "5 s",
        "model": "lid", "queue": 64,
    }  # fmt: skip
    plant.configure(cameras={"gate": camera, "bare": {"uri": str(tmp_path / "nothing")}})
    plant.start()
    plant.wait(lambda: any(r["camera"] == "gate" for r in plant.results()))
    say = plant.bus.publish_document
    say(topics.CAMERA_COMMANDS, {"command": "teach", "camera": "bare", "by": "Ana"})
    plant.wait(lambda: "it has no model to be taught" in plant.problems())
    say(topics.CAMERA_COMMANDS, {"command": "teach", "camera": "gate", "good": 14, "by": "Ana"})
    plant.wait(lambda: plant.documents(topics.MODEL_COMMANDS), 120)
    told = plant.documents(topics.MODEL_COMMANDS)[0]
    assert {name: told[name] for name in ("command", "name", "version", "by")} == {
        "command": "taught", "name": "lid", "version": "1.0.0", "by": "Ana",
    }  # fmt: skip
    package = unpack(taught.place(plant.root, "lid", told["digest"]), tmp_path / "opened")
    assert package.manifest.provenance.made_on == "press9"
    assert package.manifest.provenance.code.startswith("edgeloop teach by Ana")

    updating = Updating(plant.root, plant.bus.publish)
    with updating.updates as updates:
        updating.hear(told)
        pointer = store.read(store.directory(plant.root, "lid"))
        assert pointer is not None
        assert pointer.active is not None
        assert pointer.active.digest == told["digest"]
        plant.wait(lambda: any(r["model"].get("version") == "1.0.0" for r in plant.results() if "model" in r), 120)
        judged = [r for r in plant.results() if r.get("model", {}).get("name") == "lid"]
        assert judged[0]["verdict"] in ("pass", "fail")
        updating.hear(told, models={"lid": {"uri": "default"}})
        now = store.read(store.directory(plant.root, "lid"))
        assert now is not None
        assert now.active is not None, "the configuration said nothing else of it when it was taught"
        updates.advance()


@pytest.mark.parametrize(
    ("thing", "configuration", "said"),
    [
        ("press9", {"keys": {"release": KEY}}, "models.lid.taught: allowed"),
        ("press8", {}, "it was taught on press9, for that one alone"),
        ("press9", {"models": {"lid": {"uri": "default", "taught": "refused"}}}, "models.lid.taught: allowed"),
    ],
)
def test_what_a_line_does_not_allow_is_one_line(
    thing: str, configuration: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    make_model: Any,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_IOT_THING_NAME", thing)
    folder = taught.folder(tmp_path)
    folder.mkdir(parents=True)
    digest = make_model(folder / "fresh.tar", name="lid", made_on="press9")
    (folder / "fresh.tar").rename(taught.place(tmp_path, "lid", digest))
    updating = Updating(tmp_path, lambda *message: True)
    with updating.updates:
        updating.hear({"command": "taught", "name": "lid", "digest": digest, "version": "1.0.0"}, **configuration)
    assert said in str(updating.health.document())
    pointer = store.read(store.directory(tmp_path, "lid"))
    assert pointer is None or pointer.active is None


def test_the_command_has_bounds() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"command": "teach", "camera": "gate", "good": 3}', type=Teach)
    assert msgspec.json.decode(b'{"command": "teach", "camera": "gate"}', type=Teach).good == 30
    assert NAME == taught.OWNER
