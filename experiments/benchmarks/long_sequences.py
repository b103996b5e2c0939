"""Cases f and h: an endless stream, and the compile time against the length of a sequence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

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
from lstm_jax.cell.step import cell_step

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
            measure_jax(
                few,
                f"{OURS} {name}, {full_steps:,} steps",
                make(steps),
                parameters,
                work=steps,
                unit="steps",
                check=check,
            )
            for name, make in STREAMS.items()
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

    def gradient(parameters: Parameters, symbols: jax.Array, rule: Any = "truncated") -> Any:
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


def _forward(steps: int) -> Callable[[Parameters], jax.Array]:
    def run(parameters: Parameters) -> jax.Array:
        weights = join(STREAM_NET, parameters.layer)

        def body(t: jax.Array, state: Any) -> Any:
            net_input = weights.input[_symbol(t)] + weights.bias
            return cell_step(STREAM_NET, weights, state, net_input)[0]

        zeros = zero_state(STREAM_NET)
        return jax.lax.fori_loop(0, steps, body, zeros).cell_output

    return run


def _learn_steps(steps: int) -> Callable[[Parameters], Any]:
    def step(t: jax.Array, learner: Any) -> Any:
        return learn(STREAM_NET, learner, _symbol(t), _target(t))[1]

    return _with_updates(step, steps)


def _learn_chunks(steps: int) -> Callable[[Parameters], Any]:
    def chunk(i: jax.Array, learner: Any) -> Any:
        t = i * CHUNK + jnp.arange(CHUNK)
        return learn_chunk(STREAM_NET, learner, _symbol(t), _target(t))[1]

    return _with_updates(chunk, steps // CHUNK)


def _with_updates(
    accumulate: Callable[[jax.Array, Any], Any], count: int
) -> Callable[[Parameters], Any]:
    """Return a function that alternates `accumulate` and an update of the weights."""
    optimiser = optax.sgd(1e-3)

    def run(parameters: Parameters) -> Any:
        body = lambda i, learner: update(optimiser, accumulate(i, learner))
        learner = init_learner(STREAM_NET, parameters, optimiser)
        return jax.lax.fori_loop(0, count, body, learner).parameters

    return run


STREAMS = {
    "forward alone": _forward,
    "learner, update every step": _learn_steps,
    f"learner, update every {CHUNK:,}": _learn_chunks,
}


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
