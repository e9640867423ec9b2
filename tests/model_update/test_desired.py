"""Who says what is to be active: hold > configuration > model component > IoT Core."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeloop.errors import BusError
from edgeloop.log import Log
from edgeloop_tools.cli import main
from model_update.cloud import Cloud
from model_update.hold import Command
from model_update.wishes import shadow_topic, topic

from .conftest import until

KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = base64.b64encode(KEY.private_bytes_raw()).decode()
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
HEARD = {"keys": {"release": PUBLIC}, "desired": "topic"}


def told(made: tuple[Path, str], **more: Any) -> bytes:
    return json.dumps({"models": {"linear": {"uri": f"file:{made[0]}", "digest": made[1], **more}}}).encode()


def configured(site: Any, **settings: Any) -> None:
    """Nothing is wanted by configuration."""
    site.want("default", settings=settings)
    configuration = site.updates._configuration
    site.updates.apply(type(configuration)(**{
        name: getattr(configuration, name) for name in configuration.__struct_fields__ if name != "models"
    }))  # fmt: skip


def serves(site: Any) -> str:
    site.updates._due.clear()
    site.updates.advance()
    return str(site.pointer.active.version) if site.pointer and site.pointer.active else ""


def by(site: Any) -> str:
    return str(json.loads((site.work / "progress" / "linear.json").read_bytes().split(b"\n")[0])["by"])


def commit(site: Any) -> None:
    with site.user() as user:
        user.used(user.current, 10)
    serves(site)


def component(site: Any, made: tuple[Path, str]) -> Path:
    path = Path(site.work / "wishes" / "linear.json")
    path.write_text(json.dumps({"uri": f"file:{made[0]}", "digest": made[1], "component": "com.example.Linear"}))
    return path


def test_the_order_of_precedence(site: Any, make: Any) -> None:
    cloud, brought, wanted = (
        make(float(n), version=version, key=SECRET) for n, version in ((1, "1.0.0"), (2, "1.1.0"), (3, "1.2.0"))
    )
    configured(site, **HEARD)
    site.updates.wishes.message("", told(cloud))
    assert serves(site) == "1.0.0"
    assert by(site) == "iot-core"
    commit(site)
    wish = component(site, brought)
    assert serves(site) == "1.1.0"
    assert by(site) == "component com.example.Linear"
    commit(site)
    site.want(*wanted, settings=HEARD)
    assert serves(site) == "1.2.0"
    assert by(site) == "configuration"
    commit(site)
    site.updates._commands.append(
        Command(command="hold", name="linear", version="1.0.0", by="Ana", role="engineer")
    )
    assert serves(site) == "1.0.0"
    assert by(site) == "hold of Ana"
    site.updates._commands.append(Command(command="release", name="linear", by="Ana", role="engineer"))
    assert serves(site) == "1.2.0"
    configured(site, **HEARD)
    wish.unlink()
    assert serves(site) == "1.2.0", "what IoT Core wants is a step back"
    assert "the version is older: 1.0.0 after 1.2.0" in site.problem
    site.updates.wishes.message("", b"")
    assert serves(site) == "1.2.0"


def test_what_iot_core_wants_stands_while_offline_and_needs_keys(site: Any, make: Any) -> None:
    first, second = make(1.0, key=SECRET), make(2.0, version="1.1.0", key=SECRET)
    configured(site, desired="topic")
    site.updates.wishes.message("", told(first))
    assert serves(site) == ""
    assert "no key is named" in site.health.problems["desired"]
    configured(site, keys={"release": PUBLIC})
    assert serves(site) == "", "nobody said that IoT Core counts"
    configuration = {**HEARD}
    configured(site, **configuration)
    assert serves(site) == "1.0.0"
    site.updates.wishes.message("", b"{not a wish")
    assert "what it wanted before stands" in site.health.problems["desired.message"]
    site.updates.wishes.message("", told(second, older="allowed"))
    assert "older" in site.health.problems["desired.message"], "a step back is the configuration's alone"
    site.updates.wishes.message("", told((Path("x"), "0" * 63)))
    assert serves(site) == "1.0.0"
    site.again()
    configured(site, **configuration)
    assert serves(site) == "1.0.0"
    site.updates.wishes.message("", told(second))
    assert serves(site) == "1.1.0"
    assert site.health.problems.get("desired.message") is None


def test_a_forged_package_that_iot_core_wants_is_refused(site: Any, make: Any) -> None:
    configured(site, **HEARD)
    site.updates.wishes.message("", told(make(1.0)))
    assert serves(site) == ""
    assert "not signed" in site.problem


def test_a_model_component_that_is_removed_wants_nothing(site: Any, make: Any, tmp_path: Path) -> None:
    made = make(1.0)
    configured(site)
    component(site, made)
    assert serves(site) == "1.0.0"
    made[0].unlink()
    site.again()
    configured(site)
    assert serves(site) == "1.0.0", "it stays as it is"
    assert site.problem == ""
    (site.work / "wishes" / "linear.json").write_text("{")
    assert serves(site) == "1.0.0"
    assert "linear.json is not taken" in site.health.problems["desired.linear"]


def test_the_component_that_publish_makes(site: Any, make: Any, tmp_path: Path) -> None:
    """Its script, run by a shell as a nucleus runs it, is the wish."""
    import subprocess

    import yaml

    path, digest = make(1.0, key=SECRET)
    words = ["model", "publish", str(path), "--to", str(tmp_path / "shelf"), "--component", "com.example.Linear"]
    assert main([*words, "-o", str(tmp_path / "gg")]) == 0
    recipe = yaml.safe_load((tmp_path / "gg" / "recipes" / "com.example.Linear-1.0.0.yaml").read_text())
    artifacts = tmp_path / "gg" / "artifacts" / "com.example.Linear" / "1.0.0"
    (manifest,) = recipe["Manifests"]
    assert manifest["Artifacts"][0]["Uri"].endswith("/linear-1.0.0.tar")
    script = manifest["Lifecycle"]["run"]["Script"].replace("exec sleep infinity", "")
    script = script.replace("{kernel:rootPath}", str(site.root)).replace("{artifacts:path}", str(artifacts))
    subprocess.run(["sh", "-e", "-c", script], check=True, timeout=60)
    configured(site)
    assert serves(site) == "1.0.0"
    assert site.pointer.active.digest == digest
    assert by(site) == "component com.example.Linear"
    assert main([*words[:-1], "surface"]) == 1


def test_what_a_device_made_is_for_that_device(site: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeloop.models.manifest import Provenance

    monkeypatch.setenv("AWS_IOT_THING_NAME", "press-7")
    own, foreign = (
        make(float(n), version=f"1.{n}.0", provenance=Provenance(made_on=thing))
        for n, thing in ((1, "press-7"), (2, "press-8"))
    )
    elsewhere = own
    folder = site.root / "work" / "io.edgeloop.CameraInference" / "taught"
    folder.mkdir(parents=True)
    own, foreign = ((path.rename(folder / path.name), digest) for path, digest in (own, foreign))
    site.want(elsewhere[0].parent / "copy.tar", own[1])
    (elsewhere[0].parent / "copy.tar").write_bytes(own[0].read_bytes())
    assert serves(site) == ""
    assert "from its own work folders alone" in site.problem
    site.want(*foreign)
    assert serves(site) == ""
    assert "it was taught on press-8, for that one alone" in site.problem
    site.want(*own, attempt=2)
    assert serves(site) == "1.1.0", "allowed while no key is named"
    site.want("default")
    serves(site)
    site.want(*own, attempt=3, settings={"keys": {"release": PUBLIC}})
    assert serves(site) == ""
    assert "not signed" in site.problem
    site.want(*own, attempt=3, taught="allowed", settings={"keys": {"release": PUBLIC}})
    assert serves(site) == "1.1.0"
    plain, digest = make(5.0, version="1.5.0")
    site.want(plain.rename(folder / "plain.tar"), digest, taught="allowed", settings={"keys": {"release": PUBLIC}})
    assert serves(site) == "1.1.0", "what no device made needs its signature"
    assert "not signed" in site.problem
    site.want("default")
    assert serves(site) == ""
    site.want(*own, attempt=4, taught="refused")
    assert serves(site) == "", "refused, though no key is named"
    assert "what was made on the device is not taken" in site.problem


class Broker:
    """IoT Core's part: subscriptions by filter, and a shadow that answers where it is asked."""

    def __init__(self, desired: Any) -> None:
        self.desired, self.asked = desired, threading.Event()
        self.handlers: dict[str, Callable[[str, bytes], None]] = {}
        self.refuse = True

    def subscribe(self, filter: str, handler: Any, depth: int = 1, *, cloud: bool = False) -> Any:
        assert cloud
        self.handlers[filter] = handler

        class Subscription:
            def close(_) -> None:
                del self.handlers[filter]

        return Subscription()

    def publish_to_iot_core(self, topic: str, payload: bytes, qos: Any = 1) -> None:
        self.asked.set()
        if self.refuse:
            self.refuse = False
            raise BusError("offline")
        assert topic == shadow_topic("press-7", "get")
        document = {"state": {"desired": self.desired, "delta": {}}, "version": 3, "timestamp": 1}
        self.handlers[shadow_topic("press-7", "get/accepted")]("", json.dumps(document).encode())


