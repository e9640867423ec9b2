from __future__ import annotations

from typing import Any

import pytest

from edgeloop_tools.core.ipc.authorization import MQTT_PROXY, PUBSUB, Authorizer
from edgeloop_tools.core.ipc.backend import Identity
from edgeloop_tools.core.ipc.matching import Nucleus, resource_pattern, topic_pattern
from edgeloop_tools.core.ipc.rpc import Refused


@pytest.mark.parametrize(("topic_filter", "topic", "local", "mqtt"), [
    ("a/b", "a/b", True, True), ("a/b", "a/bc", False, False), ("a/+", "a/b", True, True),
    ("a/+", "a/b/c", False, False), ("a/+", "a/", True, True), ("+/b", "a/b", True, True), ("#", "a/b", True, True),
    ("a/#", "a/b/c", True, True), ("a/#", "a", False, True), ("a/#", "ab", False, False), ("+", "$a", True, False),
    ("#", "$sys/a", True, False), ("$sys/#", "$sys/a", True, True), ("a.b/+", "axb/c", False, False),
    ("+/+", "a/b", True, True), ("a/+/#", "a/b", False, True), ("a/#", "a/\n", True, True),
])
def test_topics(topic_filter: str, topic: str, local: bool, mqtt: bool) -> None:
    assert bool(topic_pattern(topic_filter, parent=False).fullmatch(topic)) is local
    assert bool(topic_pattern(topic_filter, parent=True).fullmatch(topic)) is mqtt


@pytest.mark.parametrize(("resource", "request_", "pubsub", "mqtt"), [
    ("*", "anything/at/all", True, True), ("a/*", "a/", True, True), ("a/*", "a", False, False),
    ("a/*/c", "a/x/y/c", True, True), ("a/+", "a/b", False, True), ("a/+", "a/+", True, True),
    ("a/#", "a", False, True), ("a/#", "a/b/c", False, True), ("#", "a/b", False, True),
    ("+/x", "a/x", False, True), ("a+/x", "ab/x", False, False), ("a${*}b", "a*b", True, True),
    ("a${*}b", "axb", False, False), ("a/*/+/d", "a/b/x/c/d", False, True),
])
def test_resources_on_classic(resource: str, request_: str, pubsub: bool, mqtt: bool) -> None:
    for proxy, expected in ((False, pubsub), (True, mqtt)):
        pattern = resource_pattern(resource, mqtt=proxy, nucleus="classic")
        assert pattern is not None
        assert bool(pattern.fullmatch(request_)) is expected


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
@pytest.mark.parametrize("resource", ["a?", "a${x}", "a${", "${**}"])
def test_resources_that_a_nucleus_refuses(resource: str, nucleus: Nucleus) -> None:
    assert resource_pattern(resource, mqtt=False, nucleus=nucleus) is None


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
@pytest.mark.parametrize("access", [
    {}, {PUBSUB: None}, {PUBSUB: []}, {PUBSUB: {"p": None}}, {PUBSUB: {"p": {}}},
    {PUBSUB: {"p": {"operations": "*", "resources": "*"}}}, {PUBSUB: {"p": {"operations": ["*"]}}},
    {PUBSUB: {"p": {"operations": ["*"], "resources": [1, None, {}]}}},
    {PUBSUB: {"p": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": ["*"]}}},
    {MQTT_PROXY: {"p": {"operations": ["*"], "resources": ["*"]}}},
])
def test_what_grants_nothing(access: dict[str, Any], nucleus: Nucleus) -> None:
    authorizer = Authorizer(Identity("a.B", access), nucleus)
    with pytest.raises(Refused, match=r"a\.B") as refusal:
        authorizer.check(PUBSUB, "PublishToTopic", "t")
    assert refusal.value.code == "UnauthorizedError"


def test_policies_add_up() -> None:
    access = {PUBSUB: {"one": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["a"]},
                       "two": {"operations": ["*"], "resources": ["b"]}}}
    for nucleus in ("classic", "lite"):
        authorizer = Authorizer(Identity("a.B", access), nucleus)
        for operation, topic in (("PublishToTopic", "a"), ("PublishToTopic", "b"), ("SubscribeToTopic", "b")):
            authorizer.check(PUBSUB, operation, topic)
        with pytest.raises(Refused):
            authorizer.check(PUBSUB, "SubscribeToTopic", "a")


def test_a_question_mark_is_refused_by_lite() -> None:
    access = {PUBSUB: {"p": {"operations": ["*"], "resources": ["*"]}}}
    Authorizer(Identity("a.B", access), "classic").check(PUBSUB, "PublishToTopic", "what?")
    with pytest.raises(Refused):
        Authorizer(Identity("a.B", access), "lite").check(PUBSUB, "PublishToTopic", "what?")
    Authorizer(Identity("t", {}, unrestricted=True), "lite").check(PUBSUB, "PublishToTopic", "what?")
