"""What no component can see by itself: ids across components, assets, secrets, the limits of nucleus lite."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from edgeloop.config.load import InvalidConfiguration, absent
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.join import Condition
from edgeloop.log import secret_in
from edgeloop.secret import ARN
from edgeloop_tools.config.footprint import too_large
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.outline import ANOMALY, CAMERA, INGEST, MODELS, UPLOAD, declared
from edgeloop_tools.config.streams import Streams
from edgeloop_tools.config.tree import near

Nucleus = Literal["lite", "classic"]
_SECRET = re.compile(r"(?i)password|passwd|passphrase|secret|api_?key|credential|(?:access|auth)_token")
HOUR = Duration("1 h")
_FILES = {"sources": "password_file", "cameras": "credentials_file"}


def check(line: Line, nucleus: Nucleus = "lite") -> None:
    """Adds to the line's problems. nucleus: lite's limits count too, as a line may move to it."""
    _secrets(line, nucleus)
    streams = Streams(line)
    _monitors(line, streams)
    _triggers(line, streams)
    _limits(line, streams)
    _rules(line)
    _cameras(line)
    _capture(line, streams)
    _destinations(line)
    _interlocks(line, streams)
    _unsigned(line)
    _desired(line, nucleus)
    _sent(line)
    if nucleus == "lite":
        too_large(line)


def _entries(line: Line, component: str, section: str) -> dict[str, Any]:
    """Typed entries of a collection; none where they are not valid."""
    part = line.parts.get(component)
    typed = getattr(part.typed, section, {}) if part is not None and part.typed is not None else {}
    return dict(typed)


def _ids(line: Line, component: str, section: str) -> dict[str, Any]:
    """Ids of a collection as they are given, valid or not."""
    part = line.parts.get(component)
    node = part.tree.map().get(section) if part else None
    return {id: entry for id, entry in node.map().items() if not absent(entry.value)} if node else {}


def _secrets(line: Line, nucleus: Nucleus) -> None:
    hidden = set()
    for path, node in line.tree.leaves():
        name = path.rpartition(".")[2]
        if absent(node.value):
            continue
        if name.endswith("_secret") and str(node.value).startswith(ARN):
            if nucleus == "lite":
                why, mend = "nucleus lite has no GetSecretValue", f"write {name.removesuffix('_secret')}_file"
                line.add(path, "no secret can be asked for", why, f"{mend}, the path of a file on the device")
        elif _SECRET.search(name) and not name.endswith("_file"):
            name = name.removesuffix("_secret")
            line.add(path, "a secret in the configuration", mend=f"write {name}_file, the path of a file on the device")
            hidden |= {node.key, node.place}
        elif not isinstance(node.value, str):
            continue
        elif (found := secret_in(node.value)) == "a URL":
            file = _FILES.get(path.partition(".")[0])
            other = f" and write {file}, the path of a file on the device" if file else ""
            line.add(path, "a password in a URL", mend=f"leave user and password out of it{other}")
            hidden.add(node.place)
        elif found == "a command" and name == "command":
            mend = "write it into a file of the device, and give the program the file's path"
            line.add(path, "a secret in a command", mend=mend)
            hidden.add(node.place)
        elif found == "its query" and "://" in node.value:
            why = "who may read the deployment may read it"
            line.add(path, "a secret in the query of a URL", why, "give it as few rights as will do", note=True)
    line.forget(lambda p: p.place in hidden and "password" not in p.what and "secret" not in p.what)


def _asset(line: Line, path: str, asset: str) -> None:
    assets = line.outline.assets if line.outline else {}
    if assets and asset and asset not in assets:
        line.add(path, "unknown asset", repr(asset), near(asset, assets))


def _monitors(line: Line, streams: Streams) -> None:
    from edgeloop.detect.registry import registry

    detectors = registry(line.plugins)
    for id, monitor in _entries(line, ANOMALY, "monitors").items():
        where = line.located(ANOMALY, f"monitors.{id}")
        _asset(line, f"{where}.asset", monitor.asset)
        for name in set(monitor.detect.split()) - {"conditions", *detectors.names}:
            if line.elsewhere(name, detectors.names):
                why = f"{name} is looked for in {line.plugins}, which is on the device alone"
                line.add(f"{where}.detect", "a plug-in is not checked", why, note=True)
                continue
            try:
                detectors[name]
            except EdgeloopError as error:
                known = {"conditions", *detectors.names} - {"models"}
                line.add(f"{where}.detect", error.what, f"{name}: {error.why}", near(name, known))
        inputs = monitor.input.split()
        good = [streams.known(stream, f"{where}.input") for stream in inputs]
        if all(good):
            _columns(line, streams, inputs, monitor.channels.replace(",", " ").split(), f"{where}.channels")
            for channel in monitor.range:
                _columns(line, streams, inputs, [channel], f"{where}.range.{channel}")
        for name in ("when", "per"):
            if text := getattr(monitor, name):
                streams.condition(Condition.parse(text), f"{where}.{name}")


def _triggers(line: Line, streams: Streams) -> None:
    """What announces the parts of cameras."""
    for id, camera in _entries(line, CAMERA, "cameras").items():
        where = line.located(CAMERA, f"cameras.{id}")
        for name in ("trigger", "part"):
            if text := getattr(camera, name):
                streams.condition(Condition.parse(text), f"{where}.{name}")
        if camera.pulses is not None:
            streams.condition(Condition.parse(camera.pulses.stream), f"{where}.pulses.stream")


def _columns(line: Line, streams: Streams, inputs: list[str], wanted: Iterable[str], where: str) -> None:
    known: set[str] = set()
    for position, stream in enumerate(inputs):
        columns = streams.columns(stream)
        if columns is None:
            return
        known |= {f"{stream}.{column}" for column in columns} if position else set(columns)
    for channel in wanted:
        if channel not in known:
            line.add(where, "unknown channel", f"{channel!r} of {' '.join(inputs)}", near(channel, known))


def _limits(line: Line, streams: Streams) -> None:
    """Whether each channel is one of one stream."""
    for id, limit in _entries(line, ANOMALY, "limits").items():
        where = line.located(ANOMALY, f"limits.{id}")
        _asset(line, f"{where}.asset", limit.asset)
        for name in limit.names(id):
            found, near_by, open_ = streams.with_channel(name)
            if len(found) > 1:
                mend = f"say which, such as {found[0]}.{name}"
                line.add(where, "a channel of several streams", f"{name!r} of {', '.join(found)}", mend)
            elif not found and not open_:
                line.add(where, "unknown channel", repr(name), near(name, near_by), key=not limit.channel)


def _rules(line: Line) -> None:
    monitors = {**_ids(line, ANOMALY, "monitors"), **_ids(line, ANOMALY, "limits")}
    for id, rule in _entries(line, ANOMALY, "rules").items():
        where = line.located(ANOMALY, f"rules.{id}")
        if rule.monitor not in monitors:
            line.add(f"{where}.monitor", "unknown monitor", repr(rule.monitor), near(rule.monitor, monitors))
        if (target := _act(line, where, rule)) is not None and rule.renew:
            _renewal(line, f"{where}.renew", rule, target)


def _renewal(line: Line, where: str, rule: Any, target: Any) -> None:
    """Whether the source takes renewals that often, and waits for them."""
    name = f"{rule.source}'s {rule.target}"
    safe = target.fail_safe
    if rule.renew <= target.every:
        why = f"{name} takes one action in {target.every}"
        line.add(where, "renewals are refused", why, "renew less often, or shorten its `every`", note=True)
    elif safe is not None and safe.after < 2 * rule.renew:
        why = f"{name} returns to its safe value after {safe.after}"
        least = "between renewals" if safe.after <= rule.renew else "when one is late"
        line.add(where, f"the machine is let go {least}", why, "renew at least twice as often", note=True)
    elif safe is None:
        line.add(
            where, "renewals change nothing", f"{name} has no fail_safe", "give it one, or do not renew", note=True
        )
    if target.most * rule.renew < HOUR:
        why = f"{name} takes {target.most} actions an hour"
        line.add(where, "renewals are refused", why, "renew less often, or raise its `most`", note=True)


def _act(line: Line, where: str, act: Any) -> Any:
    """source, target and value of a rule or of a camera's reject; the target where it is there and valid."""
    sources = _ids(line, INGEST, "sources")
    if act.source not in sources:
        line.add(f"{where}.source", "unknown source", repr(act.source), near(act.source, sources))
        return None
    actions = sources[act.source].map().get("actions")
    targets = actions.map() if actions else {}
    if act.target not in targets:
        mend = near(act.target, targets) if targets else f"add it to actions.{act.source}"
        line.add(f"{where}.target", "unknown target", f"{act.target!r} of {act.source}", mend)
        return None
    if act.source not in line.sources:
        return None
    target = line.sources[act.source][1].actions.get(act.target)
    if target is None:
        return None
    low, high = target.bounds
    if not low <= act.value <= high:
        why = f"{act.value:g} is outside of {low:g}..{high:g}, the range of {act.source}'s {act.target}"
        line.add(f"{where}.value", "invalid value", why, "change the value or the range")
    if act.armed and not target.armed:
        why = f"{act.source}'s {act.target} is not armed: it is only recorded"
        line.add(f"{where}.armed", "the action does nothing", why, note=True)
    return target


