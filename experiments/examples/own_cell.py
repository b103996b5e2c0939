"""A cell of one's own, a gated recurrent unit (Cho et al. 2014), in the trials of a task.

    python -m experiments.examples.own_cell

`jax.grad` of a scan over a step is the full gradient. Where a truncated one cuts is up to the step:
with `seen = jax.lax.stop_gradient(h)` below, errors flow back along h alone, by factors z.
"""

import jax
import jax.numpy as jnp
import optax

import lstm_jax as lstm
from experiments.examples.own_task import TASK

UNITS, INPUTS, OPTIMISER = 4, TASK.architecture.num_inputs, optax.adam(0.02)


def gru(weights, h, x_t):
    """Return h(t) from h(t-1) [H], which gates and candidate see, and x(t) [I]."""
    seen = h
    z, r = jax.nn.sigmoid(jnp.append(x_t, seen) @ weights["gates"]).reshape(2, UNITS)
    return z * h + (1 - z) * jnp.tanh(jnp.append(x_t, r * seen) @ weights["candidate"])


def loss(weights, example):
    """Return the loss of a sequence, and the output at its end [1]."""
    step = lambda h, x_t: (gru(weights, h, x_t),) * 2
    _, h = jax.lax.scan(step, jnp.zeros(UNITS), jax.nn.one_hot(example.inputs, INPUTS))
    output = jax.nn.sigmoid(h[example.length - 1] @ weights["output"])
    return lstm.half_squared_error(output, example.targets), output


class GRU(lstm.UpdateRule):
    """Adam on the full gradient of every sequence."""

    def init(self, key):
        columns = {"gates": 2 * UNITS, "candidate": UNITS}
        draw = lambda n: 0.5 * jax.random.normal(jax.random.fold_in(key, n), (INPUTS + UNITS, n))
        weights = {name: draw(n) for name, n in columns.items()} | {"output": jnp.ones((UNITS, 1))}
        return weights, OPTIMISER.init(weights)

    def outputs(self, model, example):
        return loss(model[0], example)[1]

    def train_step(self, model, example, n):
        gradient, output = jax.grad(loss, has_aux=True)(model[0], example)
        updates, state = OPTIMISER.update(gradient, model[1])
        return (optax.apply_updates(model[0], updates), state), output


def main() -> list[lstm.TrialResult]:
    trials = lstm.TrialRunner(lstm.TrainingLoop(TASK, lstm.Vmapped(GRU())), range(5)).run()
    print("GRU, sequences until solved:", [trial.sequences for trial in trials if trial.solved])
    return trials


if __name__ == "__main__":
    lstm.configure_cpu()
    main()