def test_a_named_shadow_and_a_topic(site: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_update.cloud.AGAIN", 0.02)
    first, second = make(1.0, key=SECRET), make(2.0, version="1.1.0", key=SECRET)
    broker = Broker(json.loads(told(first)))
    cloud = Cloud(broker, site.updates.wishes, Log("ModelUpdate", "error"), "press-7")
    configured(site, **HEARD | {"desired": "shadow"})
    try:
        cloud.follow("shadow")
        until(lambda: serves(site) == "1.0.0")
        broker.desired = json.loads(told(second))
        broker.handlers[shadow_topic("press-7", "update/delta")]("", b"{}")
        until(lambda: serves(site) == "1.1.0")
        cloud.follow("topic")
        assert list(broker.handlers) == [topic("press-7")]
        cloud.follow("")
        assert broker.handlers == {}
    finally:
        cloud.close()


LESSON = json.dumps({"command": "taught", "name": "linear", "digest": 64 * "0", "version": "1.0.0"}).encode()


def test_a_lesson_told_in_the_middle_of_a_round_is_taken_in_the_next(site: Any) -> None:
    lessons, real = site.updates._lessons, site.updates._lessons.desired

    def desired(configuration: Any) -> Any:
        lessons.desired = real
        site.updates.command("", LESSON)
        return real(configuration)

    lessons.desired = desired
    site.updates.advance()
    assert "model.linear.taught" not in site.health.problems
    site.updates.advance()
    assert "it is not in CameraInference's work folder" in site.health.problems["model.linear.taught"]


def test_a_damaged_list_of_what_was_taught_is_said(site: Any) -> None:
    (site.work / "taught.json").write_bytes(b"{")
    site.again()
    assert "taught.json" in site.health.problems["taught.file"]
