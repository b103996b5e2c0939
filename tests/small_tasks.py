"""Tasks that compile and finish in seconds, and runners that compile each of them once."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task, within
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.trials.programs import Programs, make_programs
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials import runner as trials
from lstm_jax.training.trials.stopping import init_window
from lstm_jax.training.trials.training_loop import TRAINING, TrainingLoop, Trials
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

MAX_LENGTH = 4


def _latch(key: jax.Array, data: Any = None) -> Example:
    """The first symbol, 0 or 1, is the target 2 or 3 steps later; then comes noise, 2 or 3."""
    del data
    words = jax.random.bits(key, (MAX_LENGTH + 1,), jnp.uint32) >> 9
    bits = (words % 2).astype(jnp.int32)
    symbols = bits[:MAX_LENGTH] + jnp.array([0, 2, 2, 2], jnp.int32)
    targets = bits[:1].astype(jnp.float32)
    return Example(symbols, targets, targets, 3 + bits[-1])


def _copy(key: jax.Array, data: Any = None) -> Example:
    """At every step, the target is the product of the two inputs of the step before."""
    del data
    inputs = jax.random.uniform(key, (MAX_LENGTH + 1, 2))
    products = inputs[:-1].prod(1, keepdims=True)
    targets = jnp.concatenate([jnp.zeros((1, 1)), products[:-1]])
    length = 2 + (inputs[-1, 0] * (MAX_LENGTH - 1)).astype(jnp.int32)
    return Example(inputs[:-1], targets, targets, length)


# Solved by each trial after some hundred sequences.
LATCH = Task(
    name="latch",
    title="the first of a few symbols",
    architecture=Architecture(num_inputs=4, blocks=(1,), num_outputs=1),
    max_length=MAX_LENGTH,
    error_at="end",
    sample=_latch,
    is_correct=within(0.3),
    hyperparameters=Hyperparameters(learning_rate=4.0, init_range=0.2, input_gate_bias=(-1.0,)),
    rule=StreamRule(window=20, max_wrong=0, mean_error=0.2),
    trials=3,
    max_sequences=240,
    published=Published(table="none", success_rate=100.0, mean_sequences=200.0, test_wrong=1.0),
    test_size=64,
)

# Errors at every step, real-valued inputs, a conventional hidden unit and a direct path.
COPY = dataclasses.replace(
    LATCH,
    name="copy",
    architecture=Architecture(
        num_inputs=2, blocks=(2, 1), num_outputs=1, num_hidden=1, input_to_output=True
    ),
    error_at="every_step",
    sample=_copy,
    hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.5),
)


def make_update_rule(
    optimiser: optax.GradientTransformation, task: Task, chunk: int = 1000
) -> TrainingLoop:
    """Learning of a task by the paper's gradient."""
    return TrainingLoop(task, PerSequenceUpdate(task, optimiser), chunk)


def sgd(task: Task, chunk: int = 50) -> TrainingLoop:
    """The paper's learning of a task."""
    return make_update_rule(optax.sgd(task.hyperparameters.learning_rate), task, chunk)


def lane(tree: Any, trial: int) -> Any:
    """One trial of trials that lie side by side."""
    return jax.tree.map(lambda a: np.asarray(a)[..., trial], tree)


def trial_key(trial: int, seed: int = 0) -> jax.Array:
    """The key that all of a trial's random numbers come from."""
    return jax.random.fold_in(jax.random.key(seed), trial)


def training_key(trial: int, n: int, seed: int = 0) -> jax.Array:
    """The key of a trial's training sequence number n."""
    return jax.random.fold_in(jax.random.fold_in(trial_key(trial, seed), TRAINING), n)


def start(loop: TrainingLoop, num_trials: int, seed: int = 0) -> Trials:
    """Trials 0, 1, ... of an LSTM before their first sequence, and idle batch_size behind them.

    Tasks with one architecture and one way to start share the compiled program.
    """
    task, method = loop.task, loop.update_rule
    assert isinstance(method, PerSequenceUpdate)
    trials = _start(task.architecture, task.hyperparameters, task.sequential_construction)(
        np.stack(
            [jax.random.key_data(trial_key(i % num_trials, seed)) for i in range(BATCH_SIZE)],
            axis=-1,
        ),
        np.arange(BATCH_SIZE) >= num_trials,
    )
    init_optimiser = jax.vmap(method.optimiser.init, in_axes=-1, out_axes=-1)
    optimiser_state = init_optimiser(trials.model.parameters)
    is_stream = isinstance(task.rule, StreamRule)
    return trials._replace(
        model=trials.model._replace(optimiser_state=optimiser_state),
        window=init_window(task.rule, (BATCH_SIZE,)) if is_stream else None,
    )


@functools.cache
def _start(architecture: Architecture, hyperparameters: Hyperparameters, sequential: bool) -> Any:
    task = dataclasses.replace(
        LATCH,
        architecture=architecture,
        hyperparameters=hyperparameters,
        sequential_construction=sequential,
    )
    init = make_update_rule(optax.identity(), task).init_trials
    return jax.jit(lambda keys, is_idle: init(keys, None, is_idle))


@functools.cache
def _programs(loop: TrainingLoop, batch_size: int) -> Programs:
    del batch_size  # programs are of one width
    return make_programs(loop)


def make_runner(
    loop: TrainingLoop, indices: Any, batch_size: int = BATCH_SIZE, **options: Any
) -> TrialRunner:
    """A `TrialRunner` that shares its compiled programs with others of the same learning."""
    with mock.patch.object(trials, "make_programs", lambda _: _programs(loop, batch_size)):
        return TrialRunner(loop, indices, batch_size=batch_size, **options)


def assert_same_result(a: TrialResult, b: TrialResult) -> None:
    """Asserts that all of two trials' results are equal to the last bit."""
    for name, value in vars(a).items():
        jax.tree.map(np.testing.assert_array_equal, value, vars(b)[name])


def as_a_user_compiles() -> dict[str, bool | int]:
    """Options of `jax.jit` that undo the flags of `conftest`, where they are set."""
    if "xla_cpu_use_fusion_emitters" not in os.environ.get("XLA_FLAGS", ""):
        return {}
    return {"xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32}


def binary_environment() -> dict[str, str]:
    """For processes that run binaries: they share what they compile with all tests."""
    return {
        **os.environ,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
