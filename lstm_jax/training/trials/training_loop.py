"""The paper's online learning, compiled: one random sequence, one update, many trials at once.

A chunk is the unit of compiled work: some hundred to some thousand updates, made without a word
to the host. Sequences are generated inside it, stopping rules are evaluated inside it, and a
trial that has ended is frozen inside it. Trials are lanes (`lstm_jax.cell.lanes`): the last
axis of every array in `Trials`.

A trial's random numbers come from its own key, `fold_in(key(seed), trial)`, and the number of the
sequence, so they do not depend on which trials run beside it, nor on when it is paused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, cast

import chex
import jax
import jax.numpy as jnp

from lstm_jax.cell.validation import as_integer
from lstm_jax.tasks.task import Data, Example, StreamRule, Task, TestRule, in_turn, real_steps
from lstm_jax.training.trials.stopping import (
    TestMetrics,
    Window,
    init_window,
    record,
    refresh,
    stream_rule_met,
    test_rule_met,
)
from lstm_jax.training.update_rules.base import AnyModel, BatchUpdateRule, Metrics, vmap_trials
from lstm_jax.training.update_rules.keys import as_key, with_fixed_prng
from lstm_jax.training.update_rules.select import make_update_rule

RUNNING, SOLVED, UNSOLVED, NON_FINITE, IDLE = range(5)

# What a trial's key is folded with, for each of its uses.
INITIAL_WEIGHTS, TRAINING, TEST, FINAL_TEST = range(4)
# What the root key is folded with, beside the trials' indices, for data that trials share.
DATA = 2**32 - 1
# Training sequences per compiled call, where no rule decides it.
CHUNK = 1000
# A report counts a chunk's sequences in float32, which is exact below this; and all in int32.
MAX_CHUNK, MAX_SEQUENCES = 2**24, 2**30


class Trials(NamedTuple):
    """L trials side by side; the lanes are the last axis of every array."""

    keys: chex.Array
    """[2, L] uint32, the raw data of each trial's PRNG key."""
    data: Data
    """What all sequences of a trial share, from `Task.prepare`; None if that is None."""
    model: AnyModel
    """What has been learned, in the way of the trials' `BatchUpdateRule`."""
    window: Window | None
    """What a `StreamRule` needs to know of the last sequences; None with a `TestRule`."""
    status: chex.Array
    """[L] int32, one of RUNNING, SOLVED, UNSOLVED, NON_FINITE, and IDLE for a lane without one."""
    ended_at: chex.Array
    """[L] int32, training sequences until the trial ended, 0 while it runs."""
    first_rule_at: chex.Array
    """[L] int32, training sequences until `Task.first_rule` was met, 0 if it was not."""


