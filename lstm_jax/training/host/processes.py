"""Several processes, on one machine or many, that run one program: `jax.distributed` does it all.

Every process runs the same lines, with the same arguments, on its own devices. What only one may
do, such as writing files or looking at the clock, the first one does, and all hear what came of it.
On one process, each of these functions is next to nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

T = TypeVar("T")

AUTO = "auto"


def connect(
    coordinator: str, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins this process to the others; to be called before JAX computes anything.

    Afterwards `jax.devices()` are those of all processes, in order. When one dies, the others end:
    at once when its connections are closed, after JAX's 100 seconds without a sign of life when a
    whole machine falls silent.

    Args:
      coordinator: "HOST:PORT", where the first process can be reached by the others: any free port
        of its machine. "auto": all is found out from the cluster (Slurm, Open MPI, Kubernetes,
        TPU), and the numbers are not given.
      num_processes: how many there are.
      process_id: the number of this one, from 0.

    Raises:
      ValueError: if an argument is missing, wrong or not to be given, the host has no address, the
        port is not free, or there is no cluster to be found.
    """
    _check(coordinator, num_processes, process_id)
    # Else a process that is told to end, by SIGTERM, would only take note of it.
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
    if coordinator == AUTO:
        if (num_processes, process_id) != (None, None):
            raise ValueError(
                "num_processes and process_id must not be given with the coordinator 'auto', got "
                f"{num_processes} and {process_id}"
            )
        return
    address = re.fullmatch(r"[^\s/]+:(\d{1,5})", coordinator)
    if address is None or not 1 <= int(address[1]) <= 65535:
        raise ValueError(f"coordinator must be HOST:PORT or 'auto', got {coordinator!r}")
    if num_processes is None or num_processes < 1:
        raise ValueError(f"num_processes must be at least 1, got {num_processes}")
    if process_id is None or not 0 <= process_id < num_processes:
        raise ValueError(
            f"process_id must be at least 0 and below {num_processes}, got {process_id}"
        )
    _check_address(coordinator, is_own=process_id == 0)


def _check_address(coordinator: str, is_own: bool) -> None:
    """What JAX would wait minutes for, or crash of."""
    host, _, port = coordinator.rpartition(":")
    try:
        socket.getaddrinfo(host.strip("[]"), port)
    except OSError as error:
        raise ValueError(
            f"coordinator must be at a known host, got {coordinator}: {error.strerror}"
        ) from error
    if not is_own:
        return
    try:
        socket.create_server(("", int(port))).close()
    except OSError as error:
        raise ValueError(
            f"coordinator must be at a free port, got {coordinator}: {error.strerror}"
        ) from error


def is_first_process() -> bool:
    """Whether this is the process that writes files and prints."""
    return jax.process_index() == 0


def on_host(tree: T) -> T:
    """The arrays of a pytree, each whole, as NumPy arrays; on every process that calls."""

    def whole(array: object) -> object:
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            with _others_answer():
                return multihost_utils.process_allgather(array, tiled=True)
        return array

    return jax.device_get(jax.tree.map(whole, tree))


def on_first_process(compute: Callable[[], T]) -> T:
    """Computes something on the first process alone, and returns it on every process.

    Raises:
      Exception: on every process, what `compute` raised; they then no longer belong together, so
        that each can end by itself.
      ConnectionError: if another process has ended.
    """
    if not jax.distributed.is_initialized():
        return compute()
    result, error = None, None
    if is_first_process():
        try:
            result = compute()
        except Exception as caught:
            error = caught
    result, error = _tell((result, error))
    if error is not None:
        jax.distributed.shutdown()
        raise error
    return result


def check_same(what: str, value: object) -> None:
    """Raises ValueError, on every process, if `value`, plain data, is not the same on all."""
    if not jax.distributed.is_initialized():
        return
    digest = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint8)
    with _others_answer():
        digests = multihost_utils.process_allgather(digest)
    if (digests != digests[0]).any():
        jax.distributed.shutdown()
        raise ValueError(f"{what} must be the same on all processes, here {value}")


def any_process(value: bool) -> bool:
    """Whether a value is true on any process; all make this call.

    Raises:
      ConnectionError: if another process has ended.
    """
    if not jax.distributed.is_initialized():
        return value
    with _others_answer():
        return bool(np.any(multihost_utils.process_allgather(np.asarray(value))))


def _tell(message: object) -> Any:
    """What the first process says, on every process.

    Nothing but the first process's own words, over JAX's connection, is ever unpickled.
    """
    packed = np.frombuffer(pickle.dumps(message), np.uint8)
    with _others_answer():
        size = int(multihost_utils.broadcast_one_to_all(np.asarray(packed.size)))
        if not is_first_process():
            packed = np.zeros(size, np.uint8)
        return pickle.loads(multihost_utils.broadcast_one_to_all(packed).tobytes())


@contextlib.contextmanager
def _others_answer() -> Iterator[None]:
    """Says in words what the failure of a collective means."""
    try:
        yield
    except (ValueError, RuntimeError) as error:  # JAX raises either
        raise ConnectionError(f"another process has ended: {str(error).splitlines()[0]}") from error
