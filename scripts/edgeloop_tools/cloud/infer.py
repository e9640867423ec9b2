"""The consumer in the cloud: fragments to frames to a model to results, each fragment once."""

from __future__ import annotations

import io
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from camera_inference.documents import ModelName, Result, pack
from camera_inference.frame import Frame, Pixels
from camera_inference.prepare import Preparation
from camera_inference.verdict import Box, Criteria, Finding, Word, interpret
from edgeloop import clock, decode, optional
from edgeloop.data.reader import open_source
from edgeloop.documents import encode
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.layout import date, safe
from edgeloop.models.decoders import make as make_decoder
from edgeloop.models.package import unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop.opinions.settings import Opinion
from edgeloop_tools.cloud.matroska import Cluster, Header, Malformed, Parser, Tags
from video_upload.aws.credentials import CredentialSource
from video_upload.opinions.endpoint import Endpoint, Failed
from video_upload.opinions.reading import opinion

PURPOSE: Final = "inferring in the cloud"
NUMBER, PRODUCER = "AWS_KINESISVIDEO_FRAGMENT_NUMBER", "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"
NAME: Final = "edgeloop.cloud"
TIMEOUT: Final = 30.0
QUIET: Final = 3.0
"""s without a fragment after which a stream that is not followed has ended."""
AHEAD: Final = 4
_WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Fragment:
    """id: names its results; begin: ns UTC of its first frame; data: a file that FFmpeg reads; camera, device: where it
    says."""

    id: str
    begin: int
    data: bytes
    camera: str = ""
    device: str = ""


class Judge(Protocol):
    """A model."""

    name: str
    version: str

    def __call__(self, image: Pixels, criteria: Criteria) -> tuple[Word, Finding]:
        """Of an RGB image. Raises EdgeloopError."""
        ...


class Packaged:
    """A model package in this process."""

    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgeloop-cloud-")
        package = unpack(path, Path(self._folder.name))
        manifest = package.manifest
        place = next((k for k, variant in enumerate(manifest.variants) if variant.runtime == "onnxruntime"), 0)
        self.name, self.version = manifest.name, manifest.version
        self._manifest = manifest
        self._runner = open_runner(package, manifest.variants[place], Options())
        self._decoder = make_decoder(manifest, package.folder)
        self._preparation = Preparation(manifest, _WHOLE)
        self._buffer = self._preparation.buffer()

    def __call__(self, image: Pixels, criteria: Criteria) -> tuple[Word, Finding]:
        tensor, placement = self._preparation.fill(Frame("", 0, 0, image, "rgb"), self._buffer)
        outputs = self._runner.run(tensor)
        finding = interpret(self._manifest, outputs, placement, criteria, self._decoder)
        return criteria.judge(finding, self._manifest), finding


class Remote:
    """A model behind HTTP or SageMaker, as second opinions call it."""

    def __init__(self, where: str) -> None:
        try:
            settings = Opinion(endpoint=where)
        except ValueError as error:
            raise EdgeloopError("this is no endpoint", where=where, why=str(error)) from None
        self._endpoint = Endpoint(settings, CredentialSource())
        self.name, self.version = self._endpoint.name, ""

    def __call__(self, image: Pixels, criteria: Criteria) -> tuple[Word, Finding]:
        from camera_inference.pictures import jpeg

        try:
            said, boxes = opinion(self._endpoint.call(jpeg(image, "rgb", 90), TIMEOUT))
        except Failed as error:
            raise EdgeloopError("the endpoint does not answer", where=self.name, why=error.why) from None
        passes = said.label in criteria.accept
        word: Word = "pass" if passes else "fail"
        if said.confidence < criteria.certain:
            word = "unknown"
        score = said.score or round(1 - said.confidence if passes else said.confidence, 4)
        found = tuple(Box(b.label, b.score, b.x, b.y, b.width, b.height) for b in boxes)
        return word, Finding(said.label, score, said.confidence, found)


def package(path: Path) -> Judge:
    """Raises EdgeloopError."""
    return Packaged(path)


def endpoint(where: str) -> Judge:
    return Remote(where)


@dataclass(slots=True)
class Done:
    """What was done. known: fragments whose results were there already."""

    fragments: int = 0
    known: int = 0
    frames: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        pace = self.frames / self.seconds if self.seconds else 0.0
        return (
            f"{self.fragments} fragments, {self.frames} frames ({pace:.1f} a second), {self.known} known already, "
            f"{self.failed} unusable"
        )


class _Cursor(msgspec.Struct):
    after: str = ""


