"""Runs the trials of a task: many, on one device or many, until each has ended.

Trials run in waves of a fixed width, `lanes` a device, so that the compiled program a trial runs
in, and with it every bit of its numbers, is the same whatever the number of trials and devices.
Trials that have ended leave: when the others fit into fewer waves, they are packed together.

The devices may be those of several processes (`lstm_jax.training.processes`), of which each then
runs the same lines: each computes the lanes of its own devices, and hears of all others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lstm_jax.training.learning import DATA, IDLE, NON_FINITE, RUNNING, SOLVED, Learning, Trials
from lstm_jax.training.method import Report
from lstm_jax.training.processes import on_host
from lstm_jax.training.stopping import Score

# One AVX2 register of float32; twice as many lanes take more than twice as long (BUILD_NOTES).
LANES = 8


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """What became of one trial."""

    index: int
    solved: bool
    sequences: int  # training sequences until it ended
    finite: bool  # False: its outputs became NaN, and it was stopped
    first_rule_sequences: int | None  # until `Task.first_rule` was met
    test_wrong: int
    test_size: int
    test_error: float  # mean absolute error of an output
    test_squared_error: float  # mean squared error of an output
    curve: np.ndarray  # [chunks, 3]: sequences presented, mean error and fraction wrong of a chunk
    model: Any  # what it had learned, in its method's way, as NumPy arrays


class Progress(NamedTuple):
    """Where a run stands after a round: one chunk for every trial that was still running."""

    presented: int  # training sequences, to each trial still running
    trial_sequences: int  # the same, summed over all trials
    trials: int
    running: int
    solved: int
    error: float  # mean over the round's training sequences


class RunState(NamedTuple):
    """Everything a run needs to go on where it stood; a pytree of NumPy arrays."""

    presented: np.ndarray  # [] int64
    trials: Trials  # lanes: all R trials, in order
    reports: Report  # [rounds, R]


class TrialRunner:
    """Runs trials round by round."""

    def __init__(
        self,
        learning: Learning,
        indices: Sequence[int],
        *,
        seed: int = 0,
        mesh: Mesh | None = None,
        lanes: int = LANES,
    ) -> None:
        """Sets all trials up before their first sequence.

        Args:
          learning: what is learned, and how.
          indices: which trials; a trial's numbers depend on `seed` and its index alone.
          seed: of all random numbers.
          mesh: a one-dimensional device mesh to share the trials among, of devices of this process
            or of all; None: this process's first device.
          lanes: how many trials run side by side on a device. Another width may change the last
            bits of a trial's numbers, as the compiler may vectorise differently.

        Raises:
          ValueError: if there are no trials, one is negative or double, or `lanes` is not positive.
        """
        self.indices = list(indices)
        if not self.indices or min(self.indices) < 0 or len(set(indices)) < len(self.indices):
            raise ValueError(f"trials must be distinct and not negative, got {self.indices}")
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, got {lanes}")
        self._learning = learning
        self._compiled = _Compiled(learning, mesh or Mesh(jax.local_devices()[:1], ("trials",)))
        self._width = lanes * self._compiled.mesh.size
        self._reports: list[Report] = []  # [R] each
        self.presented = 0
        self._keys, data = _keys_and_data(learning, self.indices, seed)
        self._waves = []
        for places in _split(range(len(self.indices)), self._width):
            keys_of_wave, data_of_wave = _take((self._keys, data), _pad(places, self._width))
            idle = np.arange(self._width) >= len(places)
            trials = self._compiled.init_trials(keys_of_wave, data_of_wave, idle)
            self._waves.append(_Wave(places, trials))
        self._ended: list[_Wave] = []

    @property
    def finished(self) -> bool:
        """Whether every trial has ended."""
        return not self._waves

    def run(self, on_round: Callable[[Progress], None] | None = None) -> list[TrialResult]:
        """Runs all trials to their end, telling `on_round` of every round."""
        while not self.finished:
            progress = self.round()
            if on_round is not None:
                on_round(progress)
        return self.results()

    def round(self) -> Progress:
        """Runs one chunk of every trial that has not ended."""
        for wave in self._waves:  # all are under way before any is waited for
            wave.run_chunk(self._compiled, self.presented)
        self.presented += self._learning.chunk
        self.presented = min(self.presented, self._learning.task.max_sequences)
        num_trials = len(self.indices)
        round_report = Report(*np.zeros((len(Report._fields), num_trials), np.float32))
        for wave in self._waves:
            for total, part in zip(round_report, on_host(wave.report), strict=True):
                total[wave.places] = part[: len(wave.places)]
        self._reports.append(round_report)
        running = sum(int((wave.status() == RUNNING).sum()) for wave in self._waves)
        if running == 0 or -(-running // self._width) < len(self._waves):
            self._repack()
        statuses = [wave.status() for wave in self._waves + self._ended]
        return Progress(
            presented=self.presented,
            trial_sequences=int(sum(report.sequences.sum() for report in self._reports)),
            trials=num_trials,
            running=running,
            solved=int(sum((status == SOLVED).sum() for status in statuses)),
            error=float(round_report.error.sum() / max(round_report.sequences.sum(), 1)),
        )

    def results(self) -> list[TrialResult]:
        """Tests every trial's network as it now is, ended or not, on fresh sequences."""
        trials = self.state().trials
        places = range(len(self.indices))
        scores = []
        for some in _split(places, self._width):
            score = self._compiled.final_test(_idle_behind(trials, some, self._width))
            scores.append(_take(on_host(score), list(range(len(some)))))
        score = _concatenate(scores)
        return [self._result(place, _take(trials, place), _take(score, place)) for place in places]

    def state(self) -> RunState:
        """All of the run, to be kept and handed to `restore`."""
        waves = self._waves + self._ended
        places = [place for wave in waves for place in wave.places]
        trials = _concatenate([wave.trials_alone() for wave in waves])
        order = np.argsort(places)
        if self._reports:
            reports = jax.tree.map(lambda *rounds: np.stack(rounds), *self._reports)
        else:
            nothing = np.zeros((0, len(self.indices)), np.float32)
            reports = Report(nothing, nothing, nothing)
        return RunState(np.array(self.presented), _take(trials, order), reports)

    def restore(self, state: RunState) -> None:
        """Goes on from where another runner of the same trials stood.

        Raises:
          ValueError: if they were other trials, or had another seed.
        """
        if not np.array_equal(state.trials.keys, self._keys):
            raise ValueError(f"state must be of the trials {self.indices} with this runner's seed")
        self.presented = int(state.presented)
        rounds = state.reports.sequences.shape[0]
        self._reports = [jax.tree.map(lambda a, i=i: a[i], state.reports) for i in range(rounds)]
        self._ended = []
        self._waves = [_Wave(list(range(len(self.indices))), state.trials)]
        self._repack()

    def _repack(self) -> None:
        """Sets aside the trials that have ended, and packs the others into fewer waves."""
        places = np.array([place for wave in self._waves for place in wave.places])
        trials = _concatenate([wave.trials_alone() for wave in self._waves])
        is_running = trials.status == RUNNING
        ended = np.flatnonzero(~is_running)
        if ended.size:
            self._ended.append(_Wave(places[ended].tolist(), _take(trials, ended)))
        self._waves = [
            _Wave(places[some].tolist(), _idle_behind(trials, some, self._width))
            for some in _split(np.flatnonzero(is_running).tolist(), self._width)
        ]

    def _result(self, place: int, trial: Trials, score: Score) -> TrialResult:
        """The result of one trial, from its own lane of everything."""
        rounds = [[sums[place] for sums in report] for report in self._reports]
        rounds = np.array(rounds, np.float32).reshape(-1, len(Report._fields))
        rounds = rounds[rounds[:, 0] > 0]  # those before the trial's end
        curve = np.column_stack([rounds[:, 0].cumsum(), rounds[:, 1:] / rounds[:, :1]])
        return TrialResult(
            index=self.indices[place],
            solved=bool(trial.status == SOLVED),
            sequences=int(trial.ended_at) if trial.status != RUNNING else self.presented,
            finite=bool(trial.status != NON_FINITE),
            first_rule_sequences=int(trial.first_rule_at) or None,
            test_wrong=int(score.wrong),
            test_size=self._learning.task.test_size,
            test_error=float(score.error),
            test_squared_error=float(score.squared_error),
            curve=curve,
            model=trial.model,
        )


