"""Which addresses a webhook may reach: none inside a private network, unless that was allowed.

What is checked is the address that is then connected to, after the name was resolved:
a name that resolves differently the second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from tokencalc.alerts.channels import failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Resolve = Callable[..., list[tuple[Any, ...]]]

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public internet, the one inside a mapped or tunnelled one included."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in _inside(address))


def _inside(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address in _NAT64_LOCAL:  # older versions of ipaddress take it for public
        return [ipaddress.IPv6Address(1)]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    found: list[Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if address in _NAT64:
        # Of the block itself nobody minds; what counts is where the gateway sends it.
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return found


def connect(  # noqa: PLR0913  # each is one thing that decides
    channel: str, host: str, port: int, *, allow_private: bool, timeout_s: float, resolve: Resolve
) -> socket.socket:
    """Connect to the first address of a host that answers; DeliveryFailed where one of them is private.

    A name with a private address among its addresses is refused altogether.
    """
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise failed(channel, "the name of its host cannot be resolved") from error
    if not allow_private and not all(is_public(str(one[4][0])) for one in found):
        raise failed(
            channel,
            "its host has an address inside a private network, which is refused; "
            "set allow_private = true for a receiver of your own",
        )
    for family, kind, protocol, _, address in found:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(timeout_s)
            opened.connect(address)
        except OSError:
            opened.close()
            continue
        return opened
    raise failed(channel, "its host does not answer")
