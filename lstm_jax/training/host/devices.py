"""Lanes shared among devices, each of which runs a program that was compiled for it alone.

One program for all devices would let the compiler partition it, which rewrites its constants, fuses
its sums in another way, and so changes the last bits of a trial's numbers with the number of
devices. A program that knows of no other device has the same bits everywhere.
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
    """The devices of a one-dimensional mesh, of this process or of all, each with `batch_size` lanes.

    Arrays with lanes have them on their last axis. On the devices, a pytree of such arrays is a
    list of parts: one, with its own lanes, for each device that is this process's.

    Raises:
      ValueError: if the mesh has not one axis, or none of its devices is this process's.
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
        """W, the lanes of all devices."""
        return self.batch_size * self.mesh.size

    def spread(self, tree: T) -> list[T]:
        """Puts arrays of the host, [..., W], onto the devices, each with its own lanes."""

        def part(place: int, device: Any) -> T:
            lanes = slice(place * self.batch_size, (place + 1) * self.batch_size)
            return jax.device_put(jax.tree.map(lambda a: a[..., lanes], tree), device)

        own = jax.process_index()
        devices = enumerate(self.mesh.devices)
        return [part(place, d) for place, d in devices if d.process_index == own]

    def collect(self, parts: Sequence[T]) -> T:
        """Brings arrays back to the host, whole, [..., W]; on every process."""
        if len(parts) == self.mesh.size:
            parts = jax.device_get(list(parts))
            return jax.tree.map(lambda *lanes: np.concatenate(lanes, axis=-1), *parts)
        return on_host(jax.tree.map(self._global, *parts))

    def _global(self, *parts: jax.Array) -> jax.Array:
        """The array of all processes of which this one has these parts."""
        axes = (*(None for _ in parts[0].shape[1:]), *self.mesh.axis_names)
        shape = (*parts[0].shape[:-1], self.width)
        sharding = NamedSharding(self.mesh, P(*axes))
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))