def _cameras(line: Line) -> None:
    from camera_inference.sources import Registry, scheme
    from edgeloop.errors import ConfigurationError

    registry = Registry(lambda line: None, outside=line.plugins)
    models = {*declared()[CAMERA].models, *_ids(line, MODELS, "models")}
    for id, camera in _entries(line, CAMERA, "cameras").items():
        where = line.located(CAMERA, f"cameras.{id}")
        _asset(line, f"{where}.asset", camera.asset)
        if not camera.judged_by:
            mend = "name its model, or let edgeloop teach make one of thirty good parts"
            line.add(where, "a camera without a model judges nothing", "all of it is unknown", mend, note=True)
        elif camera.judged_by not in models:
            line.add(f"{where}.model", "unknown model", repr(camera.model), near(camera.model, models))
        elsewhere = line.elsewhere(scheme(camera.uri)[0], registry.schemes)
        if secret_in(camera.uri) != "a URL" and not elsewhere:
            try:
                registry.find(camera.uri, f"{where}.uri", camera.credentials_file)
            except ConfigurationError as error:
                line.add(f"{where}.uri", error.what, error.why, error.mend)
        for name in ("reject", "safe"):
            if (act := getattr(camera, name)) is not None:
                _act(line, f"{where}.{name}", act)


def _capture(line: Line, streams: Streams) -> None:
    monitors = _ids(line, ANOMALY, "monitors")
    for stream, capture in _entries(line, UPLOAD, "capture").items():
        where = line.located(UPLOAD, f"capture.{stream}")
        streams.known(stream, where, key=True)
        for monitor in capture.monitors.replace(",", " ").split():
            if monitor not in monitors:
                line.add(f"{where}.monitors", "unknown monitor", repr(monitor), near(monitor, monitors))