class Consumer:
    """Results of a fragment are written in one step and named after it; then the cursor moves."""

    def __init__(
        self, judge: Judge, out: str, site: str, camera: str, rate: float = 0.0, accept: str = "good"
    ) -> None:
        """Raises EdgeloopError."""
        self._judge, self._site, self._camera, self._rate = judge, site, camera, rate
        self._criteria = Criteria(frozenset(accept.replace(",", " ").split()))
        self._out = Store(out)
        self._state = f"cursors/{safe(camera or 'clips')}.json"

    @property
    def after(self) -> str:
        """The fragment that was last, of a stream."""
        data = self._out.read(self._state)
        try:
            return decode.document(data, _Cursor).after if data else ""
        except DecodeError:
            return ""

    def run(
        self, source: Callable[[str], Iterator[Fragment]], say: Callable[[str], object] = lambda line: None
    ) -> Done:
        """Until the source has no more."""
        done = Done()
        begun = None
        for fragment in source(self.after):
            begun = time.monotonic() if begun is None else begun
            self._fragment(fragment, done, say)
            done.seconds = time.monotonic() - begun
        return done

    def _fragment(self, fragment: Fragment, done: Done, say: Callable[[str], object]) -> None:
        camera = fragment.camera or self._camera
        folder = f"records/site={safe(self._site)}/kind=results/date={date(fragment.begin)}"
        key = f"{folder}/{safe(camera)}_{fragment.id}.jsonl"
        if self._out.has(key):
            done.known += 1
            return
        results: list[Result] = []
        try:
            for at, image in _ahead(frames(fragment, self._rate)):
                results.append(self._result(camera, at, image))
        except EdgeloopError as error:
            done.failed += 1
            say(f"{fragment.id}: {error}")
            if "endpoint" in error.what:
                raise
        device = fragment.device or "cloud"
        lines = pack(results, site=self._site, device=device, component=NAME, time=clock.now()) if results else []
        self._out.write(key, b"".join(line + b"\n" for line in lines))
        self._out.write(self._state, encode(_Cursor(fragment.id)))
        done.fragments += 1
        done.frames += len(results)

    def _result(self, camera: str, at: int, image: Pixels) -> Result:
        begun = time.monotonic()
        word, finding = self._judge(image, self._criteria)
        return Result(
            camera=camera, time=at, decided=clock.now(), verdict=word, label=finding.label, score=finding.score,
            confidence=finding.confidence, boxes=finding.boxes, model=ModelName(self._judge.name, self._judge.version),
            latency_ms=round((time.monotonic() - begun) * 1000, 2),
        )  # fmt: skip


def frames(fragment: Fragment, rate: float = 0.0) -> Iterator[tuple[int, Pixels]]:
    """ns UTC and RGB. rate: frames a second, 0: all. Raises EdgeloopError."""
    av = optional.load("av", PURPOSE)
    slot = -1
    try:
        with av.open(io.BytesIO(fragment.data)) as container:
            stream = container.streams.video[0]
            zero: float | None = None
            for picture in container.decode(stream):
                seconds = float(picture.pts * picture.time_base)
                zero = seconds if zero is None else zero
                at = fragment.begin + round((seconds - zero) * clock.NS)
                if rate:
                    before, slot = slot, int(at / clock.NS * rate)
                    if slot == before:
                        continue
                yield at, np.asarray(picture.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError, ValueError, TypeError) as error:
        raise EdgeloopError("a fragment cannot be decoded", where=fragment.id, why=str(error)) from None