@dataclasses.dataclass(frozen=True)
class TrainingLoop:
    """How the trials of a task learn: what the compiled functions are made from.

    Raises:
      ValueError: if the chunk or the task's `max_sequences` is no whole number in its range, at
        most 2^24 and 2^30, or a `TestRule` asks for tests inside a chunk.
    """

    task: Task
    """What is learned, and when it is."""
    update_rule: BatchUpdateRule[AnyModel] = cast("BatchUpdateRule[AnyModel]", None)
    """How weights change, the LSTM's rule or a baseline's; None: by the task's hyperparameters."""
    chunk: int = cast("int", None)
    """Training sequences per chunk, in [1, 2^24]; None: the interval of the task's tests or of its
    construction, or else 1000."""

    def __post_init__(self) -> None:
        if self.update_rule is None:
            object.__setattr__(self, "update_rule", make_update_rule(self.task))
        if self.chunk is None:
            object.__setattr__(self, "chunk", default_chunk(self.task))
        as_integer("chunk", self.chunk, 1, MAX_CHUNK + 1)
        as_integer("max_sequences", self.task.max_sequences, 1, MAX_SEQUENCES + 1)
        for rule in (self.task.rule, self.task.first_rule):
            if isinstance(rule, TestRule) and rule.interval != self.chunk:
                raise ValueError(
                    f"chunk must be the task's test interval, {rule.interval}, got {self.chunk}"
                )

    @with_fixed_prng
    def init_trials(self, keys: jax.Array, data: Data, is_idle: jax.Array) -> Trials:
        """L trials before their first sequence.

        Args:
          keys: [2, L] uint32, see `Trials`.
          data: see `Trials`.
          is_idle: [L] bool, lanes that hold no trial.
        """
        rule, shape = self.task.rule, is_idle.shape
        return Trials(
            keys=keys,
            data=data,
            model=self.update_rule.init(
                vmap_trials(lambda key: _subkey(key, INITIAL_WEIGHTS))(keys)
            ),
            window=init_window(rule, shape) if isinstance(rule, StreamRule) else None,
            status=jnp.where(is_idle, IDLE, RUNNING).astype(jnp.int32),
            ended_at=jnp.zeros(shape, jnp.int32),
            first_rule_at=jnp.zeros(shape, jnp.int32),
        )

    @with_fixed_prng
    def run_chunk(self, trials: Trials, num_sequences: jax.Array) -> tuple[Trials, Metrics]:
        """Presents up to `chunk` more training sequences to every running trial.

        Args:
          trials: of which all that run have been presented the same number of sequences.
          presented: int32, that number.

        Returns:
          The trials and what to tell of them.
        """
        training_set = _of_lanes(self.task.training_set, trials.data)
        stop = jnp.minimum(num_sequences + self.chunk, self.task.max_sequences)
        if trials.window is not None:
            trials = trials._replace(window=refresh(trials.window))

        def goes_on(carry: tuple) -> jax.Array:
            trials, _, n = carry
            return (n < stop) & jnp.any(trials.status == RUNNING)

        def train_step(carry: tuple) -> tuple:
            trials, report, n = carry
            trials, outcome = self._train_step(trials, n, training_set)
            return trials, jax.tree.map(jnp.add, report, outcome), n + 1

        count = jnp.zeros_like(trials.status)
        report = Metrics(count, count.astype(jnp.float32), count)
        trials, report, _ = jax.lax.while_loop(goes_on, train_step, (trials, report, num_sequences))
        running = trials.status == RUNNING
        trials = trials._replace(model=self.update_rule.end_chunk(trials.model, report, running))
        trials = self._test_rules(trials, stop)
        out_of_budget = (trials.status == RUNNING) & (stop >= self.task.max_sequences)
        return _end(trials, out_of_budget, UNSOLVED, stop), report

    @with_fixed_prng
    def final_test(self, trials: Trials) -> TestMetrics:
        """Tests every trial's network as it is on `task.test_size` fresh sequences."""
        keys = vmap_trials(lambda key: _subkey(key, FINAL_TEST))(trials.keys)
        return self._test(trials, keys, self.task.test_size)

    def _train_step(
        self, trials: Trials, n: jax.Array, training_set: Example | None
    ) -> tuple[Trials, Metrics]:
        """Draws training sequence number n of every running trial, and learns from it."""
        running = trials.status == RUNNING
        if training_set is not None:
            example = in_turn(training_set, n)
        else:
            example = vmap_trials(
                lambda key, data: self.task.sample(jax.random.fold_in(_key(key, TRAINING), n), data)
            )(trials.keys, trials.data)
        model, outputs = self.update_rule.train_step(trials.model, example, n, running)
        trials = trials._replace(model=model)

        correct, error, _ = self._judge(outputs, example)
        report = Metrics(
            sequences=running.astype(jnp.int32),
            error=jnp.where(running, error, 0),
            wrong=(running & ~correct).astype(jnp.int32),
        )
        finite = jnp.isfinite(error)
        if isinstance(self.task.rule, StreamRule) and trials.window is not None:
            window = record(trials.window, n, ~correct, error)
            solved = running & finite & stream_rule_met(self.task.rule, window)
            trials = _end(trials._replace(window=window), solved, SOLVED, n + 1)
        return _end(trials, running & ~finite, NON_FINITE, n + 1), report

    def _judge(
        self, outputs: jax.Array, example: Example
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Per trial: whether it is correct, its mean absolute and its mean squared error, [L]."""
        differences = outputs - example.true_targets
        if self.task.error_at == "every_step":
            at_steps = real_steps(example)
            differences = jnp.where(at_steps[:, None], differences, 0)
            differences = differences.reshape(-1, differences.shape[-1])
            count = example.length * outputs.shape[1]
        else:
            count = jnp.full_like(example.length, outputs.shape[0])
        count = count.astype(jnp.float32)
        error = jnp.abs(differences).sum(0) / count
        squared_error = (differences * differences).sum(0) / count
        return vmap_trials(self.task.is_correct)(outputs, example), error, squared_error

    def _test_rules(self, trials: Trials, n: jax.Array) -> Trials:
        """Pauses training for a test where a rule of the task asks for one."""
        rule, first_rule = self.task.rule, self.task.first_rule
        if not isinstance(rule, TestRule):
            return trials
        keys = vmap_trials(lambda key: jax.random.key_data(jax.random.fold_in(_key(key, TEST), n)))(
            trials.keys
        )
        running = trials.status == RUNNING
        most = max(a_rule.max_wrong for a_rule in (rule, first_rule) if a_rule is not None)
        score = self._test(trials, keys, rule.size, lambda score: running & (score.wrong <= most))
        if first_rule is not None:
            met = running & (trials.first_rule_at == 0) & test_rule_met(first_rule, score)
            trials = trials._replace(first_rule_at=jnp.where(met, n, trials.first_rule_at))
        return _end(trials, running & test_rule_met(rule, score), SOLVED, n)

    def _test(
        self,
        trials: Trials,
        keys: jax.Array,
        size: int,
        goes_on: Callable[[TestMetrics], jax.Array] | None = None,
    ) -> TestMetrics:
        """Presents `size` test sequences to every trial, one after the other.

        Ends early where `goes_on`, of the sums so far, is false for every trial.
        """
        task, shape = self.task, trials.status.shape
        sample = task.sample_test or task.sample
        test_set = _of_lanes(task.test_set, trials.data)

        def draw(i: jax.Array) -> Example:
            if test_set is not None:
                return in_turn(test_set, i)
            draw_one = lambda key, data: sample(_key(key, i), data)
            return vmap_trials(draw_one)(keys, trials.data)

        def is_needed(carry: tuple[jax.Array, TestMetrics]) -> jax.Array:
            i, score = carry
            return (i < size) & (True if goes_on is None else jnp.any(goes_on(score)))

        def body(carry: tuple[jax.Array, TestMetrics]) -> tuple[jax.Array, TestMetrics]:
            i, score = carry
            example = draw(i)
            outputs = self.update_rule.outputs(trials.model, example)
            correct, error, squared_error = self._judge(outputs, example)
            return i + 1, TestMetrics(
                score.wrong + (~correct).astype(jnp.int32),
                score.error + error,
                score.squared_error + squared_error,
            )

        zeros = jnp.zeros(shape, jnp.float32)
        start = (jnp.int32(0), TestMetrics(jnp.zeros(shape, jnp.int32), zeros, zeros))
        _, score = jax.lax.while_loop(is_needed, body, start)
        return score._replace(error=score.error / size, squared_error=score.squared_error / size)


def default_chunk(task: Task) -> int:
    """Returns the number of training sequences between two decisions of a task's rules."""
    if isinstance(task.rule, TestRule):
        return task.rule.interval
    return task.construction_interval if task.sequential_construction else CHUNK


def _of_lanes(make_set: Callable[[Data], Example] | None, data: Data) -> Example | None:
    """A fixed set of sequences for every lane, the batch axis first; None if there is none."""
    return None if make_set is None else vmap_trials(make_set)(data)


def _key(key_data: jax.Array, use: jax.Array | int) -> jax.Array:
    """A trial's key for one of its uses."""
    return jax.random.fold_in(as_key(key_data), use)


def _subkey(key_data: jax.Array, use: jax.Array | int) -> jax.Array:
    """The raw data of a trial's key for one of its uses."""
    return jax.random.key_data(_key(key_data, use))


def _end(trials: Trials, which: jax.Array, status: int, n: jax.Array) -> Trials:
    """Ends the trials `which` [L] after n sequences, with `status`."""
    return trials._replace(
        status=jnp.where(which, status, trials.status),
        ended_at=jnp.where(which, n, trials.ended_at),
    )
