"""The endpoint's process: `python -m edgeloop_tools.core.endpoint --port PORT`."""

from __future__ import annotations

import argparse
import logging
import sys

from edgeloop.errors import EdgeloopError

HOST = "127.0.0.1"


def serve(port: int) -> None:
    try:
        from moto.server import main as moto
    except ImportError as error:
        raise EdgeloopError(
            "there is no local S3 and Kinesis",
            why=str(error),
            mend="install the tools' profile, or set EDGELOOP_ENDPOINT_URL to an endpoint, or to `aws`",
        ) from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto(["--host", HOST, "--port", str(port)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="edgeloop-endpoint", description="S3 and Kinesis of the local core.")
    parser.add_argument("--port", type=int, required=True)
    try:
        serve(parser.parse_args().port)
    except (EdgeloopError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
