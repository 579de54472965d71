"""Where serving may listen: loopback only, since the API has no authentication yet."""

import ipaddress

from core.errors import SettingsError


def require_loopback(host: str) -> str:
    """Return `host` when it is a loopback address.

    Raises
    ------
    SettingsError
        For any other address: whoever reaches the port could trade the account.
    """
    if host == "localhost":
        return host
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise SettingsError(
        f"serving.host {host!r} is not a loopback address, and the API has no authentication yet; "
        "use 127.0.0.1, and an authenticating proxy for other machines"
    )
