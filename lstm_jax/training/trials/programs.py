"""Compiled programs of a run of trials, one per device.

A program that is compiled for one device alone computes the same bits on any number of devices.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import jax

from lstm_jax.tasks.task import Data
from lstm_jax.training.trials.stopping import TestMetrics
from lstm_jax.training.trials.train_state import Best, TrainState, init_train_state, update_best
from lstm_jax.training.trials.training_loop import TrainingLoop, Trials
from lstm_jax.training.update_rules.base import Metrics

T = TypeVar("T")


class Program(Generic[T]):
    """A function of one device's trials, compiled once per device at its first call."""

    def __init__(self, fun: Callable[..., T], donate: bool = False) -> None:
        """Wrap a function.

        Args:
          fun: a function of arrays on one device and of scalars.
          donate: whether the memory of its first argument is reused for the result.
        """
        self._jitted = jax.jit(fun, donate_argnums=0 if donate else ())
        self._compiled: dict[object, jax.stages.Compiled] = {}

    def __call__(self, arguments: Sequence[tuple]) -> list[T]:
        """Call the function with the arguments of each device, without waiting for results."""
        by_device = {_device(args): args for args in arguments}
        missing = [device for device in by_device if device not in self._compiled]
        lowered = [self._jitted.lower(*by_device[device]) for device in missing]
        self._compiled |= zip(missing, _compile(lowered), strict=True)
        return [self._compiled[device](*args) for device, args in by_device.items()]


def _device(tree: tuple) -> object:
    """Return the device that all arrays of a pytree are on."""
    (device,) = jax.tree.leaves(tree)[0].devices()
    return device


def _compile(lowered: list[jax.stages.Lowered]) -> list[jax.stages.Compiled]:
    """Compile programs in parallel threads; the compiler does not hold Python's lock."""
    if not lowered:
        return []
    with concurrent.futures.ThreadPoolExecutor(len(lowered)) as threads:
        return list(threads.map(jax.stages.Lowered.compile, lowered))


class Programs(NamedTuple):
    """The programs of a run."""

    init: Program[TrainState]
    """(keys, data) to a `TrainState`."""
    run_chunk: Program[tuple[Trials, Metrics]]
    """(trials, num_sequences) to the trials and a `Metrics`."""
    update_best: Program[Best]
    """(best, model, metrics, num_sequences) to the best; separate, so that it cannot change how
    the chunk is compiled."""
    final_test: Program[TestMetrics]
    """(trials,) to a `TestMetrics`."""


def make_programs(loop: TrainingLoop) -> Programs:
    """Make the programs of one runner, whose batches all have the same size."""

    def init(keys: jax.Array, data: Data) -> TrainState:
        return init_train_state(loop.init_trials(keys, data))

    return Programs(
        init=Program(init),
        run_chunk=Program(loop.run_chunk, donate=True),
        update_best=Program(update_best, donate=True),
        final_test=Program(loop.final_test),
    )
