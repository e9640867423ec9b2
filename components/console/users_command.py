"""`console.pyz user add|remove|list`: who may use the page."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from console.declaration import NAME
from console.service import USERS
from edgeloop.errors import EdgeloopError
from edgeloop_web.users import ROLES, Users


def main(argv: list[str]) -> int:
    """The words after `user`. Exit code 0, or 1 with one line."""
    arguments = _parser().parse_args(argv)
    try:
        return run(arguments)
    except EdgeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.root / "work" / NAME
    if not folder.is_dir():
        raise EdgeloopError("there is no Console", where=str(folder), mend="deploy a line with console:, or say --root")
    if os.geteuid() == 0:
        _become_owner(folder)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise EdgeloopError(
            "no access", where=str(folder), mend="run this as the component's user (sudo -u ggc_user, gg_component)"
        )
    users = Users(folder / USERS)
    if arguments.verb == "list":
        for name, user in sorted(users.all().items()):
            print(f"{name}  {user.role}{'  (a program)' if user.token else ''}")
        return 0
    if arguments.verb == "remove":
        users.remove(arguments.name)
        print(f"{arguments.name} is removed; open pages end with their next question")
        return 0
    if arguments.token:
        print(users.add_token(arguments.name, arguments.role))
        return 0
    users.add(arguments.name, arguments.role, _password(arguments.password_file))
    print(f"{arguments.name} may log in as {arguments.role}")
    return 0


def _become_owner(folder: Path) -> None:
    """What root would write, the component could not read."""
    owner = folder.stat()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)


def _password(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise EdgeloopError("cannot read the password", where=str(file), why=str(error)) from None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        raise EdgeloopError("the two are not the same", mend="try again")
    return password


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="console user", description="who may use the page")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="a user, or a program with --token")
    remove = verbs.add_parser("remove", help="a user")
    listed = verbs.add_parser("list", help="all users")
    for verb in (add, remove):
        verb.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=ROLES, default="operator", help="default operator")
    add.add_argument("--token", action="store_true", help="print a token for a program, once")
    add.add_argument("--password-file", type=Path, metavar="FILE", help="else it is asked for, or read from a pipe")
    for verb in (add, remove, listed):
        verb.add_argument("--root", type=Path, default=_root(), help="root folder of the nucleus")
    return parser


def _root() -> Path:
    """Where this archive lies below a nucleus's root, that; else the usual place.

    <root>/packages/artifacts/io.edgeloop.Console/<version>/console.pyz
    """
    for parent in Path(sys.argv[0]).absolute().parents:
        if (parent / "work" / NAME).is_dir():
            return parent
    return Path("/greengrass/v2")
