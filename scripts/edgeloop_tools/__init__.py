"""The command-line program: everything that runs on a laptop and not on a device."""

import edgeloop  # noqa: F401 (it keeps what follows from calling home)
