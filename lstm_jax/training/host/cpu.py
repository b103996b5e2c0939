"""How JAX's CPU backend is told to run small loops fast, and what is done where it was not told."""

from __future__ import annotations

import os

from absl import logging

from lstm_jax.cell.validation import as_integer

# XLA's CPU backend runs a loop operation by operation, at some 0.3 microseconds each, unless the
# loop's data is "small": then it compiles the whole loop into one function. At the sizes of the
# paper's networks that is a factor of 5 (BUILD_NOTES, "Speed"). The default limit is 1 KiB.
_SMALL_LOOP = "xla_cpu_small_while_loop_byte_threshold"
SMALL_LOOP_BYTES = 1 << 26

# Trials side by side on a device. Eight float32 fill one AVX2 register, and twice as many lanes
# take more than twice as long, if whole loops are compiled; else each operation costs the more the
# fewer lanes share it (BUILD_NOTES).
BATCH_SIZE, UNCONFIGURED_BATCH_SIZE = 8, 24


def configure_cpu(num_devices: int | None = None, small_loop_bytes: int = SMALL_LOOP_BYTES) -> None:
    """Sets `XLA_FLAGS` for fast small networks; to be called before JAX computes anything.

    What the environment's `XLA_FLAGS` already says stays as it is. On a GPU or TPU nothing changes.

    >>> configure_cpu(num_devices=0)
    Traceback (most recent call last):
    ValueError: num_devices must be an integer of at least 1, got 0

    Args:
      num_devices: how many CPU devices JAX should make, to share trials among cores; None: one,
        or what `XLA_FLAGS` says.
      small_loop_bytes: up to how much data a loop is compiled into one function. Large networks,
        whose matrix products want XLA's library routines, are the faster with a small limit.

    Raises:
      ValueError: if a number is not positive.
      RuntimeError: if JAX has already started its CPU backend, so that flags would be ignored. All
        works without them, at about half the speed.
    """
    for name, value in (("num_devices", num_devices), ("small_loop_bytes", small_loop_bytes)):
        if value is not None:
            as_integer(name, value, 1)
    flags = os.environ.get("XLA_FLAGS", "")
    wanted = []
    if _SMALL_LOOP not in flags:
        wanted.append(f"--xla_backend_extra_options={_SMALL_LOOP}={small_loop_bytes}")
    if num_devices is not None and "xla_force_host_platform_device_count" not in flags:
        wanted.append(f"--xla_force_host_platform_device_count={num_devices}")
    if not wanted:
        return
    if _backend_has_started():
        raise RuntimeError(
            "configure_cpu must be called before JAX computes anything: restart Python (in a "
            "notebook: the runtime) and call it first, or go on without it, at about half the speed"
        )
    os.environ["XLA_FLAGS"] = " ".join([flags, *wanted]).strip()


def default_batch_size(platform: str) -> int:
    """How many trials run side by side on a device, where nobody says it.

    On a CPU that `configure_cpu` has not told to compile whole loops, they are more, and a line in
    the log says so once, since the number of lanes may decide the last bits of a trial's numbers.
    """
    if platform != "cpu" or _SMALL_LOOP in os.environ.get("XLA_FLAGS", ""):
        return BATCH_SIZE
    logging.log_first_n(
        logging.WARNING,
        f"{UNCONFIGURED_BATCH_SIZE} trials side by side, not {BATCH_SIZE}: JAX's CPU was not "
        "configured. lstm_jax.configure_cpu(), called before JAX computes anything (in a notebook: "
        "in the first cell, after a restart), makes trials about twice as fast.",
        1,
    )
    return UNCONFIGURED_BATCH_SIZE


def _backend_has_started() -> bool:
    """Whether it is too late for flags; False where this version of JAX does not tell."""
    try:
        from jax._src import xla_bridge  # no public way to ask without starting it

        return xla_bridge.backends_are_initialized()
    except (ImportError, AttributeError):
        return False
