"""Recipes from declarations: one per component, good for the classic nucleus and for lite."""

from __future__ import annotations

from typing import Any

import yaml

from edgeloop import __version__, topics
from edgeloop.config import schema
from edgeloop.config.declaration import Declaration, Dependency
from edgeloop_tools.build import model
from edgeloop_tools.build.components import RUNTIME, UMBRELLA

FORMAT = "2020-01-25"
PUBLISHER = "Edgeloop"
URI = "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/{file}"
INSTALL_TIMEOUT = 1800
"""Seconds; a slow line and a slow card."""
INTERPRETER = f"{{kernel:rootPath}}/work/{RUNTIME}/venv/bin/python"
WAIT = 1800
"""Seconds that a component waits for the environment: SOFT dependencies do not delay a start on every nucleus."""

STEADY, PAUSE = 10, 30
"""s: a process that lived this long is started again at once; at most this long a wait before the others."""

RUN = f"""\
python="{INTERPRETER}"
told=0 child= quick=0
trap 'told=1; [ -z "$child" ] || kill $child 2>/dev/null' TERM INT
export EDGELOOP_PARENT=$$
exec 3<&0
while [ $told = 0 ]; do
  n=0
  [ -x "$python" ] || echo "waiting for {RUNTIME}: $python is not there yet, or its Python was removed" >&2
  until [ -x "$python" ] || [ $n -ge {WAIT} ] || [ $told = 1 ]; do n=$((n+1)); sleep 1; done
  [ $told = 0 ] || exit 0
  [ -x "$python" ] || echo "{RUNTIME} has made no environment in {WAIT} s: look at its log, deploy it again" >&2
  IFS=. read -r begun rest </proc/uptime
  "$python" -u "{{artifacts:path}}/{{package}}.pyz" --root "{{kernel:rootPath}}" <&3 3<&- &
  child=$!
  [ $told = 0 ] || kill $child 2>/dev/null
  wait $child
  code=$?
  while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
  case $code in 0|137) ;; *) [ $told = 1 ] || exit $code ;; esac
  [ $code = 137 ] || [ $told = 1 ] || sleep 1
  [ $told = 0 ] || exit 0
  IFS=. read -r now rest </proc/uptime
  quick=$((now-begun<{STEADY}?quick+1:0))
  [ $quick -le {PAUSE} ] || quick={PAUSE}
  echo "the process was ended from outside (code $code): starting it again" >&2
  n=1
  until [ $n -ge $quick ] || [ $told = 1 ]; do n=$((n+1)); sleep 1; done
done
"""
"""A parent of a few hundred kB that outlives what the world kills (SIGKILL, or an end that nobody here asked for): that
costs none of the nucleus's three failures in an hour. A fault of ours, any other exit code, is passed on and counts."""
WITH_PYTHON = """\
for python in python3 python3.14 python3.13 python3.12 python3.11; do
  if $python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec $python {options}"{artifacts:path}/{package}.pyz" {verb} --root "{kernel:rootPath}"
  fi
done
"""
INSTALL = (
    WITH_PYTHON.replace("{options}", "").replace("{verb}", "install")
    + """\
echo "no Python 3.11 or newer on PATH: install python3 and python3-venv" >&2
exit 1
"""
)
STAYS = WITH_PYTHON.replace("{options}", "-E -S -B ").replace("{verb}", "run") + "exec sleep infinity\n"
"""Runtime's `run` watches its configuration and never ends: to nucleus lite a step that has ended is a dead unit, which
the umbrella's HARD dependency never starts on and which each start of a component starts again, until the limit of
three an hour."""


def requirement(version: str = __version__) -> str:
    """The umbrella's of each component: exactly this version. A nucleus keeps what satisfies a requirement, so a looser
    one upgrades nothing."""
    return f"={version}"


def recipe(declaration: Declaration[Any]) -> dict[str, Any]:
    files = [f"{declaration.package}.pyz", *model.names(declaration)]
    artifacts = [{"Uri": URI.format(file=file)} for file in files]
    script = (INSTALL if declaration.name == RUNTIME else RUN).replace("{package}", declaration.package)
    lifecycle: dict[str, Any] = {"run": {"Script": script}}
    if declaration.name == RUNTIME:
        stays = STAYS.replace("{package}", declaration.package)
        lifecycle = {"install": {"Script": script, "Timeout": INSTALL_TIMEOUT}, "run": {"Script": stays}}
    defaults = dict(schema.defaults(declaration.configuration))
    if policies := access_control(declaration):
        defaults["accessControl"] = policies
    return _document(
        declaration.name, declaration.description, declaration.dependencies, lifecycle, defaults, artifacts
    )


def umbrella(declarations: list[Declaration[Any]]) -> dict[str, Any]:
    dependencies = {d.name: Dependency(requirement(), "HARD") for d in declarations if not d.optional}
    description = "Edgeloop: one name to deploy for all its components"
    return _document(UMBRELLA, description, dependencies, {"run": {"Script": "true"}}, {}, [])


def _document(
    name: str,
    description: str,
    dependencies: dict[str, Dependency],
    lifecycle: dict[str, Any],
    defaults: dict[str, Any],
    artifacts: list[dict[str, str]],
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "RecipeFormatVersion": FORMAT,
        "ComponentName": name,
        "ComponentVersion": __version__,
        "ComponentType": "aws.greengrass.generic",
        "ComponentDescription": description,
        "ComponentPublisher": PUBLISHER,
    }
    if defaults:
        document["ComponentConfiguration"] = {"DefaultConfiguration": defaults}
    if dependencies:
        document["ComponentDependencies"] = {
            other: {"VersionRequirement": d.requirement, "DependencyType": d.type}
            for other, d in sorted(dependencies.items())
        }
    manifest: dict[str, Any] = {"Platform": {"os": "linux", "runtime": "*"}}
    if artifacts:
        manifest["Artifacts"] = artifacts
    manifest["Lifecycle"] = lifecycle
    document["Manifests"] = [manifest]
    return document


def access_control(declaration: Declaration[Any]) -> dict[str, Any]:
    """Exactly the declared topics, and for who uses the bus its own health and self-ping.

    Policy ids never come back with another meaning: a nucleus keeps what it has under an id.
    """
    if not (declaration.publishes or declaration.subscribes):
        return {}
    ping = topics.ping(declaration.name)
    publishes = dict.fromkeys([*declaration.publishes, topics.health(declaration.name), ping])
    subscribes = dict.fromkeys([*declaration.subscribes, ping])
    number = 2 * declaration.policy
    cloud = {
        "aws.greengrass.ipc.mqttproxy": {
            f"{declaration.name}:mqttproxy:{declaration.policy}": {
                "policyDescription": "Subscribe at IoT Core",
                "operations": ["aws.greengrass#SubscribeToIoTCore"],
                "resources": list(declaration.cloud_subscribes),
            }
        }
    }
    return {
        "aws.greengrass.ipc.pubsub": {
            f"{declaration.name}:pubsub:{number - 1}": {
                "policyDescription": "Publish",
                "operations": ["aws.greengrass#PublishToTopic"],
                "resources": list(publishes),
            },
            f"{declaration.name}:pubsub:{number}": {
                "policyDescription": "Subscribe",
                "operations": ["aws.greengrass#SubscribeToTopic"],
                "resources": list(subscribes),
            },
        },
        **(cloud if declaration.cloud_subscribes else {}),
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(document: dict[str, Any]) -> str:
    return "# Generated by `edgeloop build`.\n" + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True
    )
