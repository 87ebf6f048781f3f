"""Free ports on the loopback, chosen once and remembered."""

from __future__ import annotations

import json
import socket
from pathlib import Path

PREFERRED = {"api": 8080}


def is_free(port: int) -> bool:
    """Whether nobody listens on the loopback's `port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of a stopped server that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(name: str, file: Path, *, keep: bool = False) -> int:
    """Return the port of a service: the remembered one if it is free, else a new one.

    Parameters
    ----------
    name
        A key of :data:`PREFERRED`.
    file
        Where ports are remembered.
    keep
        The service runs: its port is taken by itself.
    """
    try:
        ports: dict[str, int] = json.loads(file.read_text())
    except (OSError, ValueError):
        ports = {}
    remembered = ports.get(name)
    if remembered and (keep or is_free(remembered)):
        return remembered
    ports[name] = PREFERRED[name] if is_free(PREFERRED[name]) else _any_free()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(ports))
    return ports[name]


def _any_free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
