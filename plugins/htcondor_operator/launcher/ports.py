"""Free ports on the loopback, chosen once and remembered."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

PREFERRED = {"api": 8080}
LOWEST = 20_000
TRIES = 100
_KERNELS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")


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
    ports[name] = PREFERRED[name] if is_free(PREFERRED[name]) else any_free()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(ports))
    return ports[name]


def any_free() -> int:
    """Return a port that nobody listens on and that the kernel gives to nobody who does not ask.

    A port of the kernel's own range (where a bind to port 0 falls) can be taken by somebody else
    between the choice and the start of the service, and at each restart: by an outgoing
    connection, or by a starter, which listens for chirp on the loopback while its job runs.
    """
    for port in random.sample(range(LOWEST, _first_of_the_kernels()), TRIES):
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_of_the_kernels() -> int:
    usual = 32_768
    try:
        first = int(_KERNELS_OWN.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return usual
    return first if first >= LOWEST + TRIES else usual
