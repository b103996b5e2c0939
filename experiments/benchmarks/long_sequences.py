"""Cases f and h: a stream without end, and what the length of a sequence costs the compiler."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.measure import (
    OURS,
    Measurement,
    Plan,
    check_close,
    measure_jax,
)
from lstm_jax import (
    Architecture,
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
from lstm_jax.network.layer import RunOptions

STREAM_NET = Architecture(num_inputs=8, blocks=(4,) * 16, num_outputs=4)  # 64 cells
STREAM_STEPS = (1_000, 1_000_000)
STRETCH = 1_000  # steps between two updates of the learner that takes many at once
LENGTHS = (10, 100, 1_000, 10_000)


def run_stream(plan: Plan) -> list[Measurement]:
    """Case f: a million steps in one compiled call, with an error at each, by the forward pass.

    A learner makes an update after every step, or one after each stretch of `STRETCH`.
    """
    parameters = initialise(jax.random.key(0), STREAM_NET)
    check = _check_learners(parameters)
    measurements = []
    for full_steps in STREAM_STEPS:
        steps = plan.size(full_steps, full_steps // 1000 + 2 * STRETCH)
        few = dataclasses.replace(plan, repeats=plan.repeats if steps < 100_000 else 2)
        for name, make in STREAMS.items():
            measurements.append(
                measure_jax(
                    few,
                    f"{OURS} {name}, {full_steps:,} steps",
                    make(steps),
                    parameters,
                    work=steps,
                    unit="steps",
                    check=check,
                )
            )
    for first in range(0, len(measurements), len(STREAMS)):
        forward, *learners = measurements[first : first + len(STREAMS)]
        for learner in learners:
            ratio = learner.run_seconds / forward.run_seconds
            learner.notes["time per step, to the forward pass"] = round(ratio, 2)
    return measurements


def run_compilation(plan: Plan) -> list[Measurement]:
    """Case h: the gradient of task 6a's net at the end of sequences of different lengths."""
    net = make_task("6a").architecture
    parameters = initialise(jax.random.key(0), net)
    jax.jit(jnp.sin).lower(1.0).compile()  # the compiler's own start is not ours
    measurements = []
    for length in LENGTHS[: plan.size(len(LENGTHS), 2)]:
        symbols = jax.random.randint(jax.random.key(1), (length,), 0, net.num_inputs)

        def gradient(parameters: Parameters, symbols: jax.Array, rule: Any = "truncated") -> Any:
            def loss(parameters: Parameters) -> jax.Array:
                outputs, _ = apply(
                    net, parameters, symbols, at="end", options=RunOptions(gradient=rule)
                )
                return half_squared_error(outputs, jnp.zeros_like(outputs))

            return jax.grad(loss)(parameters)

        found = jax.jit(gradient)(parameters, symbols)
        expected = jax.jit(gradient, static_argnums=2)(parameters, symbols, "truncated_autodiff")
        check = check_close("against truncated_autodiff", found, expected, 1e-3)
        jax.clear_caches()
        name = f"{OURS} T = {length:,}"
        measurements.append(
            measure_jax(
                plan, name, gradient, parameters, symbols, work=length, unit="steps", check=check
            )
        )
    return measurements


def _symbol(t: jax.Array) -> jax.Array:
    """Some symbol for step t: cheap, and no array over the steps is needed."""
    return (t * t + t // 7) % STREAM_NET.num_inputs


def _target(t: jax.Array) -> jax.Array:
    """One-hot: what the next symbol is, as far as there are outputs."""
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


def _learner(steps: int) -> Callable[[Parameters], Any]:
    optimiser = optax.sgd(1e-3)

    def run(parameters: Parameters) -> Any:
        def body(t: jax.Array, learner: Any) -> Any:
            _, learner = learn(STREAM_NET, learner, _symbol(t), _target(t))
            return update(optimiser, learner)

        learner = init_learner(STREAM_NET, parameters, optimiser)
        return jax.lax.fori_loop(0, steps, body, learner).parameters

    return run


def _stretches(steps: int) -> Callable[[Parameters], Any]:
    optimiser = optax.sgd(1e-3)

    def run(parameters: Parameters) -> Any:
        def body(i: jax.Array, learner: Any) -> Any:
            t = i * STRETCH + jnp.arange(STRETCH)
            _, learner = learn_chunk(STREAM_NET, learner, _symbol(t), _target(t))
            return update(optimiser, learner)

        learner = init_learner(STREAM_NET, parameters, optimiser)
        return jax.lax.fori_loop(0, steps // STRETCH, body, learner).parameters

    return run


STREAMS = {
    "forward alone": _forward,
    "learner, update every step": _learner,
    f"learner, update every {STRETCH:,}": _stretches,
}


def _check_learners(parameters: Parameters, steps: int = 50) -> str:
    """Holds both learners' gradients, `learn_chunk` in two stretches, against the truncated one."""
    inputs = _symbol(jnp.arange(steps))
    targets = jax.random.uniform(jax.random.key(1), (steps, STREAM_NET.num_outputs))

    def loss(parameters: Parameters) -> jax.Array:
        return half_squared_error(apply(STREAM_NET, parameters, inputs)[0], targets)

    @jax.jit
    def by_stretches(parameters: Parameters) -> Parameters:
        learner = init_learner(STREAM_NET, parameters, optax.identity())
        for part in (slice(0, steps // 2), slice(steps // 2, steps)):
            _, learner = learn_chunk(STREAM_NET, learner, inputs[part], targets[part])
        return learner.gradient

    expected = jax.jit(jax.grad(loss))(parameters)
    by_steps = jax.jit(
        lambda p: online_gradient(STREAM_NET, p, inputs, targets, jnp.ones(steps))[1]
    )
    found = by_steps(parameters), by_stretches(parameters)
    return check_close("both learners against truncated", found, (expected, expected), 1e-4)
