"""The thread that keeps a connection: connects, subscribes again, pings itself, backs off."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from edgeloop.bus.link import BusClosed, BusRefused, BusTimeout, Link, Native, TokenRefused
from edgeloop.bus.subscription import BusPending, Subscription
from edgeloop.errors import BusError

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 60.0
ABSENT_DELAY: Final = 5.0
"""The longest delay while nobody listens on the socket: an attempt then costs nobody anything."""
_SETTLED: Final = 5.0
_REFUSALS: Final = 3
_REFUSED_FOR: Final = 5.0
_LOST_PINGS: Final = 2
_PROBE: Final = 1.5
"""Seconds that a ping may take which was asked for because something looks wrong."""

OFFLINE: Final = "IoT Core has not answered: offline; all else goes on"

Problem = Callable[[str, str | None], None]
"""Called with a key and one line, or None where the problem is over. May be called on any thread, must not block."""


class Ping:
    """The self-ping: a topic of one's own, and what became of the last message on it."""

    def __init__(self, topic: str, interval: float) -> None:
        self.topic, self.interval, self.enough = topic, interval, _LOST_PINGS
        self.sent = self.lost = 0
        self.restart(0.0)

    def restart(self, after: float) -> None:
        self._waiting, self._missed, self._hurry, self.due = False, 0, False, time.monotonic() + after

    def hurry(self) -> None:
        """The next ping is due at once, and one that does not come back soon is enough."""
        if not self._hurry:
            self._waiting, self._hurry, self.due = False, True, 0.0

    def begin(self) -> bool:
        """The next ping; False where too many have not come back."""
        if self._waiting:
            self.lost += 1
            self._missed += 1
            if self._missed >= (1 if self._hurry else self.enough):
                return False
        self.sent += 1
        self._waiting, self.due = True, time.monotonic() + (_PROBE if self._hurry else self.interval)
        return True

    def seen(self) -> None:
        self._waiting, self._missed, self._hurry = False, 0, False


