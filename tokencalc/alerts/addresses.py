"""Which addresses belong to the public internet: those that a webhook may reach without being allowed to.

The lists are of IANA's registries of special addresses. They are our own, because what
Python's ``ipaddress`` calls global differs from one release to the next.
"""

from __future__ import annotations

import ipaddress

_UNICAST = ipaddress.ip_network("2000::/3")
"""The only part of IPv6 that IANA has given out; site-local, link-local and unique local ones lie outside."""

_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocols, Teredo's tunnels among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: tunnels to any address, private ones too
        "3fff::/20",  # documentation
    )
)
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "192.0.0.0/24",  # protocols
        "192.88.99.0/24",  # relays of 6to4
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public internet, judged by the one inside where it is mapped to IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_v4(address)
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64:  # what counts is where the gateway sends it
        return _is_public_v4(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _UNICAST and not any(address in network for network in _SPECIAL_V6)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in _SPECIAL_V4)
