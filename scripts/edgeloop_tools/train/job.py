"""What SageMaker tells a training script, and what it wants to hear.

Names and folders: https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md, and
"Use Your Own Training Algorithms" of SageMaker's developer guide for containers without that toolkit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeloop.errors import EdgeloopError

ROOT: Final = Path("/opt/ml")
LONGEST: Final = 1024
"""Characters of a failure that SageMaker shows."""


@dataclass(frozen=True, slots=True)
class Job:
    """Where a job finds and leaves its files; on a laptop there is none of it."""

    environment: Mapping[str, str]
    root: Path = ROOT

    @classmethod
    def here(cls) -> Job:
        return cls(os.environ)

    def channel(self, *names: str) -> str:
        """The folder of the first of these channels that there is, or ""."""
        for name in names:
            if found := self.environment.get(f"SM_CHANNEL_{name.upper()}"):
                return found
        for name in names:
            if (folder := self.root / "input" / "data" / name).is_dir():
                return str(folder)
        return ""

    @property
    def model(self) -> str:
        return self._folder("SM_MODEL_DIR", "model")

    @property
    def data(self) -> str:
        """Where what is not the model goes."""
        return self._folder("SM_OUTPUT_DATA_DIR", "output/data")

    @property
    def cpus(self) -> int:
        text = self.environment.get("SM_NUM_CPUS", "")
        return max(1, int(text)) if text.isdigit() else 1

    def arguments(self) -> list[str]:
        """Hyperparameters of a container that nobody passes them to. Raises EdgeloopError."""
        path = self.root / "input" / "config" / "hyperparameters.json"
        if "SM_HPS" in self.environment or not path.is_file():
            return []
        try:
            known = json.loads(path.read_text())
            if not isinstance(known, dict):
                raise ValueError("it is no object")
        except (OSError, ValueError) as error:
            raise EdgeloopError("cannot read the hyperparameters", where=str(path), why=str(error)) from None
        return [word for name, value in known.items() for word in (f"--{name}", _plain(value))]

    def failed(self, line: str) -> None:
        """Leaves the reason where SageMaker looks for it."""
        named = self.environment.get("SM_OUTPUT_DIR")
        folder = Path(named) if named else self.root / "output"
        if named or folder.is_dir():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "failure").write_text(line[:LONGEST])
            except OSError as error:
                print(f"edgeloop: cannot write {folder / 'failure'}: {error.strerror}")

    def _folder(self, variable: str, below: str) -> str:
        if found := self.environment.get(variable):
            return found
        folder = self.root / below
        return str(folder) if self.root.is_dir() and folder.parent.is_dir() else ""


def _plain(value: object) -> str:
    """SageMaker has every hyperparameter as a text, its SDK as JSON in a text.

    >>> _plain('"30 s"'), _plain("0.5"), _plain("1 alarm/week")
    ('30 s', '0.5', '1 alarm/week')
    """
    text = str(value)
    try:
        known = json.loads(text)
    except ValueError:
        return text
    return known if isinstance(known, str) else text


def dashes(words: Sequence[str]) -> list[str]:
    """Hyperparameters are often written with underscores.

    >>> dashes(["--model_dir=a_b", "--hop", "2_s"])
    ['--model-dir=a_b', '--hop', '2_s']
    """
    result = []
    for word in words:
        name, equals, value = word.partition("=")
        result.append(name.replace("_", "-") + equals + value if word.startswith("--") else word)
    return result
