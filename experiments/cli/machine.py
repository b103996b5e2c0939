"""The machine that a command runs on, as far as JAX must be told of it."""

from __future__ import annotations

import os
import sys

import jax

from lstm_jax.training.host.cpu import configure_cpu


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
