"""The machine that a command runs on: its devices, and the other processes it is to meet."""

from __future__ import annotations

import os
import socket
import sys
import threading

import jax

from lstm_jax.training.runtime import configure_cpu

PATIENCE = 10.0  # seconds until a host must have been found


def configure(devices: int | None = None) -> None:
    """Sets the CPU up for small networks; where JAX runs already, as in a notebook, says so."""
    try:
        configure_cpu(devices)
    except RuntimeError:
        print(
            "warning: JAX has computed before, so that this runs on the devices that it has, and "
            "slower; lstm_jax.configure_cpu in the first cell of a fresh kernel helps",
            file=sys.stderr,
        )


def check_platform() -> None:
    """Raises ValueError if JAX_PLATFORMS names what is not to be found."""
    try:
        jax.devices()
    except RuntimeError as error:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"JAX_PLATFORMS must name platforms of this machine, got {platforms!r}: {reason}"
        ) from error


def check_host(coordinator: str) -> None:
    """Raises ValueError if the host of HOST:PORT is not known, within seconds."""
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        return  # `processes.connect` says what is wrong
    found: list[object] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host.strip("[]"), int(port)))
        except (OSError, UnicodeError, OverflowError) as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not found:
        raise ValueError(f"--coordinator names a host that was not found, got {coordinator!r}")
    if isinstance(found[0], Exception):
        raise ValueError(
            f"--coordinator must name a host that is known, got {coordinator!r}: {found[0]}"
        )
