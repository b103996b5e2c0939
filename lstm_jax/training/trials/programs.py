"""What is compiled of a run of trials, for every device by itself."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import jax

from lstm_jax.tasks.task import Data
from lstm_jax.training.trials.batches import TrainState
from lstm_jax.training.trials.best import Best, keep_best, not_yet
from lstm_jax.training.trials.stopping import TestMetrics
from lstm_jax.training.trials.training_loop import TrainingLoop, Trials
from lstm_jax.training.update_rules.base import Metrics

T = TypeVar("T")


class Program(Generic[T]):
    """A function of a device's own lanes, compiled at its first call, once for each device."""

    def __init__(self, fun: Callable[..., T], donate: bool = False) -> None:
        """Takes the function.

        Args:
          fun: of arrays on one device, and of scalars.
          donate: whether the memory of its first argument is used for the result.
        """
        self._jitted = jax.jit(fun, donate_argnums=0 if donate else ())
        self._compiled: dict[object, jax.stages.Compiled] = {}

    def __call__(self, arguments: Sequence[tuple]) -> list[T]:
        """Calls it with the arguments of each device, and waits for no result."""
        by_device = {_device(own): own for own in arguments}
        missing = [device for device in by_device if device not in self._compiled]
        lowered = [self._jitted.lower(*by_device[device]) for device in missing]
        self._compiled |= zip(missing, _compile(lowered), strict=True)
        return [self._compiled[device](*own) for device, own in by_device.items()]


def _device(tree: tuple) -> object:
    """The device that all arrays of a pytree are on."""
    (device,) = jax.tree.leaves(tree)[0].devices()
    return device


def _compile(lowered: list[jax.stages.Lowered]) -> list[jax.stages.Compiled]:
    """Side by side: the compiler needs no Python."""
    if not lowered:
        return []
    with concurrent.futures.ThreadPoolExecutor(len(lowered)) as threads:
        return list(threads.map(jax.stages.Lowered.compile, lowered))


class Programs(NamedTuple):
    """All of a run's."""

    init: Program[TrainState]
    """(keys, data, is_idle) to a `TrainState`."""
    run_chunk: Program[tuple[Trials, Metrics]]
    """(trials, presented) to the trials and a `Metrics`."""
    keep_best: Program[Best]
    """(best, model, report, presented) to the best."""
    final_test: Program[TestMetrics]
    """(trials,) to a `TestMetrics`."""


def make_programs(loop: TrainingLoop) -> Programs:
    """The programs of one runner, all of whose arrays have one shape."""

    def init(keys: jax.Array, data: Data, is_idle: jax.Array) -> TrainState:
        trials = loop.init_trials(keys, data, is_idle)
        return TrainState(trials, not_yet(trials.model, len(is_idle)))

    return Programs(
        init=Program(init),
        run_chunk=Program(loop.run_chunk, donate=True),
        keep_best=Program(keep_best, donate=True),
        final_test=Program(loop.final_test),
    )
