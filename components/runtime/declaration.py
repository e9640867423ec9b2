from typing import Annotated

import msgspec
from msgspec import Meta

from edgeloop.config.declaration import Declaration


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the shared environment holds."""

    profiles: Annotated[
        str,
        Meta(
            title="Profiles",
            description="Words among core, mqtt, protocols, vision, upload, neo, video and console; core is "
            "always there.",
        ),
    ] = "core"
    wheelhouse: Annotated[
        str,
        Meta(
            title="Wheelhouse",
            description="A folder or a zip file of wheels on the device, to install from without a network.",
        ),
    ] = ""


DECLARATION = Declaration(
    name="io.edgeloop.Runtime",
    description="The shared Python environment of the Edgeloop components",
    package="runtime",
    configuration=Configuration,
)
