"""A policy that learns a maze which needs memory, by actor-critic with eligibility traces.

    python -m experiments.examples.maze

The start displays which way to turn at the end of a corridor. The actions are on, left and right,
and every step is an update: no replay, no batches, no backpropagation through time.
"""

import jax
import jax.numpy as jnp
import optax

import lstm_jax as lstm

LENGTH, STEPS, DISCOUNT = 6, 100_000, 0.95
NET = lstm.Architecture(
    3, blocks=(1,) * 8, num_outputs=4, recurrent="none", cell_output="tanh", output="identity"
)
TRACES = lstm.streaming.eligibility_traces(DISCOUNT * 0.9)
OPTIMISER = optax.chain(TRACES, optax.adam(0.003, b1=0.0, b2=0.9999))


def look(learner, place, side):
    """Return the observation, and the outputs: three preferences and a value."""
    x_t = jnp.stack([(place == 0) * side, place == 0.0, place == LENGTH])
    state = lstm.step(NET, learner.parameters, learner.state, x_t)
    return x_t, lstm.output_units(NET, learner.parameters.output, state)


def step(carry, key):
    """Act and learn; return whether it was the right turn at the end, and whether any."""
    learner, place, side = carry
    x_t, y = look(learner, place, side)
    action = jax.random.categorical(key, y[:3])
    signal = jax.grad(lambda y: jax.nn.log_softmax(y[:3])[action] + y[3] / 2)(y)
    _, learner = lstm.learn(NET, learner, x_t, signal=signal)
    is_end = (action > 0) & (place == LENGTH)
    is_right = is_end & ((action == 1) == (side < 0))
    reward = jnp.where(is_right, 1.0, jnp.where(action > 0, -0.2, 0.0))
    place = jnp.where(action > 0, place, jnp.minimum(place + 1, LENGTH))
    later = jnp.where(is_end, 0.0, DISCOUNT * look(learner, place, side)[1][3])
    learner = lstm.update(OPTIMISER, learner, td_error=reward + later - y[3], reset=is_end)
    fresh = lstm.start_sequence(NET, learner), 0, jax.random.rademacher(key, (), jnp.float32)
    return optax.tree_utils.tree_where(is_end, fresh, (learner, place, side)), (is_right, is_end)


def main() -> float:
    """Return the share of right turns in the last tenth of the steps."""
    parameters = lstm.initialise(jax.random.key(0), NET, input_gate_bias=(-1.0,) * 8)
    start = lstm.init_learner(NET, parameters, OPTIMISER), jnp.int32(0), jnp.float32(1)
    _, turns = jax.lax.scan(step, start, jax.random.split(jax.random.key(1), STEPS))
    right, ends = (turn[-STEPS // 10 :].sum() for turn in turns)
    print(f"right turns: {right} of the last {ends}")
    return float(right / ends)


if __name__ == "__main__":
    lstm.configure_cpu()
    main()
