"""The paper's online training, compiled: one random sequence and one update at a time.

A chunk is the unit of compiled work: several hundred or thousand updates of a batch of B trials.
Sequences are drawn, stopping rules are evaluated and ended trials are frozen inside the chunk.

The random numbers of a trial come from its key, `fold_in(root_key(seed), index)`, and from the
number of the sequence. They do not depend on the other trials, or on when the trial is paused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.stack import Stack
from lstm_jax.cell.validation import as_integer, check_type
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.tasks.task import Data, Example, StreamRule, Task, TestRule, real_steps
from lstm_jax.training.trials import stopping
from lstm_jax.training.trials.prepared_data import draw_sequences
from lstm_jax.training.trials.rule_checks import check_update_rule
from lstm_jax.training.trials.stopping import TestMetrics, Window
from lstm_jax.training.update_rules.base import (
    FROM_TASK,
    AnyModel,
    BatchUpdateRule,
    Metrics,
    subkeys,
    vmap_trials,
    with_fixed_settings,
)
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate
from lstm_jax.training.update_rules.per_step import PerStepUpdate
from lstm_jax.training.update_rules.stored_keys import restore_keys, store_keys

RUNNING, SOLVED, UNSOLVED, NON_FINITE, IDLE = range(5)

# Folded into a trial's key, for each of its uses.
INITIAL_WEIGHTS, TRAINING, TEST, FINAL_TEST = range(4)
# Folded into the root key, in place of a trial's index, for data that trials share.
DATA = 2**32 - 1
# Training sequences per compiled call, where no rule decides it.
CHUNK = 1000
# Metrics count a chunk's sequences in float32, which is exact below MAX_CHUNK, and in int32.
MAX_CHUNK, MAX_SEQUENCES = 2**24, 2**30


class Trials(NamedTuple):
    """The state of B trials; the batch axis is the last axis of every array.

    Attributes:
      keys: [2, B] uint32, the raw data of each trial's PRNG key.
      data: the data of `Task.prepare` that each trial has of its own; see `prepared_data`.
      model: the models, as the `BatchUpdateRule` defines them, with `StoredKey` for PRNG keys.
      window: the last sequences, for a `StreamRule`; None with a `TestRule`.
      status: [B] int32: RUNNING, SOLVED, UNSOLVED, NON_FINITE, or IDLE where a batch is filled up.
      ended_at: [B] int32, training sequences until the trial ended; 0 while it runs.
      first_rule_at: [B] int32, training sequences until `Task.first_rule` was met; 0 if it was not.
    """

    keys: chex.Array
    data: Data
    model: AnyModel
    window: Window | None
    status: chex.Array
    ended_at: chex.Array
    first_rule_at: chex.Array


@dataclasses.dataclass(frozen=True)
class TrainingLoop:
    """The online training of a task by an update rule, as pure functions for `jax.jit`.

    Attributes:
      task: the task.
      update_rule: default: the LSTM's, by the hyperparameters of the task.
      chunk: training sequences per chunk, in [1, 2^24]: the interval of the task's tests, if it has
        any (default: that interval or the one of the task's construction, otherwise 1000).

    Raises:
      ValueError: if `chunk` is out of its range, or the task and its hyperparameters do not fit.
    """

    task: Task
    update_rule: BatchUpdateRule[AnyModel] = FROM_TASK
    chunk: int = FROM_TASK

    def __post_init__(self) -> None:
        check_type("task", self.task, Task)
        if self.update_rule is None:
            object.__setattr__(self, "update_rule", make_update_rule(self.task))
        if self.task.prepare is None:
            self.check_update_rule()
        if self.chunk is None:
            task = self.task
            chunk = task.construction_interval if task.sequential_construction else CHUNK
            chunk = task.rule.interval if isinstance(task.rule, TestRule) else chunk
            object.__setattr__(self, "chunk", chunk)
        object.__setattr__(self, "chunk", as_integer("chunk", self.chunk, 1, MAX_CHUNK + 1))
        as_integer("max_sequences", self.task.max_sequences, 1, MAX_SEQUENCES + 1)
        for rule in (self.task.rule, self.task.first_rule):
            if isinstance(rule, TestRule) and rule.interval != self.chunk:
                interval = f"the task's test interval, {rule.interval}"
                raise ValueError(f"chunk must be {interval}, got {self.chunk}")

    def check_update_rule(self) -> None:
        """Raise ValueError if the update rule, unless it is the LSTM's, cannot train the task."""
        if not isinstance(self.update_rule, PerSequenceUpdate):
            check_update_rule(self.task, self.update_rule)

    @with_fixed_settings
    def init_trials(self, keys: jax.Array, data: Data, *values: TrialHyperparameters) -> Trials:
        """Return B trials before their first sequence, from their keys and data as in `Trials`.

        `values`, if given, go to the `init` of the LSTM's update rule.
        """
        rule, shape = self.task.rule, keys.shape[1:]
        return Trials(
            keys=keys,
            data=data,
            model=store_keys(self.update_rule.init(subkeys(keys, INITIAL_WEIGHTS), *values), 1),
            window=stopping.init_window(rule, shape) if isinstance(rule, StreamRule) else None,
            status=jnp.full(shape, RUNNING, jnp.int32),
            ended_at=jnp.zeros(shape, jnp.int32),
            first_rule_at=jnp.zeros(shape, jnp.int32),
        )

    @with_fixed_settings
    def run_chunk(
        self, trials: Trials, num_sequences: jax.Array, shared: Data = None
    ) -> tuple[Trials, Metrics]:
        """Train every running trial, after `num_sequences`, on up to `chunk` more sequences.

        `shared` are the data of `Task.prepare` that all trials share.
        """
        task = self.task
        draw = draw_sequences(
            task.sample, task.training_set, trials.keys, trials.data, shared, TRAINING
        )
        trials = trials._replace(model=restore_keys(trials.model, 1))
        stop = jnp.minimum(num_sequences + self.chunk, task.max_sequences)
        if trials.window is not None:
            trials = trials._replace(window=stopping.refresh(trials.window))

        def any_running(carry: tuple) -> jax.Array:
            trials, _, n = carry
            return (n < stop) & jnp.any(trials.status == RUNNING)

        def train_step(carry: tuple) -> tuple:
            trials, metrics, n = carry
            trials, new_metrics = self._train_step(trials, n, draw(n))
            return trials, jax.tree.map(jnp.add, metrics, new_metrics), n + 1

        zeros = jnp.zeros_like(trials.status)
        carry = (trials, Metrics(zeros, zeros.astype(jnp.float32), zeros), num_sequences)
        trials, metrics, _ = jax.lax.while_loop(any_running, train_step, carry)
        running = trials.status == RUNNING
        trials = trials._replace(model=self.update_rule.end_chunk(trials.model, metrics, running))
        trials = self._test_rules(trials, stop, shared)
        out_of_budget = (trials.status == RUNNING) & (stop >= task.max_sequences)
        trials = trials._replace(model=store_keys(trials.model, 1))
        return _end(trials, out_of_budget, UNSOLVED, stop), metrics

    @with_fixed_settings
    def final_test(self, trials: Trials, shared: Data = None) -> TestMetrics:
        """Test the model of every trial on `task.test_size` fresh sequences."""
        trials = trials._replace(model=restore_keys(trials.model, 1))
        return self._test(trials, shared, subkeys(trials.keys, FINAL_TEST), self.task.test_size)

    def _train_step(self, trials: Trials, n: jax.Array, example: Example) -> tuple[Trials, Metrics]:
        """Train every running trial on its sequence number n."""
        running = trials.status == RUNNING
        model, outputs = self.update_rule.train_step(trials.model, example, n, running)
        trials = trials._replace(model=model)

        correct, error, _ = self._evaluate(outputs, example)
        metrics = Metrics(
            sequences=running.astype(jnp.int32),
            error=jnp.where(running, error, 0),
            wrong=(running & ~correct).astype(jnp.int32),
        )
        finite = jnp.isfinite(error)
        if isinstance(self.task.rule, StreamRule) and trials.window is not None:
            window = stopping.record(trials.window, n, ~correct, error)
            solved = running & finite & stopping.stream_rule_met(self.task.rule, window)
            trials = _end(trials._replace(window=window), solved, SOLVED, n + 1)
        return _end(trials, running & ~finite, NON_FINITE, n + 1), metrics

    def _evaluate(
        self, outputs: jax.Array, example: Example
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return, [B] each: whether it is correct, its mean absolute and its mean squared error."""
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

    def _test_rules(self, trials: Trials, n: jax.Array, shared: Data) -> Trials:
        """Test the running trials after n sequences if the task's rules need it, and apply them."""
        rule, first_rule = self.task.rule, self.task.first_rule
        if not isinstance(rule, TestRule):
            return trials
        keys = subkeys(trials.keys, TEST, n)
        running = trials.status == RUNNING
        limit = max(r.max_wrong for r in (rule, first_rule) if r is not None)
        is_open = lambda test: running & (test.wrong <= limit)
        test = self._test(trials, shared, keys, rule.size, is_open)
        if first_rule is not None:
            met = running & (trials.first_rule_at == 0) & stopping.test_rule_met(first_rule, test)
            trials = trials._replace(first_rule_at=jnp.where(met, n, trials.first_rule_at))
        return _end(trials, running & stopping.test_rule_met(rule, test), SOLVED, n)

    def _test(
        self,
        trials: Trials,
        shared: Data,
        keys: jax.Array,
        size: int,
        is_open: Callable[[TestMetrics], jax.Array] | None = None,
    ) -> TestMetrics:
        """Test every trial on `size` sequences, one after the other.

        The test ends early once `is_open`, of the sums so far, is false for every trial.
        """
        sample = self.task.sample_test or self.task.sample
        draw = draw_sequences(sample, self.task.test_set, keys, trials.data, shared)

        def is_needed(carry: tuple[jax.Array, TestMetrics]) -> jax.Array:
            i, sums = carry
            return (i < size) & (True if is_open is None else jnp.any(is_open(sums)))

        def body(carry: tuple[jax.Array, TestMetrics]) -> tuple[jax.Array, TestMetrics]:
            i, sums = carry
            example = draw(i)
            outputs = self.update_rule.outputs(trials.model, example)
            correct, error, squared_error = self._evaluate(outputs, example)
            return i + 1, TestMetrics(
                sums.wrong + (~correct).astype(jnp.int32),
                sums.error + error,
                sums.squared_error + squared_error,
            )

        zeros = jnp.zeros(trials.status.shape, jnp.float32)
        start = (jnp.int32(0), TestMetrics(jnp.zeros_like(trials.status), zeros, zeros))
        _, sums = jax.lax.while_loop(is_needed, body, start)
        return sums._replace(error=sums.error / size, squared_error=sums.squared_error / size)


def make_update_rule(task: Task) -> BatchUpdateRule[AnyModel]:
    """Make the LSTM's update rule by the hyperparameters of a task."""
    if not isinstance(task.architecture, (Architecture, Stack)):
        name = type(task.architecture).__name__
        raise ValueError(f"update_rule must be given for a task whose architecture is a {name}")
    if task.hyperparameters.update_after != "step":
        return PerSequenceUpdate(task)
    if task.hyperparameters.gradient != "truncated":
        raise ValueError('update_after="step" needs gradient="truncated"')
    return PerStepUpdate(task)


def _end(trials: Trials, which: jax.Array, status: int, n: jax.Array) -> Trials:
    return trials._replace(
        status=jnp.where(which, status, trials.status),
        ended_at=jnp.where(which, n, trials.ended_at),
    )