class Keeper:
    """Holds the connection, if there is one, and what is subscribed to.

    send: publishes a message and waits for the answer (for the ping). on_link: told the number of a connection that is
    ready to publish over, 0 where there is none. on_refused: see Bus. renew: a new token where one is to be had, or "".
    """

    def __init__(
        self,
        socket: Path,
        token: str,
        timeout: float,
        ping: Ping | None,
        send: Callable[[str, bytes], None],
        on_link: Callable[[int], None],
        on_problem: Problem,
        on_refused: Callable[[], None] | None,
        name: str,
        renew: Callable[[], str] = lambda: "",
    ) -> None:
        self._renew = renew
        self._socket, self._token, self._timeout, self._ping = socket, token, timeout, ping
        self._send, self._on_link, self._on_problem, self._on_refused = send, on_link, on_problem, on_refused
        self._native = Native()
        self._state = threading.Condition()
        self._link: Link | None = None
        self._opening: Link | None = None
        self._number = 0
        self._ended: tuple[int, str] = (0, "")
        self._since = 0.0
        self._delay, self._longest = FIRST_DELAY, LONGEST_DELAY
        self._refusals, self._refused_since = 0, 0.0
        self._subscriptions: list[Subscription] = []
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-bus", daemon=True)
        self.connections = 0

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float) -> None:
        self._stopped.set()
        self._wake.set()
        with self._state:
            links = [link for link in (self._opening, self._link) if link is not None]
            self._link = None
            self._state.notify_all()
        for link in links:
            link.close().add_done_callback(_retrieve)
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def link(self) -> Link | None:
        return self._link

    @property
    def subscriptions(self) -> list[Subscription]:
        with self._state:
            return list(self._subscriptions)

    def wait_connected(self, timeout: float) -> Link | None:
        with self._state:
            self._state.wait_for(lambda: self._link is not None or self._stopped.is_set(), timeout)
            return self._link

    def add(self, subscription: Subscription, wait: bool) -> None:
        """From now on, whatever happens to the connection. With `wait`, returns when the nucleus has answered."""
        with self._state:
            self._subscriptions.append(subscription)
            connected = self._link is not None
        self._wake.set()
        if connected and wait:
            subscription.answered.wait(self._timeout)

    def remove(self, subscription: Subscription) -> None:
        with self._state:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
        self._on_problem(_key(subscription), None)

    def probe(self) -> None:
        """Pings at once."""
        if self._ping is not None and self._link is not None:
            self._ping.hurry()
            self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    def broken(self, number: int, error: BusError) -> None:
        """The connection of that number does not work: it is ended, and a new one is made."""
        with self._state:
            if number != self._number or self._link is None:
                return
            link, self._link = self._link, None
            self._state.notify_all()
        self._on_link(0)
        for subscription in self.subscriptions:
            subscription.down()
        if time.monotonic() - self._since > _SETTLED:
            self._delay = FIRST_DELAY
        if not self._stopped.is_set():
            self._on_problem("bus", f"the connection to the nucleus is lost ({error}); connecting again")
        link.close().add_done_callback(_retrieve)
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            link = self._link
            if link is None:
                if not self._connect():
                    self._stopped.wait(self._delay * random.uniform(0.8, 1.0))
                    self._delay = min(self._delay * 2, self._longest)
                continue
            self._wake.clear()
            number, reason = self._ended
            if number == self._number:
                self.broken(number, BusClosed(reason))
                self._stopped.wait(self._delay)
                continue
            pause = min(self._subscribe_due(link), self._self_ping())
            if self._link is link:
                self._wake.wait(max(pause, 0.0))

    def _connect(self) -> bool:
        number = self._number + 1

        def ended(reason: str) -> None:
            self._ended = (number, reason)
            self._wake.set()

        link = Link(self._native, self._socket, self._token, ended)
        with self._state:
            self._number, self._opening = number, link
        try:
            link.open(self._timeout)
        except BusError as error:
            self._longest = ABSENT_DELAY if isinstance(error, BusClosed) else LONGEST_DELAY
            if not self._stopped.is_set():
                self._on_problem("bus", str(error))
                refused = isinstance(error, TokenRefused)
                if refused and (token := self._renew()):
                    self._token, self._delay, refused = token, FIRST_DELAY, False
                self._refused(refused)
            return False
        finally:
            self._opening = None
        self._refusals = 0
        with self._state:
            if self._stopped.is_set():
                link.close().add_done_callback(_retrieve)
                return False
            self._link, self._since = link, time.monotonic()
            self.connections += 1
            self._state.notify_all()
        self._on_problem("bus", None)
        if self._ping is not None:
            self._ping.restart(self._ping.interval)
        self._subscribe_due(link)
        if self._link is link:
            self._on_link(number)
        return True

    def _refused(self, refused: bool) -> None:
        self._refusals = self._refusals + 1 if refused else 0
        if self._refusals == 1:
            self._refused_since = time.monotonic()
        lasting = time.monotonic() - self._refused_since >= _REFUSED_FOR
        if self._refusals >= _REFUSALS and lasting and self._on_refused is not None:
            self._on_refused()

    def _subscribe_due(self, link: Link) -> float:
        """Opens what is not open and due; seconds until the next is due."""
        soonest = LONGEST_DELAY
        for subscription in sorted(self.subscriptions, key=lambda s: s.patient):
            if subscription.active.is_set():
                if subscription.patient:
                    self._on_problem(_key(subscription), None)
                continue
            if subscription.pending:
                continue
            left = subscription.due - time.monotonic()
            if left > 0:
                soonest = min(soonest, left)
                continue
            number = self._number
            try:
                subscription.open(link, self._timeout)
            except BusPending:
                self._on_problem(_key(subscription), OFFLINE)
                continue
            except (BusClosed, BusTimeout) as error:
                self.broken(number, error)
                return 0.0
            except BusError as error:
                self._on_problem(_key(subscription), str(error))
                soonest = min(soonest, subscription.due - time.monotonic())
            else:
                self._on_problem(_key(subscription), None)
        return soonest

    def _self_ping(self) -> float:
        """Sends the ping when it is due; seconds until the next."""
        ping = self._ping
        if ping is None:
            return LONGEST_DELAY
        left = ping.due - time.monotonic()
        if left > 0:
            return left
        number = self._number
        if not ping.begin():
            self.broken(number, BusError("self-pings did not come back"))
            return 0.0
        try:
            self._send(ping.topic, b"ping")
        except BusRefused as error:
            ping.restart(ping.interval)
            self._on_problem("bus.ping", str(error))
        except BusError as error:
            self.broken(number, error)
        else:
            self._on_problem("bus.ping", None)
        return ping.due - time.monotonic()


def _key(subscription: Subscription) -> str:
    return f"bus.subscribe.{subscription.filter}"


def _retrieve(future: Future[None]) -> None:
    future.exception()
