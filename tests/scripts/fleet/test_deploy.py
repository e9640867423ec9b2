from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeloop import __version__
from edgeloop_tools.build.components import declarations
from edgeloop_tools.build.recipe import recipe, umbrella
from edgeloop_tools.harness.aws import Cloud
from edgeloop_tools.harness.aws.state import Device, Registered

Run = Callable[..., tuple[int, str, str]]
INGEST, RUNTIME, CAMERA = "io.edgeloop.SensorIngest", "io.edgeloop.Runtime", "io.edgeloop.CameraInference"
MANAGER = "aws.greengrass.StreamManager"
LINE = """\
site: plant2
line: press7
assets:
  press7: hydraulic press
sources:
  vib:
    type: simulator
"""


class Plant:
    """A published checkout, a thing group of three devices, and a line."""

    def __init__(self, cloud: Cloud, run: Run, folder: Path) -> None:
        self.cloud, self.run, self.folder = cloud, run, folder
        self.file = folder / "line.yaml"
        self.file.write_text(LINE)
        cloud.state.groups.add("presses")
        for name in ("core1", "core2", "core3"):
            cloud.state.devices[name] = Device(("presses",))

    def publish(self, version: str) -> None:
        known = declarations()
        for document in [*map(recipe, known), umbrella(known)]:
            versions = self.cloud.state.components.setdefault(document["ComponentName"], {})
            versions[version] = Registered(document | {"ComponentVersion": version}, ["DEPLOYABLE"], "")

    def deploy(self, *words: object) -> tuple[int, str, str]:
        return self.run("deploy", "--thing-group", "presses", "--line", self.file, "--yes", *words)

    def overlay(self, thing: str, text: str) -> None:
        (self.folder / "overlays").mkdir(exist_ok=True)
        (self.folder / "overlays" / f"{thing}.yaml").write_text(text)

    def latest(self, target: str = "thinggroup/presses") -> dict[str, Any]:
        found = [entry for entry in self.cloud.state.deployments if entry["targetArn"].endswith(f":{target}")]
        return found[-1]

    def merge(self, name: str, target: str = "thinggroup/presses") -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.latest(target)["components"][name]["configurationUpdate"]["merge"])
        return value


@pytest.fixture
def plant(cloud: Cloud, run: Run, tmp_path: Path) -> Plant:
    made = Plant(cloud, run, tmp_path)
    made.publish(__version__)
    return made


def test_every_configured_component_is_a_root_with_its_exact_version(plant: Plant) -> None:
    code, out, err = plant.deploy()
    assert (code, err) == (0, "")
    made = plant.latest()
    assert {INGEST, RUNTIME} <= set(made["components"])
    assert {entry["componentVersion"] for entry in made["components"].values()} == {__version__}
    assert plant.merge(INGEST)["sources"]["vib"]["type"] == "simulator"
    assert made["deploymentName"] == "plant2 press7"
    assert made["deploymentPolicies"]["failureHandlingPolicy"] == "ROLLBACK"
    assert f"+ {INGEST} {__version__}" in out


def test_a_second_run_has_nothing_to_change(plant: Plant) -> None:
    plant.deploy()
    code, out, _ = plant.deploy()
    assert (code, len(plant.cloud.state.deployments)) == (0, 1)
    assert "nothing to change" in out


def test_what_is_not_ours_stays_in_the_deployment(plant: Plant) -> None:
    other = {"componentVersion": "2.12.0", "configurationUpdate": {"merge": '{"jvmOptions":"-Xmx64m"}'},
             "runWith": {"posixUser": "ggc_user"}}  # fmt: skip
    job = {"timeoutConfig": {"inProgressTimeoutInMinutes": 90}}
    plant.cloud.state._create_deployment(
        plant.cloud.state.group_arn("presses"), {"aws.greengrass.Nucleus": other},
        deploymentName="presses", iotJobConfiguration=job, deploymentPolicies={"failureHandlingPolicy": "DO_NOTHING"},
    )  # fmt: skip
    plant.deploy("--rate", "5..100", "--abort", "FAILED 10% of 5", "--update-timeout", "2 min")
    made = plant.latest()
    assert made["components"]["aws.greengrass.Nucleus"] == other
    assert made["deploymentPolicies"]["failureHandlingPolicy"] == "DO_NOTHING"
    assert made["deploymentPolicies"]["componentUpdatePolicy"] == {
        "timeoutInSeconds": 120,
        "action": "NOTIFY_COMPONENTS",
    }
    assert made["iotJobConfiguration"]["timeoutConfig"] == {"inProgressTimeoutInMinutes": 90}
    spread = made["iotJobConfiguration"]["jobExecutionsRolloutConfig"]
    assert spread["maximumPerMinute"] == 100
    assert spread["exponentialRate"]["baseRatePerMinute"] == 5
    assert made["iotJobConfiguration"]["abortConfig"]["criteriaList"] == [
        {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 10.0, "minNumberOfExecutedThings": 5}
    ]


