"""Runs the trials of a task: many, on one device or many, until each has ended.

Trials run in waves of a fixed width, so many lanes a device, so that the compiled program a trial
runs in, and with it every bit of its numbers, is the same whatever the number of trials and of
devices. Trials that have ended leave: when the others fit into fewer waves, they are packed anew.

The devices may be those of several processes (`lstm_jax.training.host.processes`), of which each then
runs the same lines: each computes the lanes of its own devices, and hears of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import chex
import jax
import numpy as np
from jax.sharding import Mesh

from lstm_jax.cell.validation import as_integer, check_type, displayed
from lstm_jax.tasks.task import Data
from lstm_jax.training.host.cpu import default_batch_size
from lstm_jax.training.host.devices import Devices
from lstm_jax.training.trials.batches import (
    DeviceBatch,
    HostBatch,
    TrainState,
    idle_behind,
    merge,
    pad,
    part_ended,
    split,
    take,
)
from lstm_jax.training.trials.programs import make_programs
from lstm_jax.training.trials.records import (
    Progress,
    RunState,
    TrialResult,
    learning_curve,
    make_result,
    stack_reports,
)
from lstm_jax.training.trials.stopping import TestMetrics
from lstm_jax.training.trials.training_loop import DATA, RUNNING, SOLVED, TrainingLoop
from lstm_jax.training.update_rules.base import Metrics
from lstm_jax.training.update_rules.keys import root_key, with_fixed_prng


class TrialRunner:
    """Runs trials round by round.

    >>> import dataclasses
    >>> from lstm_jax.tasks import make_task
    >>> from lstm_jax.training.recipes.recipe import make_recipe
    >>> task = dataclasses.replace(make_task("6a"), max_sequences=1, test_size=1)
    >>> runner = TrialRunner(TrainingLoop(task), range(3), seed=1)
    >>> runner.num_sequences, runner.finished  # results = runner.run() runs them
    (0, False)

    Attributes:
      indices: which trials.
      presented: training sequences so far, to each trial still running.
      devices: where they run, and how many lanes each device has.
      learning: what is learned, and how.
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
        """Sets all trials up before their first sequence.

        Args:
          learning: what is learned, and how.
          indices: which trials, from 0; a trial's numbers depend on `seed` and its index alone.
          seed: of all random numbers, in [0, 2^32).
          mesh: a one-dimensional device mesh to share the trials among, of devices of this process
            or of all; None: this process's first device.
          batch_size: how many trials run side by side on a device; None: 8, or 24 on a CPU that
            `configure_cpu` has not configured. Another number may change the last bits of a
            trial's numbers, as the compiler may vectorise differently; `devices.batch_size` tells it.

        Raises:
          ValueError: if there are no trials, one is no whole number, negative or double, `seed` or
            `batch_size` is no whole number in its range, or `loop` or `mesh` is something else.
        """
        check_type("loop", loop, TrainingLoop)
        self.indices = _check_indices(indices)
        self.num_sequences = 0
        mesh = Mesh(jax.local_devices()[:1], ("trials",)) if mesh is None else mesh
        check_type("mesh", mesh, Mesh)
        if batch_size is None:
            batch_size = default_batch_size(mesh.devices.flat[0].platform)
        self.devices = Devices(mesh, as_integer("batch_size", batch_size, 1, 2**20))
        self.loop = loop
        self._programs = make_programs(loop)
        self._keys, data = _keys_and_data(loop, self.indices, seed)
        self._waves = [DeviceBatch(places, self._init(places, data)) for places in self._split()]
        self._ended: list[HostBatch] = []
        self._status = np.full(len(self.indices), RUNNING)
        self._rounds: list[Metrics] = []  # [R] each
        self._trial_sequences = 0

    @property
    def errors(self) -> np.ndarray:
        """[R] float64, every trial's mean training error in the last round; NaN: it had ended."""
        if not self._rounds:
            return np.full(len(self.indices), np.nan)
        sequences, error = self._rounds[-1].sequences, np.asarray(self._rounds[-1].error)
        return np.where(sequences > 0, error / np.maximum(sequences, 1), np.nan)

    @property
    def finished(self) -> bool:
        """Whether every trial has ended."""
        return not self._waves

    def run(self, on_chunk: Callable[[Progress], None] | None = None) -> list[TrialResult]:
        """Runs all trials to their end, telling `on_chunk` of every round."""
        while not self.finished:
            progress = self.run_chunk()
            if on_chunk is not None:
                on_chunk(progress)
        return self.results()

    def run_chunk(self) -> Progress:
        """Runs one chunk of every trial that has not ended."""
        advanced = [self._run_chunk(wave) for wave in self._waves]  # before any is waited for
        self._waves = [wave for wave, _ in advanced]
        report = self._hear(advanced)
        self._rounds.append(report)
        self._trial_sequences += _sequences(report)
        limit = self.loop.task.max_sequences
        self.num_sequences = min(self.num_sequences + self.loop.chunk, limit)
        running = np.sum(self._status == RUNNING)
        if running == 0 or -(-running // self.devices.width) < len(self._waves):
            self._pack(merge(self._in_waves()))
        return self._progress(report)

    def curves(self) -> list[np.ndarray]:
        """Every trial's learning curve so far, in order, as `TrialResult.curve`."""
        reports = stack_reports(self._rounds, len(self.indices))
        return [learning_curve(reports, place) for place in range(len(self.indices))]

    def results(self) -> list[TrialResult]:
        """Tests every trial's network as it now is, ended or not, on fresh sequences."""
        standing, curves = self._standing(), self.curves()
        tested = [(places, self._final_test(standing, places)) for places in self._split()]
        return [
            make_result(
                index=self.indices[place],
                standing=take(standing, place),
                score=take(score, lane),
                curve=curves[place],
                test_size=self.loop.task.test_size,
                num_sequences=self.num_sequences,
            )
            for places, score in tested
            for lane, place in enumerate(places)
        ]

    def state(self) -> RunState:
        """All of the run, to be kept and handed to `restore`."""
        trials, best = self._standing()
        reports = stack_reports(self._rounds, len(self.indices))
        return RunState(np.array(self.num_sequences), trials, reports, best)

    def restore(self, state: RunState) -> None:
        """Goes on from where another runner of the same trials stood.

        Raises:
          ValueError: if they were other trials, or had another seed.
        """
        if not np.array_equal(state.trials.keys, self._keys):
            raise ValueError(f"state must be of the trials {self.indices} with this runner's seed")
        self.num_sequences = int(state.num_sequences)
        self._status = np.array(state.trials.status)
        self._rounds = [Metrics(*sums) for sums in zip(*state.reports, strict=True)]
        self._trial_sequences = _sequences(state.reports)
        self._ended = []
        places = np.arange(len(self.indices))
        self._pack(HostBatch(places, TrainState(state.trials, state.best)))

    def _split(self) -> list[np.ndarray]:
        """The places of all trials, in waves."""
        return split(np.arange(len(self.indices)), self.devices.width)

    def _init(self, places: np.ndarray, data: Data) -> list[TrainState]:
        """The trials of a wave before their first sequence."""
        width = self.devices.width
        keys, data = take((self._keys, data), pad(places, width))
        is_idle = np.arange(width) >= len(places)
        return self._programs.init(self.devices.spread((keys, data, is_idle)))

    def _run_chunk(self, wave: DeviceBatch) -> tuple[DeviceBatch, list[tuple[chex.Array, Metrics]]]:
        """A wave after one more chunk, and what is told of it: its status and its report."""
        n = np.int32(self.num_sequences)
        done = self._programs.run_chunk([(part.trials, n) for part in wave.parts])
        pairs = zip(wave.parts, done, strict=True)
        best = self._programs.keep_best([(p.best, t.model, report, n) for p, (t, report) in pairs])
        parts = [TrainState(trials, b) for (trials, _), b in zip(done, best, strict=True)]
        return DeviceBatch(wave.places, parts), [(trials.status, report) for trials, report in done]

    def _hear(
        self, advanced: Sequence[tuple[DeviceBatch, list[tuple[chex.Array, Metrics]]]]
    ) -> Metrics:
        """Waits for the waves; returns the report of their round, [R] float32."""
        sums = np.zeros((len(Metrics._fields), len(self.indices)), np.float32)
        for wave, parts in advanced:
            lanes = np.arange(len(wave.places))
            status, report = take(self.devices.collect(parts), lanes)
            self._status[wave.places] = status
            sums[:, wave.places] = report
        return Metrics(*sums)

    def _pack(self, group: HostBatch) -> None:
        """Sets aside the trials that have ended, and makes waves of the others."""
        ended, running = part_ended(group)
        self._ended.append(ended)
        self._waves = [
            DeviceBatch(running.places[lanes], self._spread(running.standing, lanes))
            for lanes in split(np.arange(len(running.places)), self.devices.width)
        ]

    def _spread(self, standing: TrainState, lanes: np.ndarray) -> list[TrainState]:
        """Some trials as a wave."""
        return self.devices.spread(idle_behind(standing, lanes, self.devices.width))

    def _in_waves(self) -> list[HostBatch]:
        """The trials in waves, on the host."""
        return [
            HostBatch(
                wave.places, take(self.devices.collect(wave.parts), np.arange(len(wave.places)))
            )
            for wave in self._waves
        ]

    def _standing(self) -> TrainState:
        """Where all trials stand, in order."""
        return merge(self._ended + self._in_waves()).standing

    def _final_test(self, standing: TrainState, places: np.ndarray) -> TestMetrics:
        """Of one wave, in its lanes."""
        parts = [(part.trials,) for part in self._spread(standing, places)]
        return self.devices.collect(self._programs.final_test(parts))

    def _progress(self, report: Metrics) -> Progress:
        return Progress(
            num_sequences=self.num_sequences,
            total_sequences=self._trial_sequences,
            trials=len(self.indices),
            running=int(np.sum(self._status == RUNNING)),
            solved=int(np.sum(self._status == SOLVED)),
            error=float(report.error.sum() / max(report.sequences.sum(), 1)),
        )


def _check_indices(indices: Sequence[int]) -> list[int]:
    """The trials' numbers as ints."""
    if not isinstance(indices, Iterable):
        raise ValueError(f"indices must be whole numbers, got {displayed(indices)}")
    found = [as_integer("each of indices", index, 0, DATA) for index in indices]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"indices must be one or more, and distinct, got {found}")
    return found


@with_fixed_prng
def _keys_and_data(loop: TrainingLoop, indices: list[int], seed: int) -> tuple[np.ndarray, Data]:
    """Every trial's key and its `Task.prepare`d data, lanes last."""
    root = root_key(seed)
    keys = [jax.random.fold_in(root, index) for index in indices]
    key_data = np.stack([np.asarray(jax.random.key_data(key)) for key in keys], axis=-1)
    prepare = loop.task.prepare
    if prepare is None:
        return key_data, None
    data = [prepare(jax.random.fold_in(root, DATA), index) for index in indices]
    return key_data, jax.tree.map(lambda *a: np.stack(a, axis=-1), *data)


def _sequences(report: Metrics) -> int:
    """Training sequences in all."""
    return int(report.sequences.sum(dtype=np.float64))
