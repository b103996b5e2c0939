"""Tasks that compile and finish in seconds, and runners that share their compiled programs."""

from __future__ import annotations

import dataclasses
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
from helpers import from_oracle, to_oracle

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import Parameters
from lstm_jax.tasks.functions import within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, StreamRule, Task
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.stopping import init_window
from lstm_jax.training.trials.training_loop import IDLE, TRAINING, TrainingLoop, Trials
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

MAX_LENGTH = 4


def _latch(key: jax.Array, data=None) -> Example:
    """Return a sequence whose first symbol, 0 or 1, is the target 2 or 3 steps later."""
    del data
    words = jax.random.bits(key, (MAX_LENGTH + 1,), jnp.uint32) >> 9
    bits = (words % 2).astype(jnp.int32)
    symbols = bits[:MAX_LENGTH] + jnp.array([0, 2, 2, 2], jnp.int32)
    targets = bits[:1].astype(jnp.float32)
    return Example(symbols, targets, targets, 3 + bits[-1])


def _copy(key: jax.Array, data=None) -> Example:
    """Return a sequence whose target is, at every step, the product of the last step's inputs."""
    del data
    inputs = jax.random.uniform(key, (MAX_LENGTH + 1, 2))
    products = inputs[:-1].prod(1, keepdims=True)
    targets = jnp.concatenate([jnp.zeros((1, 1)), products[:-1]])
    length = 2 + (inputs[-1, 0] * (MAX_LENGTH - 1)).astype(jnp.int32)
    return Example(inputs[:-1], targets, targets, length)


# Solved by each trial after some hundred sequences; symbols 2 and 3 are noise.
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

# Errors at every step, real-valued inputs, a conventional hidden unit and a direct connection.
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


def make_loop(
    optimiser: optax.GradientTransformation, task: Task, chunk: int = 1000
) -> TrainingLoop:
    """Make the training loop of a task with one update per sequence."""
    return TrainingLoop(task, PerSequenceUpdate(task, optimiser), chunk)


def sgd(task: Task, chunk: int = 50) -> TrainingLoop:
    """Make the paper's training loop of a task."""
    return make_loop(optax.sgd(task.hyperparameters.learning_rate), task, chunk)


def take_trial(tree, trial: int):
    """Take one trial from arrays whose last axis is that of trials."""
    return jax.tree.map(lambda a: np.asarray(a)[..., trial], tree)


def oracle_gradient(
    task: Task,
    parameters: Parameters,
    example: Example,
    first: Parameters | None = None,
    **loss: float,
) -> Parameters:
    """Return the NumPy oracle's gradient of a task's loss for one sequence, in float64.

    Args:
      task: the task.
      parameters: the weights of one trial.
      example: the sequence.
      first: the weights that act at the first step (default: `parameters`).
      **loss: fields of the loss that differ from E / 2.
    """
    inputs, steps = np.asarray(example.inputs), task.max_length
    if inputs.ndim == 1:
        inputs = np.eye(task.architecture.num_inputs)[inputs]
    is_real = np.arange(steps) < int(example.length)
    targets, weights = np.asarray(example.targets), is_real
    if task.error_at == "end":
        targets = np.broadcast_to(targets, (steps, task.architecture.num_outputs))
        weights = np.arange(steps) == int(example.length) - 1
    net, net_weights = to_oracle(task.architecture, parameters)
    return from_oracle(
        oracle.gradient(
            net,
            net_weights,
            oracle.Sequence(inputs, targets, weights, mask=is_real),
            error=oracle.Loss(**loss),
            first=None if first is None else to_oracle(task.architecture, first)[1],
        )
    )


def trial_key(trial: int, seed: int = 0) -> jax.Array:
    """Return the key of all of a trial's random numbers."""
    return jax.random.fold_in(jax.random.key(seed), trial)


def training_key(trial: int, n: int, seed: int = 0) -> jax.Array:
    """Return the key of a trial's training sequence number n."""
    return jax.random.fold_in(jax.random.fold_in(trial_key(trial, seed), TRAINING), n)


def start(loop: TrainingLoop, num_trials: int, seed: int = 0) -> Trials:
    """Return trials 0, 1, ... of an LSTM before their first sequence, and idle ones after them.

    Tasks with the same architecture and hyperparameters share the compiled program.
    """
    task, rule = loop.task, loop.update_rule
    assert isinstance(rule, PerSequenceUpdate)
    keys = [jax.random.key_data(trial_key(i % num_trials, seed)) for i in range(BATCH_SIZE)]
    init = _init_program(task.architecture, task.hyperparameters, task.sequential_construction)
    trials = init(np.stack(keys, axis=-1))
    init_optimiser = jax.vmap(rule.optimiser.init, in_axes=-1, out_axes=-1)
    optimiser_state = init_optimiser(trials.model.parameters)
    is_stream = isinstance(task.rule, StreamRule)
    is_idle = np.arange(BATCH_SIZE) >= num_trials
    return trials._replace(
        model=trials.model._replace(optimiser_state=optimiser_state),
        status=jnp.where(is_idle, IDLE, trials.status),
        window=init_window(task.rule, (BATCH_SIZE,)) if is_stream else None,
    )


@functools.cache
def _init_program(architecture: Architecture, hyperparameters: Hyperparameters, sequential: bool):
    task = dataclasses.replace(
        LATCH,
        architecture=architecture,
        hyperparameters=hyperparameters,
        sequential_construction=sequential,
    )
    init = make_loop(optax.identity(), task).init_trials
    return jax.jit(lambda keys: init(keys, None))


def make_runner(
    loop: TrainingLoop, indices, batch_size: int = BATCH_SIZE, **options
) -> TrialRunner:
    """Make a `TrialRunner` with the batch size of `configure_cpu`."""
    return TrialRunner(loop, indices, batch_size=batch_size, **options)


def assert_same_result(a: TrialResult, b: TrialResult) -> None:
    """Assert that two trials' results are equal to the last bit."""
    for name, value in vars(a).items():
        jax.tree.map(np.testing.assert_array_equal, value, vars(b)[name])


def as_a_user_compiles() -> dict[str, bool | int]:
    """Return options of `jax.jit` that undo the flags of `conftest`, where they are set."""
    if "xla_cpu_use_fusion_emitters" not in os.environ.get("XLA_FLAGS", ""):
        return {}
    return {"xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32}


def binary_environment() -> dict[str, str]:
    """Return the environment of processes that share their compiled programs with all tests."""
    return {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}