def test_what_the_line_no_longer_has_is_reset_and_goes_on_being_reset(plant: Plant) -> None:
    plant.file.write_text(LINE + "  old:\n    type: simulator\n")
    plant.deploy()
    plant.file.write_text(LINE)
    code, out, _ = plant.deploy()
    assert code == 0
    assert plant.latest()["components"][INGEST]["configurationUpdate"]["reset"] == ["/sources/old"]
    assert "reset /sources/old" in out
    plant.file.write_text(LINE.replace("plant2", "plant3"))
    plant.deploy()
    assert "/sources/old" in plant.latest()["components"][INGEST]["configurationUpdate"]["reset"]


def test_a_component_that_the_line_no_longer_configures_goes(plant: Plant) -> None:
    plant.file.write_text(LINE + 'cameras:\n  gate: {uri: "simulator:?seed=1&rate=4"}\n')
    plant.deploy()
    assert CAMERA in plant.latest()["components"]
    plant.file.write_text(LINE)
    _, out, _ = plant.deploy()
    assert CAMERA not in plant.latest()["components"]
    assert f"- {CAMERA} {__version__}" in out


def test_stream_manager_comes_where_something_is_uploaded_and_stays(plant: Plant) -> None:
    plant.deploy()
    assert MANAGER not in plant.latest()["components"]
    plant.file.write_text(LINE + "upload:\n  bucket: raw-data\n")
    plant.deploy()
    assert plant.latest()["components"][MANAGER]["componentVersion"] == "2.2.0"
    plant.file.write_text(LINE)
    plant.deploy("--stream-manager", "2.1.9")
    assert plant.latest()["components"][MANAGER]["componentVersion"] == "2.1.9"


def test_a_dry_run_asks_and_changes_nothing(plant: Plant) -> None:
    code, out, _ = plant.deploy("--dry-run")
    assert (code, plant.cloud.state.deployments) == (0, [])
    assert f"+ {INGEST} {__version__}" in out
    assert "+ /sources/vib/type: simulator" in out


