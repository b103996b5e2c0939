"""The run of a task's trials, on one device or several, until each has ended.

Trials run in batches of a fixed size per device. The compiled program of a trial, and with it every
bit of its numbers, is therefore the same for any number of trials and devices. When the trials that
still run fit into fewer batches, they are repacked.

The devices may belong to several processes (`lstm_jax.training.host.processes`). Each process
computes the trials of its devices, and receives the results of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import chex
import jax
import numpy as np
from jax.sharding import Mesh

from lstm_jax.cell.validation import as_integer, check_type, displayed
from lstm_jax.tasks.task import Data
from lstm_jax.training.host.cpu import default_batch_size
from lstm_jax.training.host.devices import Devices
from lstm_jax.training.trials import records
from lstm_jax.training.trials.prepared_data import prepare_data
from lstm_jax.training.trials.programs import arguments_of, programs_of
from lstm_jax.training.trials.records import Progress, RunState, TrainState, TrialResult
from lstm_jax.training.trials.training_loop import (
    DATA,
    IDLE,
    NON_FINITE,
    RUNNING,
    SOLVED,
    TrainingLoop,
)
from lstm_jax.training.update_rules.base import Metrics, root_key, with_fixed_settings
from lstm_jax.training.update_rules.stored_keys import restore_keys

T = TypeVar("T")


class Batch(NamedTuple):
    """Trials that run side by side on all devices.

    Attributes:
      positions: the positions of its trials in the run; further trials of the batch are idle.
      parts: their train state on each device of this process.
    """

    positions: np.ndarray
    parts: list[TrainState]


class Snapshot(NamedTuple):
    """All that a chunk changes in a run of R trials.

    A runner replaces it as a whole, so that an exception, wherever it falls, leaves the run as
    before a chunk or as after it.

    Attributes:
      num_sequences: training sequences of each trial still running.
      total_sequences: training sequences, summed over all trials.
      status: [R] int32, as `Trials.status`.
      metrics: the metrics of every chunk, [R] each.
      host_state: all trials, on the host; up to date for those that are in no batch.
      batches: the trials that still run.
    """

    num_sequences: int
    total_sequences: int
    status: np.ndarray
    metrics: tuple[Metrics, ...]
    host_state: TrainState
    batches: tuple[Batch, ...]


class TrialRunner:
    """A run of the trials of a task, chunk by chunk.

    Ctrl-C or another exception interrupts a run without harm: `run` called again goes on to the
    same numbers. Runners of training loops that are equal, or differ only in learning rate, initial
    range or gate biases, share their compiled programs.

    >>> from lstm_jax.tasks import make_task
    >>> runner = TrialRunner(TrainingLoop(make_task("6a")), range(3), seed=1)
    >>> runner.num_sequences, runner.finished  # results = runner.run() runs them
    (0, False)

    Attributes:
      loop: the training loop.
      indices: the indices of the R trials.
      devices: the devices, and the number of trials side by side on each.
    """

    def __init__(
        self,
        loop: TrainingLoop,
        indices: Sequence[int],
        *,
        seed: int = 0,
        mesh: Mesh | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Set up all trials before their first sequence.

        Args:
          loop: the training loop.
          indices: the trials, distinct and from 0; a trial's numbers depend on `seed` and its index
            alone.
          seed: the seed of all random numbers, in [0, 2^32).
          mesh: a one-dimensional mesh of the devices that share the trials, of this process or of
            all processes (default: this process's first device).
          batch_size: trials side by side on a device (default: 8, or 24 on a CPU without
            `configure_cpu`). Another number may change the last bits of a trial's numbers, because
            the compiler may vectorise differently.

        Raises:
          ValueError: if an argument is out of its range or of another type.
        """
        check_type("loop", loop, TrainingLoop)
        self.loop = loop
        self.indices = _check_indices(indices)
        mesh = Mesh(jax.local_devices()[:1], ("trials",)) if mesh is None else mesh
        check_type("mesh", mesh, Mesh)
        if batch_size is None:
            batch_size = default_batch_size(mesh.devices.flat[0].platform)
        self.devices = Devices(mesh, as_integer("batch_size", batch_size, 1, 2**20))
        self._programs = programs_of(loop, self.devices.batch_size)
        self._keys, data, shared = _keys_and_data(loop, self.indices, seed)
        self._shared = self.devices.replicate(shared)
        status = np.full(len(self.indices), RUNNING, np.int32)
        self._now = self._snapshot(0, 0, status, (), self._init(data))

    @property
    def num_sequences(self) -> int:
        """Training sequences so far of each trial still running."""
        return self._now.num_sequences

    @property
    def errors(self) -> np.ndarray:
        """[R] float64, mean training errors in the last chunk; NaN for trials that had ended."""
        if not self._now.metrics:
            return np.full(len(self.indices), np.nan)
        sequences, error, _ = map(np.asarray, self._now.metrics[-1])
        return np.where(sequences > 0, error / np.maximum(sequences, 1), np.nan)

    @property
    def finished(self) -> bool:
        """Whether every trial has ended."""
        return not self._now.batches

    def run(self, on_chunk: Callable[[Progress], None] | None = None) -> list[TrialResult]:
        """Run all trials to their end and return the results; call `on_chunk` after every chunk."""
        while not self.finished:
            progress = self.run_chunk()
            if on_chunk is not None:
                on_chunk(progress)
        return self.results()

    def run_chunk(self) -> Progress:
        """Run one chunk of every trial that has not ended."""
        now = self._now
        advanced = [self._advance(batch) for batch in now.batches]  # without waiting for any
        status, metrics = self._gather(advanced)
        num_sequences = min(now.num_sequences + self.loop.chunk, self.loop.task.max_sequences)
        new = Snapshot(
            num_sequences=num_sequences,
            total_sequences=now.total_sequences + int(metrics.sequences.sum(dtype=np.float64)),
            status=status,
            metrics=(*now.metrics, metrics),
            host_state=now.host_state,
            batches=tuple(batch for batch, _ in advanced),
        )
        running = np.flatnonzero(status == RUNNING)
        if len(self._split(running)) < len(new.batches):
            new = self._snapshot(*new[:4], self._train_state(new))
        self._now = new
        return Progress(
            num_sequences=new.num_sequences,
            total_sequences=new.total_sequences,
            trials=len(self.indices),
            running=len(running),
            solved=int(np.sum(status == SOLVED)),
            error=float(metrics.error.sum() / max(metrics.sequences.sum(), 1)),
            max_sequences=self.loop.task.max_sequences,
        )

    def curves(self) -> list[np.ndarray]:
        """Return every trial's learning curve so far, in order, as `TrialResult.curve`."""
        metrics = records.stack_metrics(self._now.metrics, len(self.indices))
        return [records.learning_curve(metrics, position) for position in range(len(self.indices))]

    def results(self) -> list[TrialResult]:
        """Test the current model of every trial, ended or not, on fresh sequences."""
        state, curves, results = self._train_state(self._now), self.curves(), []
        for positions in self._split():
            parts = zip(self._scatter(state, positions), self._shared, strict=True)
            arguments = [(part.trials, shared) for part, shared in parts]
            tests = self.devices.gather(self._programs.final_test(arguments))
            for i, position in enumerate(positions):
                test, (trial, best) = _take(tests, i), _take(state, position)
                ended_at = trial.ended_at if trial.status != RUNNING else self.num_sequences
                result = TrialResult(
                    index=self.indices[position],
                    solved=bool(trial.status == SOLVED),
                    sequences=int(ended_at),
                    finite=bool(trial.status != NON_FINITE),
                    first_rule_sequences=int(trial.first_rule_at) or None,
                    test_wrong=int(test.wrong),
                    test_size=self.loop.task.test_size,
                    test_error=float(test.error),
                    test_squared_error=float(test.squared_error),
                    curve=curves[position],
                    model=restore_keys(trial.model),
                    best_model=restore_keys(best.model),
                    best_error=float(best.error) if best.sequences else np.inf,
                    best_sequences=int(best.sequences),
                )
                results.append(result)
        return results

    def state(self) -> RunState:
        """Return the complete state of the run, for `restore`."""
        trials, best = self._train_state(self._now)
        metrics = records.stack_metrics(self._now.metrics, len(self.indices))
        return RunState(np.array(self.num_sequences), trials, metrics, best)

    def restore(self, state: RunState) -> None:
        """Continue from the state of another runner of the same trials with the same seed.

        A changed state tries other numbers without another compilation, such as a learning rate
        that `optax.inject_hyperparams` keeps in the state of an optimiser of your own.
        """
        if not np.array_equal(state.trials.keys, self._keys):
            raise ValueError(f"state must be of the trials {self.indices} with this runner's seed")
        self._now = self._snapshot(
            int(state.num_sequences),
            int(state.metrics.sequences.sum(dtype=np.float64)),
            np.array(state.trials.status),
            tuple(Metrics(*sums) for sums in zip(*state.metrics, strict=True)),
            TrainState(state.trials, state.best),
        )

    def _split(self, positions: np.ndarray | None = None) -> list[np.ndarray]:
        """Split positions, of all trials by default, into batches; the last may be smaller."""
        positions = np.arange(len(self.indices)) if positions is None else positions
        width = self.devices.width
        return [positions[i : i + width] for i in range(0, len(positions), width)]

    def _init(self, data: Data) -> TrainState:
        """Return all trials before their first sequence, on the host."""
        batches, further = [], self.devices.replicate(arguments_of(self.loop))
        for positions in self._split():
            parts = self.devices.scatter(_take((self._keys, data), self._pad(positions)))
            arguments = [(*part, *values) for part, values in zip(parts, further, strict=True)]
            state = self.devices.gather(self._programs.init(arguments))
            batches.append(_take(state, np.arange(len(positions))))
        return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *batches)

    def _advance(self, batch: Batch) -> tuple[Batch, list[tuple[chex.Array, Metrics]]]:
        """Start one more chunk of a batch; return it with the chunk's status and metrics."""
        n, parts = np.int32(self.num_sequences), batch.parts
        by_part = zip(parts, self._shared, strict=True)
        done = self._programs.run_chunk([(part.trials, n, shared) for part, shared in by_part])
        pairs = zip(parts, done, strict=True)
        best = self._programs.update_best([(p.best, t.model, m, n) for p, (t, m) in pairs])
        parts = [TrainState(trials, b) for (trials, _), b in zip(done, best, strict=True)]
        return Batch(batch.positions, parts), [(trials.status, m) for trials, m in done]

    def _gather(
        self, advanced: Sequence[tuple[Batch, list[tuple[chex.Array, Metrics]]]]
    ) -> tuple[np.ndarray, Metrics]:
        """Wait for a chunk of all batches; return the trials' status and metrics, [R]."""
        all_status = self._now.status.copy()
        sums = np.zeros((len(Metrics._fields), len(self.indices)), np.float32)
        for (positions, _), parts in advanced:
            status, metrics = _take(self.devices.gather(parts), np.arange(len(positions)))
            all_status[positions] = status
            sums[:, positions] = metrics
        return all_status, Metrics(*sums)

    def _train_state(self, now: Snapshot) -> TrainState:
        """Return a copy of the train state of all trials, in order, on the host."""
        state = jax.tree.map(np.array, now.host_state)
        arrays = jax.tree.leaves(state)
        for at, parts in now.batches:
            found = jax.tree.leaves(self.devices.gather(parts))
            for array, values in zip(arrays, found, strict=True):
                array[..., at] = values[..., : len(at)]
        return state

    def _snapshot(
        self,
        num_sequences: int,
        total_sequences: int,
        status: np.ndarray,
        metrics: tuple[Metrics, ...],
        state: TrainState,
    ) -> Snapshot:
        """Return a snapshot with batches of the trials that still run, from all trials' state."""
        split = self._split(np.flatnonzero(status == RUNNING))
        batches = tuple(Batch(at, self._scatter(state, at)) for at in split)
        return Snapshot(num_sequences, total_sequences, status, metrics, state, batches)

    def _scatter(self, state: TrainState, positions: np.ndarray) -> list[TrainState]:
        """Copy trials as a batch to the devices, filled up with idle ones."""
        state = _take(state, self._pad(positions))
        is_idle = np.arange(self.devices.width) >= len(positions)
        status = np.where(is_idle, IDLE, state.trials.status).astype(np.int32)
        return self.devices.scatter(state._replace(trials=state.trials._replace(status=status)))

    def _pad(self, positions: np.ndarray) -> np.ndarray:
        missing = self.devices.width - len(positions)
        return np.pad(positions, (0, missing), constant_values=positions[0])


def _take(tree: T, positions: int | np.ndarray) -> T:
    return jax.tree.map(lambda array: np.asarray(array)[..., positions], tree)


def _check_indices(indices: Sequence[int]) -> list[int]:
    if not isinstance(indices, Iterable):
        numbers = f"range({indices})" if isinstance(indices, int) else "range(20)"
        raise ValueError(f"indices must be numbers, such as {numbers}, got {displayed(indices)}")
    found = [as_integer("each of indices", index, 0, DATA) for index in indices]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"indices must be one or more, and distinct, got {found}")
    return found


@with_fixed_settings
def _keys_and_data(
    loop: TrainingLoop, indices: list[int], seed: int
) -> tuple[np.ndarray, Data, Data]:
    """Return the raw keys of all trials, their axis last, and their data, own and shared."""
    root = root_key(seed)
    keys = [jax.random.fold_in(root, index) for index in indices]
    key_data = np.stack([np.asarray(jax.random.key_data(key)) for key in keys], axis=-1)
    if loop.task.prepare is None:
        return key_data, None, None
    return key_data, *prepare_data(loop.task.prepare, jax.random.fold_in(root, DATA), indices)
