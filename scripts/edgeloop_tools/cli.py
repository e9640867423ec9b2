"""`edgeloop`: one program, one folder of edgeloop_tools per group of verbs.

A folder's `commands.py` has `register(subparsers)`; each of its parsers sets `run`, a function of the parsed arguments
that returns the exit code (None is 0). `commands.py` imports what is heavy inside those functions.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop import __version__
from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DONE, FAILED, WRONG_USE = 0, 1, 2
ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

Run = Callable[[argparse.Namespace], int | None]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="edgeloop", description="Machine learning where sensors and cameras are: build, run, watch, deploy."
    )
    top.add_argument("--version", action="version", version=f"edgeloop {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for folder in sorted(Path(__file__).parent.iterdir()):
        if (folder / "commands.py").is_file():
            importlib.import_module(f"edgeloop_tools.{folder.name}.commands").register(verbs)
    _register_test(verbs)
    return top


def _register_test(verbs: Subparsers) -> None:
    test = verbs.add_parser(
        "test", help="run the test suite", add_help=False, usage="edgeloop test [ARGS...]",
        description="Arguments go to pytest.", prefix_chars="\0",
    )  # fmt: skip
    test.add_argument("arguments", nargs="*")
    test.set_defaults(run=_test)


def _test(arguments: argparse.Namespace) -> int:
    import pytest

    words = [str(Path(word).absolute()) if Path(word).exists() else word for word in arguments.arguments]
    words = words or ["--numprocesses=3", "--dist=loadgroup"]
    os.chdir(ROOT)
    code = pytest.main(words)
    return DONE if code == pytest.ExitCode.OK else FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 failed with a reason, 2 wrong use."""
    words = list(sys.argv[1:] if argv is None else argv)
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region  # the one name that boto3 reads; the AWS command line reads both
    debug = "--debug" in words and "test" not in words[:1]
    try:
        arguments = parser().parse_args([word for word in words if word != "--debug"] if debug else words)
        run: Run = arguments.run
        return run(arguments) or DONE
    except EdgeloopError as error:
        if debug:
            raise
        print(f"edgeloop: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("edgeloop: interrupted", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:
        if debug:
            raise
        line = " ".join(str(error).split())
        print(f"edgeloop: unexpected {type(error).__name__}: {line}; run with --debug and report it", file=sys.stderr)
        return FAILED