def test_without_a_person_it_wants_yes(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = plant.run("deploy", "--thing-group", "presses", "--line", plant.file)
    assert (code, plant.cloud.state.deployments) == (1, [])
    assert "nobody is here to confirm; give --yes" in err


def test_waiting_tells_what_the_devices_say(plant: Plant) -> None:
    code, out, _ = plant.deploy("--wait")
    assert code == 0
    assert "3 devices: 3 in progress" in out
    assert "3 devices: 3 succeeded" in out


def test_a_device_that_fails_is_named_with_its_reason(plant: Plant) -> None:
    plant.cloud.state.devices["core2"] = Device(("presses",), "UNHEALTHY", ["FAILED"], "no space left on device")
    code, out, _ = plant.deploy("--wait")
    assert code == 1
    assert "core2: FAILED no space left on device" in out
    assert "unhealthy: core2" in out


def test_a_device_that_is_away_is_named(plant: Plant) -> None:
    plant.cloud.state.devices["core3"].status = ["QUEUED"]
    code, out, _ = plant.deploy("--wait", "--patience", "2 s")
    assert code == 1
    assert "1 devices have not answered" in out
    assert "core3" in out


def test_a_device_has_its_own_layer_after_the_groups(plant: Plant) -> None:
    plant.overlay("core2", "site: annex\n")
    code, _, err = plant.deploy("--wait")
    assert (code, err) == (0, "")
    assert [entry["targetArn"].rpartition(":")[2] for entry in plant.cloud.state.deployments] == [
        "thinggroup/presses", "thing/core2",
    ]  # fmt: skip
    assert plant.merge(INGEST, "thing/core2") == {"site": "annex"}
    assert plant.latest("thing/core2")["components"][INGEST]["componentVersion"] == __version__
    plant.deploy("--wait")
    assert len(plant.cloud.state.deployments) == 2


def test_a_leaf_that_the_overlay_no_longer_has_returns_to_the_groups(plant: Plant) -> None:
    plant.overlay("core2", "site: annex\n")
    plant.deploy()
    plant.overlay("core2", "{}\n")
    plant.deploy()
    assert plant.merge(INGEST, "thing/core2") == {"site": "plant2"}
    assert len(plant.cloud.state.deployments) == 3


def test_a_layer_lets_go_of_old_versions_before_the_group_changes_them(plant: Plant) -> None:
    plant.overlay("core2", "site: annex\n")
    plant.deploy()
    plant.publish("0.1.7")
    code, _, err = plant.deploy()
    assert (code, err) == (0, "")
    later = plant.cloud.state.deployments[2:]
    assert [entry["targetArn"].rpartition(":")[2] for entry in later] == [
        "thing/core2",
        "thinggroup/presses",
        "thing/core2",
    ]
    assert later[0]["components"] == {}
    assert plant.latest("thing/core2")["components"][INGEST]["componentVersion"] == "0.1.7"


def test_the_group_waits_for_a_layer_that_holds_old_versions(plant: Plant) -> None:
    plant.overlay("core2", "site: annex\n")
    plant.deploy()
    plant.publish("0.1.7")
    plant.cloud.state.devices["core2"].status = ["UNKNOWN"]
    code, _, err = plant.deploy("--patience", "1 s")
    assert code == 1
    assert "a layer holds old versions" in err
    assert "core2" in err
    assert plant.latest()["components"][INGEST]["componentVersion"] == __version__


def test_the_preview_tells_the_layer_of_each_value(plant: Plant) -> None:
    plant.overlay("core2", "site: annex\n")
    code, out, _ = plant.deploy("--preview", "core1", "core2", "--json")
    assert (code, plant.cloud.state.deployments) == (0, [])
    told = json.loads(out)
    assert told["core1"][INGEST]["/site"] == {"value": "plant2", "layer": "group"}
    assert told["core2"][INGEST]["/site"] == {"value": "annex", "layer": "device"}
    assert "recipe" in {entry["layer"] for entry in told["core1"][INGEST].values()}


def test_a_group_that_is_not_there(plant: Plant) -> None:
    code, _, err = plant.run("deploy", "--thing-group", "lathes", "--line", plant.file, "--yes")
    assert code == 1
    assert "there is no thing group lathes (eu-central-1); aws iot create-thing-group --thing-group-name lathes" in err


def test_a_version_that_is_not_published(plant: Plant) -> None:
    code, _, err = plant.deploy("--version", "9.9.9")
    assert code == 1
    assert "9.9.9 is not published" in err


def test_nothing_is_published(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    plant = Plant(cloud, run, tmp_path)
    code, _, err = plant.deploy()
    assert code == 1
    assert "is not published (eu-central-1); edgeloop publish" in err


def test_no_permission_names_the_action(plant: Plant) -> None:
    plant.cloud.fail("greengrass", "CreateDeployment", code="AccessDeniedException", status=403, times=9)
    code, _, err = plant.deploy()
    assert code == 1
    assert "allow greengrass:CreateDeployment: `edgeloop policy deployer`" in err


def test_a_deployment_that_was_cancelled_is_made_again(plant: Plant) -> None:
    plant.deploy()
    plant.latest()["deploymentStatus"] = "CANCELED"
    code, out, _ = plant.deploy()
    assert (code, len(plant.cloud.state.deployments)) == (0, 2)
    assert "nothing to change, deployed again" in out
    plant.deploy("--again")
    assert len(plant.cloud.state.deployments) == 3


def test_an_overlay_may_add_a_component_to_one_device(plant: Plant) -> None:
    plant.overlay("core2", 'cameras:\n  gate: {uri: "simulator:?seed=1&rate=4"}\n')
    code, _, err = plant.deploy()
    assert (code, err) == (0, "")
    assert CAMERA not in plant.latest()["components"]
    assert "gate" in plant.merge(CAMERA, "thing/core2")["cameras"]
    assert "vision" in plant.merge(RUNTIME, "thing/core2")["profiles"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "0"), "--rate"),
        (("--rate", "9..5"), "--rate"),
        (("--abort", "SOME 10%"), "--abort"),
        (("--patience", "soon"), "--patience"),
        (("--device", "core1"), "--device"),
        (("--rate-factor", "9"), "--rate-factor"),
    ],
)
def test_a_wrong_value_is_named(plant: Plant, words: tuple[str, ...], said: str) -> None:
    code, _, err = plant.deploy(*words)
    assert (code, plant.cloud.requests) == (1, [])
    assert f"a wrong value ({said}" in err


def test_versions_that_do_not_go_together_are_refused(plant: Plant) -> None:
    plant.publish("0.3.0")
    recipe = plant.cloud.state.components[INGEST]["0.3.0"].recipe
    recipe["ComponentDependencies"] = {RUNTIME: {"VersionRequirement": ">=0.4.0", "DependencyType": "SOFT"}}
    code, _, err = plant.deploy()
    assert code == 1
    assert f"{INGEST} needs {RUNTIME} >=0.4.0, 0.3.0 would be deployed" in err
