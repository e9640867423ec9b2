"""What a detector has learned, on disk: one npz file, no pickle, replaced atomically."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.files import replace

VERSION = 1


def save(path: Path, states: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> None:
    """Write states by name; readers see the old file or the new one, never a part. Raises OSError."""
    buffer = io.BytesIO()
    flat = {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}
    np.savez(buffer, allow_pickle=False, version=np.array([VERSION]), **flat)
    replace(path, buffer.getvalue(), mode=0o600)


def load(path: Path) -> dict[str, dict[str, NDArray[np.generic]]]:
    """States by name; empty where there is no file. Raises ValueError for a file that is not ours or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            flat = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as e:
        raise ValueError(f"{path.name} is damaged: {e}") from None
    if int(flat.pop("version", np.array([0]))[0]) != VERSION:
        raise ValueError(f"{path.name} is of another version")
    states: dict[str, dict[str, NDArray[np.generic]]] = {}
    for key, value in flat.items():
        name, _, part = key.rpartition("/")
        states.setdefault(name, {})[part] = value
    return states
