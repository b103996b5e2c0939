"""XLA CPU flags for small loops, and the batch size with and without them."""

from __future__ import annotations

import os
import pathlib

import jax
from absl import logging

from lstm_jax.cell.validation import as_integer

# XLA's CPU backend runs a loop operation by operation, at about 0.3 microseconds each, unless the
# loop's data is smaller than a limit, 1 KiB by default. Then it compiles the whole loop into one
# function, which makes the paper's networks about 5 times as fast.
_SMALL_LOOP = "xla_cpu_small_while_loop_byte_threshold"
SMALL_LOOP_BYTES = 1 << 26

# Trials side by side on a device. Eight float32 fill one AVX2 register. If whole loops are not
# compiled, the cost of each operation is shared by more trials.
BATCH_SIZE, UNCONFIGURED_BATCH_SIZE = 8, 24

CACHED_SECONDS = 0.05  # compilations that take longer are kept in the cache


def configure_cpu(
    num_devices: int | None = None, *, cache: str | os.PathLike[str] | None = None
) -> None:
    """Set `XLA_FLAGS` for fast small networks; call it before JAX computes anything.

    Flags that are already set in the environment keep their values. Other devices ignore them.
    With a cache, a program that an earlier process has compiled is read from a file.

    >>> configure_cpu(num_devices=0)
    Traceback (most recent call last):
    ValueError: num_devices must be an integer of at least 1, got 0

    Args:
      num_devices: the number of CPU devices that JAX makes, to share trials among cores (default:
        one, or as `XLA_FLAGS` says).
      cache: a folder for compiled programs, which may be shared by processes and kept; it is made
        if it does not exist (default: JAX's setting `jax_compilation_cache_dir`).

    Raises:
      ValueError: if `num_devices` is not an integer of at least 1.
      RuntimeError: if JAX has already started its CPU backend, which would ignore the flags.
        Everything works without them, at about half the speed.
    """
    if num_devices is not None:
        as_integer("num_devices", num_devices, 1)
    if cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(cache).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", CACHED_SECONDS)
    flags = os.environ.get("XLA_FLAGS", "")
    missing = []
    if _SMALL_LOOP not in flags:
        missing.append(f"--xla_backend_extra_options={_SMALL_LOOP}={SMALL_LOOP_BYTES}")
    if num_devices is not None and "xla_force_host_platform_device_count" not in flags:
        missing.append(f"--xla_force_host_platform_device_count={num_devices}")
    if not missing:
        return
    try:
        from jax._src import xla_bridge  # JAX has no public function for it

        has_started = xla_bridge.backends_are_initialized()
    except (ImportError, AttributeError):  # this version of JAX does not say
        has_started = False
    if has_started:
        raise RuntimeError(
            "configure_cpu must be called before JAX computes anything: restart Python (in a "
            "notebook: the runtime) and call it first, or go on without it, at about half the speed"
        )
    os.environ["XLA_FLAGS"] = " ".join([flags, *missing]).strip()


def default_batch_size(platform: str) -> int:
    """Return the default number of trials side by side; log a warning if it is unconfigured."""
    if platform != "cpu" or _SMALL_LOOP in os.environ.get("XLA_FLAGS", ""):
        return BATCH_SIZE
    logging.log_first_n(
        logging.WARNING,
        "Trials run at about half the speed: call lstm_jax.configure_cpu() before JAX computes "
        "anything (in a notebook: in the first cell, after a restart). Without it, the program "
        f"computes {UNCONFIGURED_BATCH_SIZE} trials at once, not {BATCH_SIZE}; idle ones fill up.",
        1,
    )
    return UNCONFIGURED_BATCH_SIZE
