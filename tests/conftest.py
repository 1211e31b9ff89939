"""What holds for every test: no network, and nothing of the person who runs it is read or written."""

from __future__ import annotations

import os
import socket
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tokencalc.tokens.backends import bundled, fast
from tokencalc.tokens.vocabularies import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Fixed examples, so that a red run is red again for whoever looks; --hypothesis-seed searches elsewhere. No deadline:
# a slow machine is no fault of the code.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", None, ""})


class NetworkForbiddenError(AssertionError):
    """A test reached for the network."""


def _refuse(address: object) -> None:
    # An address that is text or bytes is a Unix socket's path.
    host = address[0] if isinstance(address, tuple) else None
    if host not in _LOOPBACK:
        raise NetworkForbiddenError(f"tests open no connections, found one to {address!r}")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Let sockets connect to this machine only, and resolve no other machine's name."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked_connect(self: socket.socket, address: Any) -> None:
        _refuse(address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse(address)
        return connect_ex(self, address)

    def checked_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> object:
        _refuse((host,))
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        patch.setattr(socket, "getaddrinfo", checked_getaddrinfo)
        yield


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Count out one new folder after the other; pytest's own numbering reads all earlier ones each time."""
    base = tmp_path_factory.mktemp("homes")
    return (base / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path]) -> Path:
    """Give each test an empty home, and none of the variables that say otherwise."""
    home = next(_homes)
    home.mkdir()
    for variable in list(os.environ):
        if variable.startswith(("TOKENCALC_", "XDG_", "CLAUDE_")) or variable in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _base_install(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count as the base install does, whatever extras are there, so that a count is the same on every machine.

    A test that is marked ``extras`` counts with those that are installed.
    """
    if request.node.get_closest_marker("extras") is None:
        monkeypatch.setattr(fast, "_made", dict.fromkeys(SPECS))
        monkeypatch.setattr(bundled, "_made", dict.fromkeys(bundled.VOCABULARIES))
