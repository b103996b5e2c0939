"""Several processes, on one machine or many, that run the same program by `jax.distributed`.

Every process runs the same code with the same arguments on its devices. The first process alone
writes files and reads the clock, and all processes receive the outcome.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import socket
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

T = TypeVar("T")

AUTO = "auto"


def connect(
    coordinator: str, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Connect this process to the others; call it before JAX computes anything.

    Afterwards, `jax.devices()` are the devices of all processes, in order. When a process dies, the
    others end: at once, or after JAX's timeout of 100 seconds if its whole machine fails.

    Args:
      coordinator: "HOST:PORT", an address of the first process with a free port; or "auto" to
        detect everything from the cluster (Slurm, Open MPI, Kubernetes, TPU).
      num_processes: the number of processes; not with "auto".
      process_id: the index of this process, from 0; not with "auto".

    Raises:
      ValueError: if an argument is wrong, the port is not free, or no cluster is detected.
    """
    _check(coordinator, num_processes, process_id)
    # With the service, SIGTERM would not end a process.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address=None if coordinator == AUTO else coordinator,
            num_processes=num_processes,
            process_id=process_id,
            cluster_detection_method=None if coordinator == AUTO else "deactivate",
        )
    except ValueError as error:
        if coordinator != AUTO:
            raise
        raise ValueError(f"coordinator must be HOST:PORT, no cluster was found: {error}") from error


def _check(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    """Raise ValueError for arguments on which JAX would wait for minutes, or crash."""
    if coordinator == AUTO:
        if (num_processes, process_id) != (None, None):
            got = f"got {num_processes} and {process_id}"
            names = "num_processes and process_id"
            raise ValueError(f"{names} must not be given with the coordinator 'auto', {got}")
        return
    address = re.fullmatch(r"([^\s/]+):(\d{1,5})", coordinator)
    if address is None or not 1 <= int(address[2]) <= 65535:
        raise ValueError(f"coordinator must be HOST:PORT or 'auto', got {coordinator!r}")
    if num_processes is None or num_processes < 1:
        raise ValueError(f"num_processes must be at least 1, got {num_processes}")
    if process_id is None or not 0 <= process_id < num_processes:
        limits = f"at least 0 and below {num_processes}"
        raise ValueError(f"process_id must be {limits}, got {process_id}")
    host, port = address.groups()
    allowed = "a known host"
    try:
        socket.getaddrinfo(host.strip("[]"), port)
        if process_id == 0:
            allowed = "a free port"
            socket.create_server(("", int(port))).close()
    except OSError as error:
        got = f"got {coordinator}: {error.strerror}"
        raise ValueError(f"coordinator must be at {allowed}, {got}") from error


def is_first_process() -> bool:
    """Return whether this is the process that writes files and prints."""
    return jax.process_index() == 0


def on_host(tree: T) -> T:
    """Copy the whole arrays of a pytree to the host; all processes must make this call."""

    def gather(array: object) -> object:
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            return _collective(multihost_utils.process_allgather, array, tiled=True)
        return array

    return jax.device_get(jax.tree.map(gather, tree))


def on_first_process(compute: Callable[[], T]) -> T:
    """Compute something on the first process alone, and return it on every process.

    What `compute` raises is raised on every process; they are then disconnected, so that each can
    end by itself.
    """
    if not jax.distributed.is_initialized():
        return compute()
    results: list[T] = []
    error = None
    if is_first_process():
        try:
            results.append(compute())
        except Exception as caught:
            error = caught
    results, error = _broadcast((results, error))
    if error is not None:
        jax.distributed.shutdown()
        raise error
    return results[0]


def check_same(what: str, value: object) -> None:
    """Raise ValueError, on every process, if `value`, plain data, differs between processes."""
    if not jax.distributed.is_initialized():
        return
    digest = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint8)
    digests = _collective(multihost_utils.process_allgather, digest)
    if (digests != digests[0]).any():
        jax.distributed.shutdown()
        raise ValueError(f"{what} must be the same on all processes, here {value}")


def any_process(value: bool) -> bool:
    """Return whether a value is true on any process; all must make this call."""
    if not jax.distributed.is_initialized():
        return value
    return bool(np.any(_collective(multihost_utils.process_allgather, np.asarray(value))))


def _broadcast(message: T) -> T:
    """Return the first process's message, the only thing that is unpickled, on every process."""
    packed = np.frombuffer(pickle.dumps(message), np.uint8)
    size = int(_collective(multihost_utils.broadcast_one_to_all, np.asarray(packed.size)))
    if not is_first_process():
        packed = np.zeros(size, np.uint8)
    return pickle.loads(_collective(multihost_utils.broadcast_one_to_all, packed).tobytes())


def _collective(fun: Callable[..., np.ndarray], *args: object, **options: bool) -> np.ndarray:
    """Call a collective of JAX; its failure becomes a ConnectionError."""
    try:
        return fun(*args, **options)
    except (ValueError, RuntimeError) as error:  # JAX raises either
        raise ConnectionError(f"another process has ended: {str(error).splitlines()[0]}") from error
