"""Cases f and h: an endless stream, and the compile time against the length of a sequence."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.measure import (
    OURS,
    BenchmarkPlan,
    Measurement,
    check_close,
    measure_jax,
)
from lstm_jax import (
    Architecture,
    RunOptions,
    apply,
    half_squared_error,
    init_learner,
    initialise,
    learn,
    learn_chunk,
    make_task,
    online_gradient,
    update,
    zero_state,
)
from lstm_jax.cell.parameters import Parameters, join
from lstm_jax.cell.step import State, cell_step
from lstm_jax.network.layer import Gradient
from lstm_jax.network.online import Learner
from lstm_jax.training.update_rules.base import AnyModel

STREAM_NET = Architecture(num_inputs=8, blocks=(4,) * 16, num_outputs=4)  # 64 cells
STREAM_STEPS = (1_000, 1_000_000)
CHUNK = 1_000  # steps per update of `learn_chunk`
LENGTHS = (10, 100, 1_000, 10_000)


def run_stream(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure a million steps in one compiled call: the forward pass, and two learners.

    The learners have a loss at every step. They update after every step or after every chunk.
    """
    parameters = initialise(jax.random.key(0), STREAM_NET)
    check = _check_learners(parameters)
    measurements = []
    for full_steps in STREAM_STEPS:
        steps = plan.size(full_steps, full_steps // 1000 + 2 * CHUNK)
        few = dataclasses.replace(plan, repeats=plan.repeats if steps < 100_000 else 2)
        forward, *learners = [
            measure_jax(few, name, function, parameters, work=steps, unit="steps", check=check)
            for name, function in _streams(full_steps, steps).items()
        ]
        for learner in learners:
            ratio = learner.run_seconds / forward.run_seconds
            learner.notes["time per step, to the forward pass"] = round(ratio, 2)
        measurements += [forward, *learners]
    return measurements


def run_compilation(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure the gradient of task 6a's net at the end of sequences of different lengths."""
    net = make_task("6a").architecture
    parameters = initialise(jax.random.key(0), net)
    jax.jit(jnp.sin).lower(1.0).compile()  # start the compiler before it is timed

    def gradient(parameters: Parameters, symbols: jax.Array, rule: Gradient = "truncated"):
        def loss(parameters: Parameters) -> jax.Array:
            options = RunOptions(gradient=rule)
            outputs, _ = apply(net, parameters, symbols, at="end", options=options)
            return half_squared_error(outputs, jnp.zeros_like(outputs))

        return jax.grad(loss)(parameters)

    measurements = []
    for length in LENGTHS[: plan.size(len(LENGTHS), 2)]:
        symbols = jax.random.randint(jax.random.key(1), (length,), 0, net.num_inputs)
        found = jax.jit(gradient)(parameters, symbols)
        expected = jax.jit(gradient, static_argnums=2)(parameters, symbols, "truncated_autodiff")
        check = check_close("against truncated_autodiff", found, expected, 1e-3)
        jax.clear_caches()
        name, arguments = f"{OURS} T = {length:,}", (parameters, symbols)
        measurements.append(
            measure_jax(plan, name, gradient, *arguments, work=length, unit="steps", check=check)
        )
    return measurements


def _symbol(t: jax.Array) -> jax.Array:
    """Compute a symbol for step t, without an array over all steps."""
    return (t * t + t // 7) % STREAM_NET.num_inputs


def _target(t: jax.Array) -> jax.Array:
    """Return the next symbol as a one-hot vector, modulo the number of outputs."""
    return jax.nn.one_hot(_symbol(t + 1) % STREAM_NET.num_outputs, STREAM_NET.num_outputs)


def _streams(full_steps: int, steps: int) -> dict[str, Callable[[Parameters], AnyModel]]:
    """Return by name what is measured, as functions of the initial weights."""
    optimiser = optax.sgd(1e-3)

    def forward(parameters: Parameters) -> jax.Array:
        weights = join(STREAM_NET, parameters.layer)

        def body(t: jax.Array, state: State) -> State:
            net_input = weights.input[_symbol(t)] + weights.bias
            return cell_step(STREAM_NET, weights, state, net_input)[0]

        return jax.lax.fori_loop(0, steps, body, zero_state(STREAM_NET)).cell_output

    def learn_step(t: jax.Array, learner: Learner) -> Learner:
        learner = learn(STREAM_NET, learner, _symbol(t), _target(t))[1]
        return update(optimiser, learner)

    def learn_many(i: jax.Array, learner: Learner) -> Learner:
        t = i * CHUNK + jnp.arange(CHUNK)
        learner = learn_chunk(STREAM_NET, learner, _symbol(t), _target(t))[1]
        return update(optimiser, learner)

    def run(body: Callable, count: int, parameters: Parameters) -> Parameters:
        learner = init_learner(STREAM_NET, parameters, optimiser)
        return jax.lax.fori_loop(0, count, body, learner).parameters

    functions = {
        "forward alone": forward,
        "learner, update every step": functools.partial(run, learn_step, steps),
        f"learner, update every {CHUNK:,}": functools.partial(run, learn_many, steps // CHUNK),
    }
    return {f"{OURS} {name}, {full_steps:,} steps": f for name, f in functions.items()}


def _check_learners(parameters: Parameters, steps: int = 50) -> str:
    """Check both learners' gradients, `learn_chunk` in two chunks, against the truncated one."""
    inputs = _symbol(jnp.arange(steps))
    targets = jax.random.uniform(jax.random.key(1), (steps, STREAM_NET.num_outputs))

    def loss(parameters: Parameters) -> jax.Array:
        return half_squared_error(apply(STREAM_NET, parameters, inputs)[0], targets)

    @jax.jit
    def by_chunks(parameters: Parameters) -> Parameters:
        learner = init_learner(STREAM_NET, parameters, optax.identity())
        for part in (slice(0, steps // 2), slice(steps // 2, steps)):
            _, learner = learn_chunk(STREAM_NET, learner, inputs[part], targets[part])
        return learner.gradient

    expected = jax.jit(jax.grad(loss))(parameters)
    by_steps = jax.jit(
        lambda p: online_gradient(STREAM_NET, p, inputs, targets, jnp.ones(steps))[1]
    )
    found = by_steps(parameters), by_chunks(parameters)
    return check_close("both learners against truncated", found, (expected, expected), 1e-4)
