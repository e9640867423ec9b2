"""Who may use a page: names, roles and passwords in one file of its component.

Passwords are kept as argon2id hashes (RFC 9106), tokens of programs as SHA-256 of 32 random bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Final, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from edgeloop import decode
from edgeloop.durable import replace
from edgeloop.errors import DecodeError, EdgeloopError

Role = Literal["viewer", "operator", "engineer"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "engineer")
"""Each may do what those before it may."""
SHORTEST: Final = 8
LONGEST: Final = 256
_NAME = re.compile(r"[\w.@-][\w .@-]{0,62}[\w.@-]|[\w.@-]")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """password: argon2id hash; token: hex SHA-256 of a program's token, or empty."""

    role: Role
    password: str = ""
    token: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal[1] = 1
    users: dict[str, User] = {}


def allowed(role: Role, needed: Role) -> bool:
    """
    >>> allowed("engineer", "operator"), allowed("viewer", "operator")
    (True, False)
    """
    return ROLES.index(role) >= ROLES.index(needed)


class Users:
    """The users of a file, read anew when it changes. Raises EdgeloopError where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._nobody = self._hasher.hash(secrets.token_hex(16))
        self._stamp: tuple[int, int] | None = None
        self._users: dict[str, User] = {}

    def all(self) -> dict[str, User]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._users = None, {}
            return {}
        except OSError as error:
            raise EdgeloopError("cannot read the users", where=str(self.path), why=error.strerror or "") from error
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            try:
                self._users = decode.file(self.path, _File, what="the users").users
            except (OSError, DecodeError) as error:
                raise EdgeloopError(
                    "cannot read the users", where=str(self.path), why=str(error), mend="add them anew: user add NAME"
                ) from None
            self._stamp = stamp
        return self._users

    def add(self, name: str, role: Role, password: str) -> None:
        """A new user, or a known one's new role and password."""
        self._check_name(name)
        if not SHORTEST <= len(password) <= LONGEST:
            raise EdgeloopError(
                "the password is not taken", where=name, why=f"it has {len(password)} characters",
                mend=f"take {SHORTEST} to {LONGEST}",
            )  # fmt: skip
        self._write({**self.all(), name: User(role=role, password=self._hasher.hash(password))})

    def add_token(self, name: str, role: Role) -> str:
        """A token for a program, shown once: `Authorization: Bearer <token>`."""
        self._check_name(name)
        token = secrets.token_urlsafe(32)
        self._write({**self.all(), name: User(role=role, token=digest(token))})
        return token

    def remove(self, name: str) -> None:
        users = dict(self.all())
        if users.pop(name, None) is None:
            raise EdgeloopError("no such user", where=name, mend=f"one of {', '.join(sorted(users)) or 'none yet'}")
        self._write(users)

    def check(self, name: str, password: str) -> Role | None:
        """The role of who gives the right password; takes as long for an unknown name."""
        user = self.all().get(name)
        known = user.password if user and user.password else self._nobody
        try:
            self._hasher.verify(known, password[:LONGEST])
        except (Argon2Error, InvalidHashError):
            return None
        return user.role if user and user.password else None

    def check_token(self, token: str) -> tuple[str, Role] | None:
        given = digest(token)
        for name, user in self.all().items():
            if user.token and hmac.compare_digest(user.token, given):
                return name, user.role
        return None

    def _check_name(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            mend = "letters, digits, . @ _ - and blanks inside, at most 64"
            raise EdgeloopError("not a user's name", where=repr(name[:64]), mend=mend)

    def _write(self, users: dict[str, User]) -> None:
        try:
            replace(self.path, msgspec.json.format(msgspec.json.encode(_File(users=users)), indent=1), mode=0o600)
        except OSError as error:
            raise EdgeloopError("cannot write the users", where=str(self.path), why=error.strerror or "") from error
        self._stamp = None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
