"""Division of trials among devices, each of which runs a program compiled for it alone.

If the compiler partitioned one program for all devices, it would rewrite constants and sums. The
last bits of a trial's numbers would then depend on the number of devices.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lstm_jax.training.host.processes import on_host

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a one-dimensional mesh, each with `batch_size` trials; W trials in all.

    Trials are on the last axis of every array. On the devices, a pytree of such arrays is a list of
    parts, one for each device of this process.

    Attributes:
      mesh: the devices, of this process or of all processes.
      batch_size: trials side by side on each device.
    """

    mesh: Mesh
    batch_size: int

    def __post_init__(self) -> None:
        if len(self.mesh.axis_names) != 1:
            raise ValueError(f"mesh must have one axis, got {self.mesh.axis_names}")
        if not self.mesh.local_devices:
            raise ValueError(f"mesh must have a device of process {jax.process_index()}, got none")

    @property
    def width(self) -> int:
        """W, the number of trials on all devices."""
        return self.batch_size * self.mesh.size

    def scatter(self, tree: T) -> list[T]:
        """Copy each device's trials from arrays on the host, [..., W], to the device."""
        parts = []
        for i, device in enumerate(self.mesh.devices):
            if device.process_index == jax.process_index():
                trials = slice(i * self.batch_size, (i + 1) * self.batch_size)
                part = jax.tree.map(lambda array, at=trials: array[..., at], tree)
                parts.append(jax.device_put(part, device))
        return parts

    def replicate(self, tree: T) -> list[T]:
        """Copy arrays to each device of this process."""
        return [jax.device_put(tree, device) for device in self.mesh.local_devices]

    def gather(self, parts: Sequence[T]) -> T:
        """Copy the trials of all devices to arrays on the host, [..., W], on every process."""
        if len(parts) == self.mesh.size:
            parts = jax.device_get(list(parts))
            return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *parts)
        return on_host(jax.tree.map(self._global_array, *parts))

    def _global_array(self, *parts: jax.Array) -> jax.Array:
        axes = (*(None for _ in parts[0].shape[1:]), *self.mesh.axis_names)
        shape = (*parts[0].shape[:-1], self.width)
        sharding = NamedSharding(self.mesh, P(*axes))
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))


class Program(Generic[T]):
    """A function of one device's trials, compiled for each device at its first call."""

    def __init__(self, fun: Callable[..., T]) -> None:
        self._jitted = jax.jit(fun)
        self._compiled: dict[Hashable, jax.stages.Compiled] = {}

    def __call__(self, arguments: Sequence[tuple]) -> list[T]:
        """Call the function with the arguments of each device, without waiting for results."""
        if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
            return [self._jitted(*args) for args in arguments]
        arguments_of = {_device_and_shapes(args): args for args in arguments}
        missing = [at for at in arguments_of if at not in self._compiled]
        if missing:
            lowered = [self._jitted.lower(*arguments_of[at]) for at in missing]
            # In parallel threads: the compiler does not hold Python's lock.
            with concurrent.futures.ThreadPoolExecutor(len(missing)) as threads:
                compiled = threads.map(jax.stages.Lowered.compile, lowered)
                self._compiled |= zip(missing, compiled, strict=True)
        return [self._compiled[at](*args) for at, args in arguments_of.items()]


def _device_and_shapes(arguments: tuple) -> Hashable:
    """Return what an executable is compiled for: a device, and arrays of these shapes."""
    leaves, structure = jax.tree.flatten(arguments)
    (device,) = leaves[0].devices()
    return device, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
