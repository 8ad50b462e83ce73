"""Where a service of this machine is reached."""


def local_address(host: str) -> str:
    """Return the address at which a service that listens on `host` is reached locally."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not to listen on
