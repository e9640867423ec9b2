"""A good recipe passes; each rule is broken once and found at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop_tools.lint import Finding, check

GOOD = """\
RecipeFormatVersion: '2020-01-25'
ComponentName: io.edgeloop.Blinker
ComponentVersion: 0.1.0
ComponentType: aws.greengrass.generic
ComponentDescription: Blinks
ComponentPublisher: Edgeloop
ComponentConfiguration:
  DefaultConfiguration:
    period: 50 ms
    accessControl:
      aws.greengrass.ipc.pubsub:
        io.edgeloop.Blinker:pubsub:1:
          policyDescription: Publish
          operations:
            - aws.greengrass#PublishToTopic
          resources:
            - edgeloop/blinks
        io.edgeloop.Blinker:pubsub:2:
          policyDescription: Subscribe
          operations:
            - aws.greengrass#SubscribeToTopic
          resources:
            - edgeloop/commands/blink
ComponentDependencies:
  io.edgeloop.Runtime:
    VersionRequirement: '>=0.1.0 <0.2.0'
    DependencyType: SOFT
Manifests:
  - Platform:
      os: linux
      runtime: '*'
    Artifacts:
      - Uri: s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/blinker.pyz
    Lifecycle:
      install:
        Script: 'true'
        Timeout: 60
      run:
        Script: |
          n=0
          exec python3 "{artifacts:path}/blinker.pyz" --root "{kernel:rootPath}"
"""
RUNTIME = """\
RecipeFormatVersion: '2020-01-25'
ComponentName: io.edgeloop.Runtime
ComponentVersion: 0.1.0
Manifests:
  - Platform:
      os: linux
      runtime: '*'
    Lifecycle:
      run:
        Script: 'true'
