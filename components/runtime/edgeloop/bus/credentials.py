"""Where the nucleus gives AWS credentials: asked for when they are needed, not at the start.

On the classic nucleus the environment names the address only of processes that were started after token exchange was.
Its port is in that component's configuration, as a number or a text: `activePort` on classic, `port` on nucleus lite.
"""

from __future__ import annotations

import os
from typing import Final

from edgeloop.bus.bus import TOKEN_VARIABLE, Bus
from edgeloop.errors import BusError

TOKEN_EXCHANGE: Final = "aws.greengrass.TokenExchangeService"
ADDRESS: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_PATH: Final = "/2016-11-01/credentialprovider/"


def ask(bus: Bus) -> bool:
    """Puts address and token into this process's environment, where AWS's SDKs look. False, and nothing changed, where
    the nucleus has no token exchange at present."""
    for key in ("activePort", "port"):
        try:
            port = int(float(bus.get_configuration((key,), component=TOKEN_EXCHANGE) or 0))
        except (BusError, TypeError, ValueError):
            continue
        if 0 < port < 65_536:
            os.environ[ADDRESS] = f"http://localhost:{port}{_PATH}"
            os.environ[TOKEN] = os.environ.get(TOKEN_VARIABLE, "")
            return True
    return False
