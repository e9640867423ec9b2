"""The operations that nucleus lite has; every other is a ServiceError.

Sources: nucleus lite's `ggipcd` services, the classic nucleus's IPC agents.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from edgeloop_tools.core.numbers import doubles

from . import authorization, limits, requests
from .backend import BackendError, ConfigurationChanged
from .connection import Connection
from .hub import PUBLISH_BYTES, Retained, Spool, Subscription, Topics
from .matching import is_wildcard
from .rpc import SERVICE, Refused, application, encoder

if TYPE_CHECKING:
    from .server import Server

SECRETS = "EDGELOOP_CORE_SECRETS"
"""In the core's environment: a file of JSON, ARN → secret, for GetSecretValue."""
log = logging.getLogger("edgeloop.core.ipc")

Handler = Callable[[Connection, int, bytes], None]
T = TypeVar("T")


class Operations:
    """Answers operations. Publishing and subscribing are done in order, at once; what the supervisor must answer, in a
    task of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lite = server.lite
        self.local = Topics(server.nucleus, mqtt=False)
        self.iot = Topics(server.nucleus, mqtt=True)
        self.configuration: dict[tuple[Connection, int], tuple[str, tuple[str, ...]]] = {}
        self._offline = False
        self._unanswered: dict[tuple[Connection, int], str] = {}
        self._spool = Spool()
        self._retained = Retained()
        self._missed: list[tuple[str, bytes]] = []
        self._subscriptions = 0
        self._handlers: dict[str, Handler] = {
            SERVICE + name: handler
            for name, handler in (
                ("PublishToTopic", self._publish_to_topic),
                ("SubscribeToTopic", self._subscribe_to_topic),
                ("PublishToIoTCore", self._publish_to_iot_core),
                ("SubscribeToIoTCore", self._subscribe_to_iot_core),
                ("GetConfiguration", self._later(self._get_configuration)),
                ("UpdateConfiguration", self._later(self._update_configuration)),
                ("SubscribeToConfigurationUpdate", self._later(self._subscribe_to_configuration_update)),
                ("UpdateState", self._later(self._update_state)),
                ("CreateLocalDeployment", self._later(self._create_local_deployment)),
                ("RestartComponent", self._later(self._restart_component)),
                ("ValidateAuthorizationToken", self._later(self._validate_authorization_token)),
            )
        }
        if not self._lite:
            self._handlers[f"{SERVICE}GetSecretValue"] = self._get_secret_value

    @property
    def topics(self) -> tuple[Topics, Topics]:
        return self.local, self.iot

    def call(self, connection: Connection, stream: int, operation: str, payload: bytes) -> None:
        """Refused if the operation fails at once."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise Refused("ServiceError", f"{operation} is not supported")
        handler(connection, stream, payload)

    # local topics

    def _publish_to_topic(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.PublishToTopic)
        topic, message = request.topic, request.publish_message
        json, binary = message.json_message, message.binary_message
        if (json is None) == (binary is None):
            raise self._invalid("'publishMessage' must have exactly one of 'binaryMessage' or 'jsonMessage'")
        self._authorize(connection, authorization.PUBSUB, "PublishToTopic", topic)
        poison = large = False
        if self._lite:
            if len(topic.encode()) > limits.TOPIC_BYTES:
                raise Refused("ServiceError", "Failed to publish the message.")
            if json is not None:
                value = msgspec.json.decode(json.message)
                limits.check_message(value)
                poison, large = limits.is_poison(value), limits.has_large_integer(value)
        elif "+" in topic or "#" in topic or "*" in topic:
            raise Refused("InvalidArgumentsError", "Publish topic must not contain a wildcard.")
        context = b',"context":{"topic":' + encoder.encode(topic) + b"}}}"
        if json is not None:
            document = bytes(json.message)
            if not self._lite:
                if not document.startswith(b"{"):
                    raise self._invalid("a JSON message is an object")
                document = encoder.encode(doubles(msgspec.json.decode(document)))
            event = b'{"jsonMessage":{"message":' + document + context
        else:
            assert binary is not None
            event = b'{"binaryMessage":{"message":"' + self._base64(binary.message)[0] + b'"' + context
        targets = self.local.reached(topic)
        statistics = self._server.statistics
        statistics.published += 1
        if poison or large:
            self._spoil([one for one in targets if not one.connection.observer], large)
            targets = tuple(one for one in targets if one.connection.observer)
        frames = []
        for one in targets:
            if not (one.others_only and one.component == connection.component):
                frames.append((one.connection, application(one.stream, "SubscriptionResponseMessage", event)))
        self._server.deliver(frames, lambda: connection.respond(stream, "PublishToTopicResponse"))

    def _spoil(self, targets: list[Subscription], large: bool) -> None:
        for one in targets:
            log.warning(
                "%s: its subscription to %s is dead: %s",
                one.connection.name,
                one.topic_filter,
                "an integer of 1e18 or more" if large else "a message too complex",
            )
            if large:
                one.connection.end_stream(one.stream)
            else:
                self.local.unsubscribe(one)

    def _subscribe_to_topic(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.SubscribeToTopic)
        topic = request.topic
        self._authorize(connection, authorization.PUBSUB, "SubscribeToTopic", topic)
        if not topic or (self._lite and len(topic.encode()) > limits.TOPIC_BYTES):
            raise self._invalid("Subscribe topic must not be empty" if not topic else "Topic filter too large.")
        modes = ("RECEIVE_ALL_MESSAGES", "RECEIVE_MESSAGES_FROM_OTHERS")
        if request.receive_mode not in (None, *modes) and not self._lite:
            raise self._invalid(f"receiveMode {request.receive_mode!r}")
        mode = request.receive_mode or modes[is_wildcard(topic)]
        self._subscribe(self.local, connection, stream, topic, not self._lite and mode == modes[1])
        connection.respond(stream, "SubscribeToTopicResponse")

    def _subscribe(
        self, topics: Topics, connection: Connection, stream: int, topic_filter: str, others_only: bool = False
    ) -> None:
        self._count_subscription()
        subscription = topics.subscribe(connection, stream, topic_filter, others_only)

        def end() -> None:
            self._subscriptions -= 1
            topics.unsubscribe(subscription)

        connection.streams[stream] = end

    def _count_subscription(self) -> None:
        if self._lite and self._subscriptions >= limits.SUBSCRIPTIONS:
            raise Refused("ServiceError", "Failed to bind subscription.")
        self._subscriptions += 1

    # IoT Core

    def set_offline(self, offline: bool) -> None:
        """Cut or restore the way to IoT Core; what waited is delivered in order."""
        self._offline = offline
        if not offline:
            for (connection, stream), topic in list(self._unanswered.items()):
                connection.streams.pop(stream)()
                self._subscribe_now(connection, stream, topic)
            for topic, event in self._spool.take():
                self._deliver_iot(topic, event)
            missed, self._missed = self._missed, []
            for topic, event in missed:
                self._deliver_iot(topic, event)

    def publish_from_cloud(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """As another client of IoT Core does, QoS 1. While offline it waits for the device on classic, whose session
        persists; lite, whose session does not, has what is retained when it subscribes again."""
        content = base64.b64encode(payload).decode()
        event = encoder.encode({"message": {"topicName": topic, "payload": content}})
        if retain:
            self._retained.put(topic, event, empty=not payload)
        if not self._offline:
            self._deliver_iot(topic, event)
        elif not self._lite:
            self._missed.append((topic, event))
        elif retain and payload:
            self._missed = [(t, e) for t, e in self._missed if t != topic] + [(topic, event)]

    def _publish_to_iot_core(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.PublishToIoTCore)
        topic = request.topic_name
        quality = self._quality(request.qos)
        if request.payload is None and not self._lite:
            raise self._invalid("Payload is required")
        content, size = self._base64(request.payload or "")
        self._authorize(connection, authorization.MQTT_PROXY, "PublishToIoTCore", topic)
        if not topic or len(topic.encode()) > 256 or "+" in topic or "#" in topic:
            raise Refused("ServiceError", f"Publish to topic {topic} failed: no valid topic name")
        if size > PUBLISH_BYTES:
            raise Refused("ServiceError", f"Publish to topic {topic} failed: over {PUBLISH_BYTES} bytes of payload")
        message: dict[str, Any] = {"topicName": topic, "payload": content.decode()}
        if not self._lite:
            message |= {
                key: value
                for key, value in msgspec.to_builtins(request).items()
                if value is not None and key not in ("topicName", "payload", "qos")
            }
        event = encoder.encode({"message": message})
        if request.retain:
            self._retained.put(topic, event, empty=not size)
        if self._offline:
            if self._lite:
                raise Refused("ServiceError", "Failed to publish the message.")
            if not quality:
                raise Refused(
                    "ServiceError", f"Publish to topic {topic} failed: Device is offline. Dropping QoS 0 message."
                )
            if not self._spool.put(topic, event, size):
                raise Refused("ServiceError", f"Publish to topic {topic} failed: the spool is full")
        else:
            self._deliver_iot(topic, event)
        connection.respond(stream, "PublishToIoTCoreResponse")

    def _deliver_iot(self, topic: str, event: bytes) -> None:
        frames = [(one.connection, application(one.stream, "IoTCoreMessage", event)) for one in self.iot.reached(topic)]
        self._server.deliver(frames, lambda: None)

    def _subscribe_to_iot_core(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.SubscribeToIoTCore)
        self._quality(request.qos)
        self._authorize(connection, authorization.MQTT_PROXY, "SubscribeToIoTCore", request.topic_name)
        if not request.topic_name:
            raise self._invalid("an empty topic filter")
        if self._offline and not self._lite:
            self._unanswered[connection, stream] = request.topic_name

            def forget() -> None:
                self._unanswered.pop((connection, stream), None)

            connection.streams[stream] = forget
            return
        self._subscribe_now(connection, stream, request.topic_name)

    def _subscribe_now(self, connection: Connection, stream: int, topic_filter: str) -> None:
        """With the answer, then what is retained for it; to lite that is offline it comes when it is online again."""
        self._subscribe(self.iot, connection, stream, topic_filter)
        connection.respond(stream, "SubscribeToIoTCoreResponse")
        kept = self._retained.matching(topic_filter)
        if self._offline:
            known = {topic for topic, _ in self._missed}
            self._missed += [(topic, event) for topic, event in kept if topic not in known]
            return
        frames = [(connection, application(stream, "IoTCoreMessage", event)) for _, event in kept]
        if frames:
            self._server.deliver(frames, lambda: None)

    def _quality(self, value: str | int | None) -> int:
        if value is None and self._lite:
            return 0
        if str(value) not in (("0", "1", "2") if self._lite else ("0", "1")):
            raise self._invalid(f"Invalid QoS: {value}")
        return int(str(value))

    # configuration

    async def _get_configuration(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.GetConfiguration)
        component, path = request.component_name or connection.component, request.key_path or ()
        if self._lite:
            limits.check_key_path(path)
        value = (await self._server.backend.get_configuration(component, path)).value
        if not isinstance(value, dict):
            if not path:
                raise Refused("InvalidArgumentsError", "Key is not valid.")
            value = {path[-1]: value}
        response = encoder.encode({"componentName": component, "value": value})
        if self._lite:
            limits.check_response(value, len(response))
        connection.respond(stream, "GetConfigurationResponse", response)

    async def _update_configuration(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.UpdateConfiguration, "InvalidArgumentsError")
        path, value = request.key_path or (), request.value_to_merge
        if "accessControl" in (path[:1] or (value if isinstance(value, dict) else ())):
            raise Refused("InvalidArgumentsError", "Config update is not allowed for following field [accessControl]")
        if not path and not isinstance(value, dict):
            raise Refused("InvalidArgumentsError", "ValueToMerge is no object")
        if self._lite:
            limits.check_update(path, value)
        else:
            value = doubles(value)
        milliseconds = int(request.timestamp * 1000)
        try:
            await self._server.backend.update_configuration(connection.component, path, value, milliseconds)
        except BackendError as error:
            if not (self._lite and error.reason == "FailedUpdateConditionCheckError"):
                raise
            log.info("%s: an update older than the configuration changes nothing", connection.name)
        connection.respond(stream, "UpdateConfigurationResponse")

    async def _subscribe_to_configuration_update(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.GetConfiguration)
        component, path = request.component_name or connection.component, request.key_path or ()
        if self._lite:
            limits.check_key_path(path)
        await self._server.backend.get_configuration(component, path)
        self._count_subscription()
        key = connection, stream
        self.configuration[key] = component, path

        def end() -> None:
            self._subscriptions -= 1
            del self.configuration[key]

        connection.streams[stream] = end
        connection.respond(stream, "SubscribeToConfigurationUpdateResponse")

    def configuration_changed(self, event: ConfigurationChanged) -> None:
        """One event for each changed leaf, as on both nuclei."""
        for (connection, stream), (component, path) in list(self.configuration.items()):
            if component != event.component:
                continue
            for leaf in event.paths:
                if leaf[: len(path)] == path:
                    change = {"configurationUpdateEvent": {"componentName": component, "keyPath": leaf}}
                    connection.send(application(stream, "ConfigurationUpdateEvents", encoder.encode(change)))

    # components

    async def _update_state(self, connection: Connection, stream: int, payload: bytes) -> None:
        state = self._decode(payload, requests.UpdateState).state
        if state not in ("RUNNING", "ERRORED"):
            raise self._invalid(f"state {state!r} is neither RUNNING nor ERRORED")
        await self._server.backend.update_state(connection.component, "RUNNING" if state == "RUNNING" else "ERRORED")
        connection.respond(stream, "UpdateStateResponse")

    async def _create_local_deployment(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, dict[str, Any])
        try:
            self._authorize(connection, authorization.CLI, "CreateLocalDeployment", None)
        except Refused as error:
            raise (Refused("ServiceError", "IPC Operation not authorized.") if self._lite else error) from None
        deployment = await self._server.backend.create_local_deployment(connection.component, request)
        connection.respond(stream, "CreateLocalDeploymentResponse", encoder.encode({"deploymentId": deployment}))

    async def _restart_component(self, connection: Connection, stream: int, payload: bytes) -> None:
        target = self._decode(payload, requests.RestartComponent, "InvalidArgumentsError").component_name
        self._authorize(connection, authorization.CLI, "RestartComponent", target)
        try:
            outcome, message = await self._server.backend.restart_component(connection.component, target)
        except BackendError as error:
            if self._lite and error.reason == "ComponentNotFoundError":
                raise Refused("ResourceNotFoundError", "Component not found.") from None
            raise
        response = {"restartStatus": outcome} | ({"message": message} if message and not self._lite else {})
        connection.respond(stream, "RestartComponentResponse", encoder.encode(response))

    def _get_secret_value(self, connection: Connection, stream: int, payload: bytes) -> None:
        """As the classic nucleus with its Secret Manager; here the secrets are in the file that SECRETS names."""
        arn = self._decode(payload, requests.GetSecretValue).secret_id
        self._authorize(connection, authorization.SECRETS, "GetSecretValue", arn)
        try:
            secrets = msgspec.json.decode(Path(os.environ.get(SECRETS, "")).read_bytes(), type=dict[str, str])
        except (OSError, ValueError) as error:
            raise Refused("ServiceError", f"no secrets here: {error}") from None
        if arn not in secrets:
            raise Refused("ResourceNotFoundError", f"Secret {arn} not found")
        answer = {"secretId": arn, "versionId": "1", "versionStage": ["AWSCURRENT"],
                  "secretValue": {"secretString": secrets[arn]}}  # fmt: skip
        connection.respond(stream, "GetSecretValueResponse", encoder.encode(answer))

    async def _validate_authorization_token(self, connection: Connection, stream: int, payload: bytes) -> None:
        request = self._decode(payload, requests.ValidateAuthorizationToken)
        if connection.component != "aws.greengrass.StreamManager":
            raise Refused(
                "UnauthorizedError",
                f"Component {connection.component} does not have access to token verification IPC command.",
            )
        if not await self._server.backend.validate_token(connection.component, request.token):
            raise Refused("InvalidTokenError", "Invalid token used by stream manager when trying to authorize.")
        connection.respond(stream, "ValidateAuthorizationTokenResponse", b'{"isValid":true}')

    # shared

    def _later(self, handle: Callable[[Connection, int, bytes], Coroutine[Any, Any, None]]) -> Handler:
        name = handle.__name__.removeprefix("_")

        async def run(connection: Connection, stream: int, payload: bytes) -> None:
            try:
                await handle(connection, stream, payload)
            except Refused as error:
                connection.refuse(stream, error, name)
            except BackendError as error:
                connection.refuse(stream, Refused(error.reason, error.message), name)
            except Exception as error:
                connection.internal_error(stream, error, name)

        return lambda connection, stream, payload: self._server.spawn(run(connection, stream, payload))

    def _authorize(self, connection: Connection, service: str, operation: str, resource: str | None) -> None:
        assert connection.authorizer is not None
        connection.authorizer.check(service, operation, resource)

    def _decode(self, payload: bytes, kind: type[T], code: str | None = None) -> T:
        try:
            if not payload.isascii():
                payload.decode()
            return msgspec.json.decode(payload, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise (Refused(code, str(error)) if code else self._invalid(str(error))) from None

    def _base64(self, text: str) -> tuple[bytes, int]:
        """The base64 text as it is, and how many bytes it stands for."""
        data = text.encode()
        try:
            return data, len(binascii.a2b_base64(data, strict_mode=True))
        except binascii.Error:
            raise self._invalid("the message is no base64") from None

    def _invalid(self, why: str) -> Refused:
        code = "ServiceError" if self._lite else "InvalidArgumentsError"
        return Refused(code, f"Received invalid parameters: {why}")