def _ahead(pictures: Iterator[tuple[int, Pixels]]) -> Iterator[tuple[int, Pixels]]:
    """The next are decoded while one is inferred."""
    waiting: Queue[tuple[int, Pixels] | BaseException | None] = Queue(AHEAD)
    over = threading.Event()

    def work() -> None:
        last: BaseException | None = None
        try:
            for picture in pictures:
                waiting.put(picture)
                if over.is_set():
                    return
        except BaseException as error:
            last = error
        waiting.put(last)

    thread = threading.Thread(target=work, name="decoding", daemon=True)
    thread.start()
    try:
        while (found := waiting.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        over.set()
        while thread.is_alive():
            with suppress(Empty):
                waiting.get(timeout=0.05)


def stream(name: str, follow: bool) -> Callable[[str], Iterator[Fragment]]:
    """Fragments of Kinesis Video Streams, by GetMedia."""

    def read(after: str) -> Iterator[Fragment]:
        boto3 = optional.load("boto3", PURPOSE)
        botocore = optional.load("botocore.exceptions", PURPOSE)
        try:
            control = boto3.client("kinesisvideo")
            where = control.get_data_endpoint(StreamName=name, APIName="GET_MEDIA")["DataEndpoint"]
            media = boto3.client("kinesis-video-media", endpoint_url=where, config=_patience(follow))
            selector = {"StartSelectorType": "EARLIEST"}
            if after:
                selector = {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": after}
            payload = media.get_media(StreamName=name, StartSelector=selector)["Payload"]
        except (botocore.ClientError, botocore.BotoCoreError) as error:
            raise EdgeloopError("the stream cannot be read", where=name, why=str(error)) from None
        yield from _fragments(name, _pieces(payload, follow))

    return read


def _patience(follow: bool) -> Any:
    config = optional.load("botocore.config", PURPOSE)
    return config.Config(read_timeout=60.0 if follow else QUIET, retries={"max_attempts": 1})


def _pieces(payload: Any, follow: bool) -> Iterator[bytes]:
    exceptions = optional.load("botocore.exceptions", PURPOSE)
    while True:
        try:
            data = payload.read(1 << 16) if not hasattr(payload, "_raw_stream") else payload._raw_stream.read1(1 << 16)
        except (exceptions.ReadTimeoutError, exceptions.ResponseStreamingError, OSError):
            return
        except Exception as error:
            if type(error).__name__ in ("ReadTimeoutError", "ProtocolError", "IncompleteRead"):
                return
            raise
        if not data:
            return
        yield data


def _fragments(name: str, pieces: Iterator[bytes]) -> Iterator[Fragment]:
    """Raises EdgeloopError."""
    parser, header, tags = Parser(), Header(), dict[str, str]()
    try:
        for piece in itertools.chain(pieces, (b"",)):
            for part in parser.feed(piece) if piece else parser.end():
                if isinstance(part, Header):
                    header = part
                elif isinstance(part, Tags):
                    tags |= part.values
                elif isinstance(part, Cluster):
                    number = tags.get(NUMBER) or f"{part.timecode:020d}"
                    begin = part.timecode * header.scale
                    yield Fragment(number, begin, header.raw + part.raw)
                    tags = {}
    except Malformed as error:
        raise EdgeloopError("the stream is no Matroska", where=name, why=str(error)) from None


class _About(msgspec.Struct):
    """What goes up beside a clip."""

    kind: str = ""
    time: int = 0
    document: dict[str, Any] = {}


def clips(where: str) -> Callable[[str], Iterator[Fragment]]:
    """Clips below a folder or s3://bucket/prefix, oldest first; which were done is known by their results."""

    def read(after: str) -> Iterator[Fragment]:
        store = Store(where)
        for key in sorted(store.list("clips"), key=lambda key: key.rpartition("/")[2]):
            if not key.endswith(".mp4"):
                continue
            try:
                about = decode.document(store.read(f"{key}.json") or b"{}", _About, what="a clip's description")
            except DecodeError:
                about = _About()
            document = about.document
            begin = int(document.get("begin") or about.time or 0)
            file = key.rpartition("/")[2].removesuffix(".mp4")
            camera = str(document.get("camera", ""))
            device = file.partition(f"_{camera}_")[0] if camera else ""
            yield Fragment(safe(file), begin, store.read(key) or b"", camera, device)

    return read


class Store:
    """A folder or s3://bucket/prefix. Raises EdgeloopError."""

    def __init__(self, where: str) -> None:
        self._fs = optional.load("pyarrow.fs", PURPOSE)
        self._where = where
        self._files, self._top = open_source(self._fs, where)
        self._top = self._top.rstrip("/")
        self._local = not where.startswith("s3:")

    def has(self, key: str) -> bool:
        return bool(self._files.get_file_info(f"{self._top}/{key}").type == self._fs.FileType.File)

    def read(self, key: str) -> bytes | None:
        try:
            with self._files.open_input_stream(f"{self._top}/{key}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EdgeloopError("cannot read", where=f"{self._where}/{key}", why=str(error)) from None

    def write(self, key: str, data: bytes) -> None:
        """There whole or not."""
        path = f"{self._top}/{key}"
        try:
            self._files.create_dir(path.rpartition("/")[0], recursive=True) if self._local else None
            new = f"{path}.new" if self._local else path
            with self._files.open_output_stream(new) as file:
                file.write(data)
            if self._local:
                self._files.move(new, path)
        except OSError as error:
            raise EdgeloopError("cannot write", where=f"{self._where}/{key}", why=str(error)) from None

    def list(self, below: str) -> list[str]:
        selector = self._fs.FileSelector(f"{self._top}/{below}", recursive=True, allow_not_found=True)
        try:
            found = self._files.get_file_info(selector)
        except OSError as error:
            raise EdgeloopError("cannot list", where=self._where, why=str(error)) from None
        return [i.path[len(self._top) + 1 :] for i in found if i.type == self._fs.FileType.File]