class _Wave:
    """Trials side by side, at most as many as the compiled program is wide."""

    def __init__(self, places: list[int], trials: Trials) -> None:
        self.places = list(places)  # of its first lanes, in the run's order; the others are idle
        self.trials = trials
        self.report: Report | None = None

    def run_chunk(self, compiled: _Compiled, presented: int) -> None:
        self.trials, self.report = compiled.run_chunk(self.trials, jnp.int32(presented))

    def status(self) -> np.ndarray:
        return on_host(self.trials.status)[: len(self.places)]

    def trials_alone(self) -> Trials:
        """Its trials on the host, without the idle lanes."""
        return _take(on_host(self.trials), np.arange(len(self.places)))


class _Compiled:
    """The compiled functions of `Learning`, sharded over a mesh: lanes on the last axis."""

    def __init__(self, learning: Learning, mesh: Mesh) -> None:
        self.mesh = mesh
        (self._axis,) = mesh.axis_names
        self._init = self._shard(learning.init_trials)
        self._run_chunk = self._shard(learning.run_chunk, num_lane_arguments=1, donate=True)
        self._final_test = self._shard(learning.final_test)

    def init_trials(self, keys: Any, data: Any, is_idle: Any) -> Trials:
        return self._init(keys, data, is_idle)

    def run_chunk(self, trials: Trials, presented: jax.Array) -> tuple[Trials, Report]:
        return self._run_chunk(trials, presented)

    def final_test(self, trials: Trials) -> Score:
        return self._final_test(trials)

    def _shard(
        self, fun: Callable, num_lane_arguments: int | None = None, donate: bool = False
    ) -> Callable:
        """Compiles `fun` so that each device runs its own lanes; other arguments are shared."""

        def sharded(*arguments: Any) -> Any:
            lane_arguments = arguments[:num_lane_arguments]
            shared = arguments[len(lane_arguments) :]
            in_specs = (*map(self._specs, lane_arguments), *(P() for _ in shared))
            shapes = jax.eval_shape(fun, *arguments)
            return jax.shard_map(
                fun,
                mesh=self.mesh,
                in_specs=in_specs,
                out_specs=self._specs(shapes),
                check_vma=False,  # nothing is communicated, so there is nothing to check
            )(*arguments)

        compiled = jax.jit(sharded, donate_argnums=0 if donate else ())

        def call(*arguments: Any) -> Any:
            lane_arguments = arguments[:num_lane_arguments]
            placed = jax.tree.map(self._place, lane_arguments)
            return compiled(*placed, *arguments[len(lane_arguments) :])

        return call

    def _place(self, array: Any) -> jax.Array:
        """Puts this process's lanes of an array, if they are not there, onto its devices."""
        if isinstance(array, jax.Array):  # came from here
            return array
        sharding = NamedSharding(self.mesh, self._specs(array))
        return jax.make_array_from_callback(array.shape, sharding, lambda lanes: array[lanes])

    def _specs(self, tree: Any) -> Any:
        return jax.tree.map(lambda a: P(*(None,) * (a.ndim - 1), self._axis), tree)


