"""Settings of JAX for the machine that a command runs on."""

from __future__ import annotations

import os
import sys

import jax

from lstm_jax.training.host.cpu import configure_cpu


def configure(devices: int | None = None) -> None:
    """Set the CPU up for small networks, or warn if JAX has already computed, as in a notebook."""
    try:
        configure_cpu(devices)
    except RuntimeError:
        print(
            "warning: JAX has already computed, so this runs on the devices that it has, and "
            "slower; call lstm_jax.configure_cpu in the first cell of a fresh kernel",
            file=sys.stderr,
        )


def check_platform() -> None:
    """Raise ValueError if JAX_PLATFORMS names a platform that this machine does not have."""
    try:
        jax.devices()
    except RuntimeError as error:
        found = f"{os.environ.get('JAX_PLATFORMS', '')!r}: {str(error).splitlines()[0].rstrip('.')}"
        raise ValueError(
            f"JAX_PLATFORMS must name platforms of this machine, got {found}"
        ) from error
