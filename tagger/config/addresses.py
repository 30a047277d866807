"""Addresses in the configuration: host and port, networks."""

from __future__ import annotations

import re
from typing import NamedTuple

from tagger.errors import ConfigError

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@\[\]]+)):([0-9]{1,5})")
_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}|localhost|::1")


class Address(NamedTuple):
    """Where to listen: a name or IP address (IPv6 without brackets), and a TCP port."""

    host: str
    port: int


def parse_address(key: str, text: str, *, names: bool = True) -> Address:
    """Return the address ``127.0.0.1:5000``, ``[::1]:5000`` or ``name:5000``, given for ``key``.

    Without ``names`` the host must be an IP address, or ``localhost`` for 127.0.0.1, and the port
    one that others can know, not 0. Raise ConfigError for anything else.
    """
    match = _ADDRESS.fullmatch(text)
    if match is not None and int(match[3]) <= 65535:
        host, port = match[1] or match[2], int(match[3])
        if host == "localhost" and not names:
            host = "127.0.0.1"
        plain = names and not match[1]
        if plain or (_ip_version(host) == (6 if match[1] else 4) and (names or port)):
            return Address(host, port)
    raise ConfigError(
        f"{key}: {text!r} is no address with a port", "write, for example, 127.0.0.1:5000"
    )


def _ip_version(host: str) -> int | None:
    """Return 4 or 6 for an IP address, None for anything else."""
    import ipaddress  # some milliseconds, which most commands need not spend

    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def is_elsewhere(host: str) -> bool:
    """Whether other machines reach ``host``; a name is looked up when it is listened to."""
    if _LOOPBACK.fullmatch(host):
        return False
    import ipaddress

    return _ip_version(host) is not None and not ipaddress.ip_address(host).is_loopback


def check_networks(key: str, networks: tuple[str, ...]) -> None:
    """Raise ConfigError unless the values of ``key`` are IP addresses or networks."""
    import ipaddress

    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(
                f"{key}: {network!r} is no address or network ({error})",
                "write, for example, 192.168.1.10 or 10.0.0.0/8",
            ) from error