"""


def found(folder: Path, text: str, name: str = "io.edgeloop.Blinker-0.1.0.yaml") -> list[Finding]:
    (folder / name).write_text(text)
    (folder / "io.edgeloop.Runtime-0.1.0.yaml").write_text(RUNTIME)
    return check(sorted(folder.glob("*.*")))


def test_a_good_recipe_passes(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []


LONG = "x" * 1100
BROKEN = [
    ("syntax", "period: 50 ms", "period: [50 ms", 10),
    ("keys", "ComponentPublisher: Edgeloop", "componentPublisher: Edgeloop", 6),
    ("keys", "- Uri:", "- URI:", 33),
    ("keys", "ComponentPublisher: Edgeloop", "ComponentName: io.edgeloop.Blinker", 6),
    ("lite", "      runtime: '*'\n", "", 29),
    ("lite", "'>=0.1.0 <0.2.0'", "^0.1.0", 26),
    ("dependency", "'>=0.1.0 <0.2.0'", "^0.1.0", 25),
    ("dependency", "'>=0.1.0 <0.2.0'", "'>=0.3.0 <0.4.0'", 25),
    ("dependency", "DependencyType: SOFT", "DependencyType: HARD", 25),
    ("dependency", "  io.edgeloop.Runtime:", "  io.edgeloop.Nobody:", 25),
    ("dependency", "  io.edgeloop.Runtime:", "  aws.greengrass.StreamManager:", 25),
    ("cycle", "  io.edgeloop.Runtime:", "  io.edgeloop.Blinker:", 25),
    ("braces", "n=0", "n=${HOME}", 40),
    ("braces", "{artifacts:path}/", "{artifacts:decompressedPath}/", 41),
    ("braces", "{artifacts:path}/", "{configuration:/x}/", 41),
    ("lite", "{artifacts:path}/", "{io.edgeloop.Runtime:artifacts:path}/", 39),
    ("privilege", "n=0", "sudo true", 40),
    ("privilege", "        Timeout: 60", "        RequiresPrivilege: true", 37),
    ("steps", "        Timeout: 60\n", "", 35),
    ("steps", "      run:\n", "      startup:\n", 38),
    ("steps", "        Timeout: 60", "        Skipif: onpath x", 37),
    ("classic", "        Timeout: 60", "        Timeout: soon", 37),
    ("setenv", "        Timeout: 60", "        Timeout: 60\n        Setenv: {A: 1}", 38),
    ("script", 'exec python3 "', 'python3 "', 38),
    ("artifact", "s3://BUCKET_NAME/", "s3://mine/", 33),
    ("artifact", "blinker.pyz\n", "blinker.pyz\n        Digest: abc\n", 33),
    ("lite", "blinker.pyz\n", "blinker.pyz\n        Unarchive: ZIP\n", 34),
    ("configuration", "period: 50 ms", f"period: {LONG}", 8),
    ("configuration", "period: 50 ms", "period:", 9),
    ("lite", "period: 50 ms", f"period: {LONG * 8}", 1),
    ("size", "period: 50 ms", f"period: {LONG * 15}", 1),
    ("classic", "ComponentVersion: 0.1.0", "ComponentVersion: '1'", 3),
    ("classic", "ComponentName: io.edgeloop.Blinker", "ComponentName: io.edgeloop.Other", 1),
    ("policy", "io.edgeloop.Blinker:pubsub:2:", "Blinker:pubsub:2:", 18),
    ("policy", "aws.greengrass#SubscribeToTopic", "aws.greengrass#Everything", 20),
    ("policy", "aws.greengrass#SubscribeToTopic", "'*'", 20),
    ("policy", "edgeloop/commands/blink", "'*'", 23),
    ("policy", "edgeloop/commands/blink", "edgeloop/commands/+", 23),
    ("policy", "edgeloop/commands/blink", "edgeloop/commands/bl?nk", 23),
    ("policy", "edgeloop/commands/blink", "\n".join(f"edgeloop/{LONG}" for _ in range(1)) * 4, 10),
    ("text", "ComponentDescription: Blinks", "ComponentDescription: 5", 5),
    ("text", "ComponentType: aws.greengrass.generic", "ComponentType: aws.greengrass.lambda", 4),
    ("text", "      runtime: '*'", "      runtime: 5", 31),
    ("topic", "edgeloop/commands/blink", "factory/commands/blink", 23),
    ("topic", "edgeloop/commands/blink", "edgeloop/sim/*", 23),
]


@pytest.mark.parametrize(("rule", "old", "new", "line"), BROKEN)
def test_each_rule(tmp_path: Path, rule: str, old: str, new: str, line: int) -> None:
    assert old in GOOD
    findings = [finding for finding in found(tmp_path, GOOD.replace(old, new, 1)) if finding.rule == rule]
    assert line in [finding.line for finding in findings], findings
    assert all("\n" not in str(finding) for finding in findings)


def test_policy_ids_are_unique_across_recipes(tmp_path: Path) -> None:
    other = GOOD.replace("ComponentName: io.edgeloop.Blinker", "ComponentName: io.edgeloop.Other")
    (tmp_path / "io.edgeloop.Other-0.1.0.yaml").write_text(other)
    lines = [str(finding) for finding in found(tmp_path, GOOD) if "is also in" in finding.what]
    assert len(lines) == 2


def test_the_umbrella_must_name_everything(tmp_path: Path) -> None:
    umbrella = RUNTIME.replace("io.edgeloop.Runtime", "io.edgeloop.Edgeloop")
    (tmp_path / "io.edgeloop.Edgeloop-0.1.0.yaml").write_text(umbrella)
    assert any("io.edgeloop.Blinker is missing" in finding.what for finding in found(tmp_path, GOOD))


def test_json_recipes_are_judged_too(tmp_path: Path) -> None:
    recipe = {"RecipeFormatVersion": "2020-01-25", "ComponentName": "a.B", "ComponentVersion": "1.0.0", "Manifests": [
        {"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"run": {"Script": "true"}}}]}  # fmt: skip
    path = tmp_path / "a.B-1.0.0.json"
    path.write_text(json.dumps(recipe))
    assert check([path]) == []
    path.write_text("{,}")
    assert [finding.rule for finding in check([path])] == ["syntax"]


@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.text(max_size=12))
def test_whatever_a_recipe_says_there_is_a_verdict(at: int, cut: int, extra: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "io.edgeloop.Blinker-0.1.0.yaml")
        path.write_bytes((GOOD[:at] + extra + GOOD[at + cut :]).encode())
        assert all(finding.line >= 1 for finding in check([path]))
