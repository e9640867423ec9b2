"""What a detector has learned, on disk: one npz file, no pickle, replaced atomically."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.durable import replace

VERSION = 1

State = dict[str, NDArray[np.generic]]
States = Mapping[str, Mapping[str, NDArray[np.generic]]]


def save(path: Path, states: States) -> None:
    """Write states by name; readers see the old file or the new one, never a part. Raises OSError."""
    replace(path, encode(states))


def encode(states: States) -> bytes:
    """The file of states by name."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, version=np.array([VERSION]), **_flat(states))
    return buffer.getvalue()


def content(states: States) -> bytes:
    """Equal where the states are."""
    return b"".join(key.encode() + value.tobytes() for key, value in _flat(states).items())


def _flat(states: States) -> State:
    return {f"{name}/{key}": np.asarray(value) for name, state in states.items() for key, value in state.items()}


def load(path: Path) -> dict[str, State]:
    """States by name; empty where there is no file. Raises ValueError for a file that is not ours or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            flat = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error) as e:
        raise ValueError(f"{path.name} is damaged: {e}") from None
    if int(flat.pop("version", np.array([0]))[0]) != VERSION:
        raise ValueError(f"{path.name} is of another version")
    states: dict[str, State] = {}
    for key, value in flat.items():
        name, _, part = key.rpartition("/")
        states.setdefault(name, {})[part] = value
    return states