def _destinations(line: Line) -> None:
    from edgeloop.errors import ConfigurationError
    from stream_upload.destinations import Registry

    registry = Registry(lambda said: None, outside=line.plugins)
    for id, entry in _entries(line, UPLOAD, "destinations").items():
        if isinstance(entry, dict) and line.elsewhere(str(entry.get("type", "")), registry.names):
            continue
        try:
            registry.entry(id, entry, "destinations")
        except ConfigurationError as error:
            for each in error.errors if isinstance(error, InvalidConfiguration) else [error]:
                line.refused(each, line.located(UPLOAD, each.where))


def _unsigned(line: Line) -> None:
    """Models whose publisher nobody asks for."""
    part = line.parts.get(MODELS)
    typed = part.typed if part is not None else None
    brought = [name for name, model in getattr(typed, "models", {}).items() if model.uri != "default"]
    if brought and not getattr(typed, "keys", {}):
        why = "no key is named: whoever may write the package may change it"
        mend = "make one with `edgeloop model keygen` and name it in components.ModelUpdate.keys"
        line.add(line.located(MODELS, f"models.{min(brought)}"), "signatures are not asked for", why, mend, note=True)


def _desired(line: Line, nucleus: Nucleus) -> None:
    """What IoT Core may want: signed packages alone, and no shadow on nucleus lite."""
    part = line.parts.get(MODELS)
    typed = part.typed if part is not None else None
    way = getattr(typed, "desired", "")
    if way == "shadow" and nucleus == "lite":
        why, mend = "nucleus lite has no shadows", "write desired: topic"
        line.add(line.located(MODELS, "desired"), "no shadow can be read", why, mend)
    if way and not getattr(typed, "keys", {}):
        why, mend = "no key is named, and what comes that way must be signed", "name one in components.ModelUpdate.keys"
        line.add(line.located(MODELS, "desired"), "what IoT Core wants is not taken", why, mend)


def _sent(line: Line) -> None:
    """Clips that nobody takes up, pictures that go in the clear."""
    part = line.parts.get(UPLOAD)
    bucket = getattr(part.typed, "bucket", "") if part is not None else ""
    for id, camera in _entries(line, CAMERA, "cameras").items():
        where = line.located(CAMERA, f"cameras.{id}")
        if camera.video is not None and "s3" in camera.video.destinations and not bucket:
            why = "there is no upload.bucket"
            line.add(f"{where}.video.to", "clips wait on the device", why, "name one", note=True)
        opinion = camera.opinion
        if opinion is not None and opinion.endpoint.lower().startswith("http://") and not _here(opinion.endpoint):
            why = "who is on the network may see and change them"
            line.add(f"{where}.opinion.endpoint", "pictures go in the clear", why, "use https", note=True)


def _here(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _interlocks(line: Line, streams: Streams) -> None:
    for source, (_, options) in line.sources.items():
        for id, target in options.actions.items():
            where = line.located(INGEST, f"sources.{source}.actions.{id}")
            for condition in getattr(target, "conditions", ()):
                streams.condition(condition, f"{where}.interlock")
