"""A user's program, for the type checker: every call gives what its signature says."""

from __future__ import annotations

from typing import assert_type

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax as lstm
from lstm_jax import baselines as baselines
from lstm_jax.training.recipes.recipe import Recipe

NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)


def network() -> float:
    """Outputs, activations and a gradient, from NumPy's arrays and JAX's."""
    parameters = lstm.initialise(jax.random.key(0), NET, input_gate_bias=(-1.0, -2.0))
    assert_type(parameters, lstm.Parameters)
    batch, lengths = lstm.pad_sequences([np.ones((4, 3)), jnp.ones((2, 3)), [[0.5] * 3]])
    steps = lstm.Steps(length=lengths[0])
    activations, state = lstm.unroll(NET, parameters, batch[0], steps=steps)
    assert_type(activations, lstm.Activations)
    assert_type(state, lstm.State)
    outputs = lstm.output_units(NET, parameters.output, activations)
    assert_type(outputs, jax.Array)
    lstm.step(NET, parameters, lstm.zero_state(NET), 2).cell_output.sum()

    def error(parameters: lstm.Parameters) -> jax.Array:
        output, _ = lstm.apply(NET, parameters, batch[0], at="end")
        return lstm.half_squared_error(output, jnp.array([0.5]))

    value = error(parameters)
    assert_type(value, jax.Array)
    jax.grad(error)(parameters)
    return float(value)


def stream() -> lstm.Learner[lstm.Parameters, lstm.State]:
    """A few steps of online learning."""
    sgd = optax.sgd(0.1)
    learner = lstm.init_learner(NET, lstm.initialise(jax.random.key(0), NET), sgd)
    prediction, learner = lstm.learn(NET, learner, 1, jnp.array([1.0]))
    assert_type(prediction, jax.Array)
    _, learner = lstm.learn_chunk(NET, learner, np.array([0, 1]), np.ones((2, 1)))
    learner = lstm.update(sgd, learner)
    assert_type(learner, lstm.Learner[lstm.Parameters, lstm.State])
    return learner


def stack() -> jax.Array:
    """Two layers, with the types of a stack's weights and states."""
    net = lstm.make_stack(3, blocks=((2, 2), (2,)), num_outputs=1)
    parameters = lstm.initialise(jax.random.key(0), net)
    assert_type(parameters, lstm.StackParameters)
    (lower, _), states = lstm.unroll(net, parameters, jnp.ones((4, 3)))
    assert_type(lower, lstm.Activations)
    outputs, _ = lstm.apply(net, parameters, jnp.ones((4, 3)), initial_state=states)
    learner = lstm.init_learner(net, parameters, optax.sgd(0.1))
    assert_type(learner.gradient, lstm.StackParameters)
    return outputs


def trials() -> list[lstm.TrialResult]:
    """A recipe, a baseline and a runner."""
    recipe = lstm.make_recipe("paper")
    assert_type(recipe, Recipe)
    task = lstm.make_task("6a")
    baseline = baselines.training_loop(task, "RTRL", num_hidden=2)
    assert_type(baseline, lstm.TrainingLoop)
    runner = lstm.TrialRunner(lstm.TrainingLoop(recipe.apply(task)), range(2))
    return [] if runner.num_sequences == 0 else runner.run()


def own_data() -> lstm.FitResult[lstm.Parameters]:
    """Training on batches of sequences."""
    net = lstm.Architecture(num_inputs=3, blocks=(2,), num_outputs=2, output="softmax")
    sequences = [np.ones((3, 3)), np.zeros((5, 3))]
    scaler = lstm.data.fit_scaler(sequences)
    assert_type(scaler, lstm.data.Scaler)
    batches = list(lstm.data.batches([scaler.transform(s) for s in sequences], [0, 1]))
    assert_type(batches, list[lstm.data.Batch])

    def loss(parameters: lstm.Parameters, batch: lstm.data.Batch) -> jax.Array:
        run = lambda x: lstm.apply(lstm.net_inputs_only(net), parameters, x, at="end")[0]
        return jax.vmap(lstm.softmax_cross_entropy)(
            jax.vmap(run)(batch.inputs), batch.targets
        ).mean()

    result = lstm.fit(
        loss,
        lstm.initialise(jax.random.key(0), net),
        optax.sgd(0.1),
        batches,
        epochs=2,
        validate=lstm.mean_loss(loss, batches),
    )
    assert_type(result, lstm.FitResult[lstm.Parameters])
    assert_type(result.parameters, lstm.Parameters)
    return result


if __name__ == "__main__":
    print(network(), stream().gradient.output.bias, trials(), own_data().history)
