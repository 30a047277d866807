"""Addresses in the configuration: host and port, URLs, networks."""

from __future__ import annotations

import re

from tagger.errors import ConfigError

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")
_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}|localhost|\[::1\]")


def web_address(text: str) -> tuple[str, int]:
    """Return host (IPv6 with brackets) and port of ``web.listen``; raise ConfigError for others."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ConfigError(
            f"web.listen: {text!r} is no address and port", "write, for example, 127.0.0.1:5000"
        )
    return match[1], int(match[2])


def _is_elsewhere(host: str) -> bool:
    """Whether other machines reach ``host``; a name is looked up when it is listened to."""
    if _LOOPBACK.fullmatch(host):
        return False
    import ipaddress  # some milliseconds, which most commands need not spend

    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_networks(networks: tuple[str, ...]) -> None:
    import ipaddress

    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(
                f"web.trusted_proxies: {network!r} is no address or network ({error})",
                "write, for example, 192.168.1.10 or 10.0.0.0/8",
            ) from error


def listen_address(text: str) -> tuple[str, int]:
    """Return the IP address and the port of ``127.0.0.1:9108``, ``[::1]:9108`` or ``localhost:1``.

    Raise ConfigError for anything else.
    """
    import ipaddress

    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if (address.version == 6) != (host[:1] == "[") or not port.isascii():
            raise ValueError(text)
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(text)
    except ValueError as error:
        raise ConfigError(
            f"metrics.listen: {text!r} is no address with a port", 'write "127.0.0.1:9108"'
        ) from error
    return str(address), int(port)
