"""The order of versions, as semantic versioning has it."""

from __future__ import annotations

import re

NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def rank(version: str) -> tuple[int, int, int, bool, str]:
    """What versions are ordered by; a pre-release is before its release, what is behind a + does not count.

    >>> sorted(["1.10.0", "1.9.0", "1.10.0-rc1"], key=rank)
    ['1.9.0', '1.10.0-rc1', '1.10.0']
    """
    found = NUMBER.match(version)
    if found is None:
        return -1, 0, 0, False, version
    rest = version[found.end() :].partition("+")[0]
    return int(found[1]), int(found[2]), int(found[3]), not rest, rest


def older(version: str, mark: str) -> bool:
    """
    >>> older("1.9.9", "1.10.0"), older("1.10.0", "1.10.0"), older("0.1.0", "")
    (True, False, False)
    """
    return bool(mark) and rank(version) < rank(mark)


def following(version: str) -> str:
    """The next one of a model that was taught anew: a minor version more.

    >>> following("1.2.9"), following("1.9.0-rc1")
    ('1.3.0', '1.10.0')
    """
    major, minor = version.split(".")[:2]
    return f"{major}.{int(minor) + 1}.0"
