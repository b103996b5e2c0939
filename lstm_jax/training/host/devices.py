"""Division of trials among devices, each of which runs a program compiled for it alone.

If the compiler partitioned one program for all devices, it would rewrite constants and sums. The
last bits of a trial's numbers would then depend on the number of devices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

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

    Raises:
      ValueError: if the mesh does not have one axis, or has no device of this process.
    """

    mesh: Mesh
    """The devices, of this process or of all processes."""
    batch_size: int
    """Trials side by side on each device."""

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

        def part(position: int, device: Any) -> T:
            trials = slice(position * self.batch_size, (position + 1) * self.batch_size)
            return jax.device_put(jax.tree.map(lambda a: a[..., trials], tree), device)

        process, devices = jax.process_index(), enumerate(self.mesh.devices)
        return [part(i, device) for i, device in devices if device.process_index == process]

    def gather(self, parts: Sequence[T]) -> T:
        """Copy the trials of all devices to arrays on the host, [..., W], on every process."""
        if len(parts) == self.mesh.size:
            parts = jax.device_get(list(parts))
            return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *parts)
        return on_host(jax.tree.map(self._global_array, *parts))

    def _global_array(self, *parts: jax.Array) -> jax.Array:
        """Return the array of all processes from this process's parts."""
        axes = (*(None for _ in parts[0].shape[1:]), *self.mesh.axis_names)
        shape = (*parts[0].shape[:-1], self.width)
        sharding = NamedSharding(self.mesh, P(*axes))
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))
