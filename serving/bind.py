"""Where serving may listen: loopback, or anywhere once callers need keys."""

import ipaddress

from core.config import ServingConfig
from core.errors import SettingsError


def require_safe(serving: ServingConfig) -> str:
    """Return the host to listen on.

    Raises
    ------
    SettingsError
        For another address than loopback while no keys are set up: whoever reaches the port could
        trade the account. For one of certificate and private key without the other.
    """
    if bool(serving.certificate) != bool(serving.private_key):
        raise SettingsError("serving.certificate and serving.private_key belong together")
    if serving.keys or is_loopback(serving.host):
        return serving.host
    raise SettingsError(
        f"serving.host {serving.host!r} is not a loopback address, and without authentication "
        "whoever reaches it could trade; set serving.keys (see `tickpath keys`), or use 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
