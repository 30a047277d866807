"""IP addresses of those who ask."""

from __future__ import annotations

import ipaddress


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address ``text``, one of IPv4 also where IPv6 holds it; None for no address."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def network_of(address: str) -> str:
    """Return what one client has whole: an IPv4 address, or a network of IPv6 of 64 bits."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or "")
