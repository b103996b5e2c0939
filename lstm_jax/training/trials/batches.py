"""Waves: trials side by side, as wide as the compiled program, and how they are packed.

A trial has a place in its run, which stays, and a lane in its wave, which does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from lstm_jax.training.trials.best import Best
from lstm_jax.training.trials.training_loop import IDLE, RUNNING, Trials

T = TypeVar("T")


class TrainState(NamedTuple):
    """Where L trials stand."""

    trials: Trials
    """As they are now."""
    best: Best
    """As they were at their best."""


class HostBatch(NamedTuple):
    """Some trials of a run, on the host."""

    places: np.ndarray
    """[L] int64, of its trials in the run."""
    standing: TrainState
    """Of these trials."""


class DeviceBatch(NamedTuple):
    """The trials that the devices run at one time."""

    places: np.ndarray
    """Of the trials in its first lanes, in the run; the other lanes are idle."""
    parts: list[TrainState]
    """The lanes of each device of this process, there."""


def split(places: np.ndarray, width: int) -> list[np.ndarray]:
    """In stretches of `width`, the last one shorter.

    >>> split(np.arange(5), 2)
    [array([0, 1]), array([2, 3]), array([4])]
    """
    return [places[i : i + width] for i in range(0, len(places), width)]


def part_ended(group: HostBatch) -> tuple[HostBatch, HostBatch]:
    """The trials that have ended, and those that run."""
    is_running = np.asarray(group.standing.trials.status == RUNNING)
    return _choose(group, ~is_running), _choose(group, is_running)


def merge(groups: Sequence[HostBatch]) -> HostBatch:
    """The trials of all groups, in order."""
    places = np.concatenate([group.places for group in groups])
    join = lambda *arrays: np.concatenate(arrays, axis=-1)
    standing = jax.tree.map(join, *(group.standing for group in groups))
    return _choose(HostBatch(places, standing), np.argsort(places))


def _choose(group: HostBatch, lanes: np.ndarray) -> HostBatch:
    return HostBatch(group.places[lanes], take(group.standing, lanes))


def idle_behind(standing: TrainState, lanes: np.ndarray, width: int) -> TrainState:
    """Some lanes of `standing`, followed by idle ones up to `width`."""
    taken = take(standing, pad(lanes, width))
    is_idle = np.arange(width) >= len(lanes)
    status = np.where(is_idle, IDLE, taken.trials.status).astype(np.int32)
    return taken._replace(trials=taken.trials._replace(status=status))


def pad(lanes: np.ndarray, width: int) -> np.ndarray:
    """Fills up with the first one, for lanes that will be idle.

    >>> pad(np.array([7, 5]), 4)
    array([7, 5, 7, 7])
    """
    return np.pad(lanes, (0, width - len(lanes)), constant_values=lanes[0])


def take(tree: T, lanes: int | np.ndarray) -> T:
    """One lane, or some, of every array, on the host."""
    return jax.tree.map(lambda array: np.asarray(array)[..., lanes], tree)
