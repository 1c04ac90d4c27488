"""A fence around the tests: they may only call this machine. Put up by `tests/conftest.py`."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any


class OutsideWorld(BaseException):
    """A test tried to leave this machine. Not an Exception, so that no error handling swallows it."""


def allow_loopback_only() -> None:
    """From now on every connection and look-up of this process that leaves the machine raises."""
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _fenced(getattr(socket.socket, name), _target))
    socket.getaddrinfo = _fenced(socket.getaddrinfo, lambda host, *_rest: host)


def _fenced(call: Callable[..., Any], host_of: Callable[..., object]) -> Callable[..., Any]:
    def fenced(*args: Any, **kwargs: Any) -> Any:
        host = host_of(*args)
        if not _is_here(host):
            raise OutsideWorld(f"tests may only call loopback, not {host}")
        return call(*args, **kwargs)

    return fenced


def _target(sock: socket.socket, address: Any) -> object:
    return address[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
