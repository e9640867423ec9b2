"""The configuration of VideoUpload: the `video` and `opinion` of a line's cameras."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id, Site
from edgeloop.config.quantities import Size
from edgeloop.opinions.settings import Opinion
from edgeloop.video.settings import Video


class Camera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What leaves the device of one camera."""

    video: Annotated[Video | None, Meta(title="Video", description="its video, up")] = None
    opinion: Annotated[
        Opinion | None, Meta(title="Opinion", description="the model that is asked for a second opinion")
    ] = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site = "plant"
    cameras: Annotated[
        dict[Id, Camera],
        Meta(title="Cameras", description="what leaves of each; a line.yaml says it at the camera itself"),
    ] = {}
    upload: Annotated[
        Size,
        Meta(
            title="Upload",
            description="disk space of clips that wait for their upload; the oldest go first",
            extra={"ge": "1 MiB"},
        ),
    ] = Size("1 GiB")
