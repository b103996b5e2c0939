"""Online learning from an endless stream, in constant memory.

    python -m experiments.examples.stream

About every fifth number of the stream is marked; the target of every step is the last marked one.
There are no sequences and no resets, so cells need forget gates (2000). `learn` computes the
paper's gradient forward in time; the weights change every 10 steps.
"""

import jax
import jax.numpy as jnp
import optax

import lstm_jax as lstm

NET = lstm.Architecture(
    2, blocks=(1,) * 4, num_outputs=1, forget_gates=True, cell_output="identity", output="identity"
)
OPTIMISER = optax.adam(0.01)
STEPS, INTERVAL = 20_000, 10


def step(carry, data):
    """Predict and learn one step of the stream; return the absolute error."""
    learner, n = carry
    x_t, target = data
    prediction, learner = lstm.learn(NET, learner, x_t, target)
    change = lambda learner: lstm.update(OPTIMISER, learner)
    is_due = n % INTERVAL == INTERVAL - 1
    learner = jax.lax.cond(is_due, change, lambda learner: learner, learner)
    return (learner, n + 1), jnp.abs(prediction - target)[0]


def main() -> jax.Array:
    """Return the absolute error of every step, [STEPS]."""
    first, second = jax.random.split(jax.random.key(0))
    numbers = jax.random.uniform(first, (STEPS,), minval=-1.0)
    marks = jax.random.bernoulli(second, 0.2, (STEPS,))
    last = jnp.maximum.accumulate(jnp.where(marks, jnp.arange(STEPS), 0))
    data = (jnp.stack([numbers, marks.astype(jnp.float32)], -1), numbers[last][:, None])
    parameters = lstm.initialise(first, NET, forget_gate_bias=(1.0,) * 4)
    learner = lstm.init_learner(NET, parameters, OPTIMISER)
    _, errors = jax.lax.scan(step, (learner, jnp.int32(0)), data)
    print(f"mean error of the first 1000 steps {errors[:1000].mean():.3f}", end=", ")
    print(f"of the last 1000 {errors[-1000:].mean():.3f}")
    return errors


if __name__ == "__main__":
    main()