def _keys_and_data(learning: Learning, indices: list[int], seed: int) -> tuple[Any, Any]:
    """Every trial's key and its `Task.prepare`d data, lanes last."""
    root = jax.random.key(seed)
    keys = [jax.random.fold_in(root, index) for index in indices]
    key_data = np.stack([np.asarray(jax.random.key_data(key)) for key in keys], axis=-1)
    prepare = learning.task.prepare
    if prepare is None:
        return key_data, None
    data = [prepare(jax.random.fold_in(root, DATA), index) for index in indices]
    return key_data, jax.tree.map(lambda *a: np.stack(a, axis=-1), *data)


def _split(items: Sequence, size: int) -> list[list[int]]:
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def _pad(places: Sequence[int], width: int) -> list[int]:
    """Fills up with the first place: its lanes will be idle."""
    return [*places, *[places[0]] * (width - len(places))]


def _idle_behind(trials: Trials, places: Sequence[int], width: int) -> Trials:
    """The trials at `places`, followed by idle lanes."""
    taken = _take(trials, _pad(places, width))
    is_idle = np.arange(width) >= len(places)
    return taken._replace(status=np.where(is_idle, IDLE, taken.status).astype(np.int32))


def _take(tree: Any, lanes: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a)[..., lanes], tree)


def _concatenate(trees: list) -> Any:
    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1), *trees)
