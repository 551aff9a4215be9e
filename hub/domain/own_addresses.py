"""Tells the addresses that mean the hub's own machine, or what stands beside it on one cable. Pure: looks no name up.

A person with a shell may name them. Whoever has none would reach services there that trust every caller, such as the
credentials that a cloud gives its machines (169.254.169.254).
"""

from ipaddress import IPv6Address, ip_address


def is_own_host(host: str) -> bool:
    """Tell whether *host* is written as such an address: loopback, link-local, unspecified, or `localhost`."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_link_local or found.is_unspecified


def leads_home(host: str, address: str) -> bool:
    """Tell whether *host* is another name of such an *address*, which was found for it."""
    return is_own_host(address) and not is_own_host(host)
