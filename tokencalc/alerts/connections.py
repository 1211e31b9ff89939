"""Connections that end: to an address that may be reached, and for no longer than a message may take.

What is checked is the address that is then connected to, after the name was resolved:
a name that resolves differently the second time gains nothing.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.alerts.addresses import is_public
from tokencalc.alerts.channels import failed
from tokencalc.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Resolve = Callable[..., list[tuple[Any, ...]]]


class Line(NamedTuple):
    """A connection, and whether it was cut because its time was over."""

    opened: socket.socket
    cut: threading.Event


@contextmanager
def connected(  # noqa: PLR0913  # each is one thing that decides
    channel: str, host: str, port: int, *, allow_private: bool, within_s: float, resolve: Resolve = socket.getaddrinfo
) -> Iterator[Line]:
    """Connect to the first address of a host that answers, and hang up after ``within_s`` seconds, whatever goes on.

    DeliveryFailed where one of its addresses is private and that is not allowed, where none
    answers, and where the time was over before what is done with the connection. A timeout
    of each step would not do: who sends a byte a second could take as long as it likes.
    Resolving the name cannot be cut short, but after it nothing is sent if the time is over.
    """
    clock = SystemClock()  # a socket waits in real time, whatever a test's clock says
    until_s = clock.monotonic() + within_s
    found = _resolved(channel, host, port, allow_private=allow_private, resolve=resolve)
    opened = _first(channel, found, lambda: until_s - clock.monotonic())
    cut = threading.Event()
    with opened, opened.dup() as handle:  # TLS takes over the first, whenever it begins
        timer = threading.Timer(until_s - clock.monotonic(), _hang_up, (handle, cut))
        timer.daemon = True
        timer.start()
        try:
            yield Line(opened, cut)
        except Exception as error:  # bulk: what a cut connection raises depends on whoever was reading
            if cut.is_set():
                raise failed(channel, f"it took longer than {within_s:g} seconds") from error
            raise
        finally:
            timer.cancel()
            timer.join()


def _hang_up(handle: socket.socket, cut: threading.Event) -> None:
    cut.set()
    with suppress(OSError):  # the other side was quicker
        handle.shutdown(socket.SHUT_RDWR)


def _resolved(channel: str, host: str, port: int, *, allow_private: bool, resolve: Resolve) -> list[tuple[Any, ...]]:
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise failed(channel, "the name of its host cannot be resolved") from error
    # A name with one private address among its addresses is refused altogether.
    if not allow_private and not all(is_public(str(one[4][0])) for one in found):
        raise failed(
            channel,
            "its host has an address inside a private network, which is refused; "
            "set allow_private = true for a receiver of your own",
        )
    return found


def _first(channel: str, found: list[tuple[Any, ...]], left_s: Callable[[], float]) -> socket.socket:
    for family, kind, protocol, _, address in found:
        remaining_s = left_s()
        if remaining_s <= 0:
            break
        with suppress(OSError), ExitStack() as stack:
            opened = stack.enter_context(socket.socket(family, kind, protocol))
            opened.settimeout(remaining_s)
            opened.connect(address)
            opened.settimeout(None)  # from here on the time of the whole counts
            stack.pop_all()
            return opened
    raise failed(channel, "its host does not answer")
