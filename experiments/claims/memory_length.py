"""bsuite's memory_len: repeat, after n steps, a bit that the first step displayed.

An episode has n observations: the time left 1 - t/n, a query that is always 0, and at the first
step the bit, as -1 or 1. The last of its n actions is worth 1 if it is the bit, otherwise -1. There
are 23 lengths n, each of 10,000 episodes; the score is the share of lengths whose regret is under
0.75 of that of random actions. Every step is an update, without replay and without batches.

The learner is an actor-critic with eligibility traces: two outputs are the logits of the actions,
the third is the value. Its cells do not see each other, so that the truncated gradient is exact.

Reference:
  I. Osband et al. Behaviour suite for reinforcement learning. ICLR 2020.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.tree_utils import tree_where

from experiments.claims.base import ClaimOptions
from lstm_jax import (
    Architecture,
    Learner,
    init_learner,
    initialise,
    learn,
    output_units,
    start_sequence,
    step,
    streaming,
    update,
)
from lstm_jax.network.files import Document
from lstm_jax.plots import style

LENGTHS = (*range(1, 11), 12, 14, 17, 20, 25, *range(30, 101, 10))
EPISODES = 10_000  # of a length; also steps of a compiled call
RANDOM_REGRET = 1.0  # of an episode
SOLVED = 0.75  # of the regret of random actions
LATE = 1_000  # episodes at the end
NET = Architecture(
    num_inputs=3,
    blocks=(1,) * 8,
    num_outputs=3,
    recurrent="none",
    cell_input="tanh",
    cell_output="tanh",
    output="identity",
)
HYPERPARAMETERS = {
    "discount": 1.0,
    "decay": 1.0,
    "learning_rate": 0.002,
    "second_moment_decay": 0.9999,
    "value_weight": 0.5,
    "input_gate_bias": -2.0,
}
OPTIMISER = optax.chain(
    streaming.eligibility_traces(HYPERPARAMETERS["discount"] * HYPERPARAMETERS["decay"]),
    optax.adam(HYPERPARAMETERS["learning_rate"], b1=0.0, b2=HYPERPARAMETERS["second_moment_decay"]),
)


class Agent(NamedTuple):
    """The state of one trial; numbers are int32 where not stated."""

    key: jax.Array
    learner: Learner
    steps: jax.Array
    time: jax.Array  # in the episode
    bit: jax.Array
    wrong: jax.Array  # episodes
    late_wrong: jax.Array  # of the last ones


def observe(length: jax.Array, time: jax.Array, bit: jax.Array) -> jax.Array:
    """Return the observation at a time in [0, length) of an episode, [3].

    >>> observe(jnp.int32(4), jnp.int32(0), jnp.int32(1))
    Array([1., 0., 1.], dtype=float32)
    """
    shown = jnp.where(time == 0, 2 * bit - 1, 0)
    left = 1 - time.astype(jnp.float32) / length.astype(jnp.float32)
    return jnp.stack([left, jnp.zeros(()), shown.astype(jnp.float32)])


def init(key: jax.Array) -> Agent:
    """Return a trial before its first step."""
    bias = (HYPERPARAMETERS["input_gate_bias"],) * NET.num_blocks
    parameters = initialise(jax.random.fold_in(key, 0), NET, input_gate_bias=bias)
    zero = jnp.int32(0)
    bit = jax.random.bernoulli(jax.random.fold_in(key, 1)).astype(jnp.int32)
    return Agent(key, init_learner(NET, parameters, OPTIMISER), zero, zero, bit, zero, zero)


def act(agent: Agent, length: jax.Array) -> Agent:
    """Take one action, learn from it, and go on to the next step or episode."""
    draws = jax.random.uniform(jax.random.fold_in(agent.key, agent.steps + 2), (2,))
    x_t = observe(length, agent.time, agent.bit)
    outputs = _outputs(agent.learner, x_t)
    policy = jax.nn.softmax(outputs[:2])
    action = (draws[0] < policy[1]).astype(jnp.int32)
    by_logits = jax.nn.one_hot(action, 2) - policy  # the derivative of log π(action)
    signal = jnp.append(by_logits, HYPERPARAMETERS["value_weight"])
    _, learner = learn(NET, agent.learner, x_t, signal=signal)

    is_last, is_right = agent.time == length - 1, action == agent.bit
    reward = jnp.where(is_last, jnp.where(is_right, 1.0, -1.0), 0.0)
    next_value = _outputs(learner, observe(length, agent.time + 1, agent.bit))[2]
    next_value = jnp.where(is_last, 0, HYPERPARAMETERS["discount"] * next_value)
    td_error = reward + next_value - outputs[2]
    learner = update(OPTIMISER, learner, td_error=td_error, reset=is_last)
    learner = tree_where(is_last, start_sequence(NET, learner), learner)

    is_wrong = (is_last & ~is_right).astype(jnp.int32)
    is_late = agent.steps >= (EPISODES - LATE) * length
    return Agent(
        key=agent.key,
        learner=learner,
        steps=agent.steps + 1,
        time=jnp.where(is_last, 0, agent.time + 1),
        bit=jnp.where(is_last, (draws[1] < 0.5).astype(jnp.int32), agent.bit),
        wrong=agent.wrong + is_wrong,
        late_wrong=agent.late_wrong + is_wrong * is_late,
    )


def _outputs(learner: Learner, x_t: jax.Array) -> jax.Array:
    state = step(NET, learner.parameters, learner.state, x_t)
    return output_units(NET, learner.parameters.output, state)


@functools.partial(jax.jit, donate_argnums=0)
def run(agents: Agent, length: jax.Array) -> Agent:
    """Take as many steps with every trial as a length has episodes."""
    body = lambda agents, _: (jax.vmap(act, (0, None))(agents, length), None)
    return jax.lax.scan(body, agents, None, length=EPISODES)[0]


def lengths() -> dict[str, int]:
    """Learn bsuite's memory_len with an actor-critic, an update at every step."""
    return {f"{length} steps": length for length in LENGTHS}


def measure(length: int, options: ClaimOptions) -> Document:
    """Return for each trial the `regret` as a share of random actions', and the `late_return`.

    That is the mean return of the last 1,000 of the 10,000 episodes.
    """
    key = jax.random.fold_in(jax.random.key(options.seed), length)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(options.trials))
    agents = jax.jit(jax.vmap(init))(keys)
    for _ in range(length):
        agents = run(agents, jnp.int32(length))
    regret = 2 * np.asarray(agents.wrong) / (EPISODES * RANDOM_REGRET)
    late = 1 - 2 * np.asarray(agents.late_wrong) / LATE
    return {"regret": regret.round(4).tolist(), "late_return": late.round(3).tolist()}


def scores(document: Document) -> list[float]:
    """Return each trial's score: the share of lengths with less regret than the limit."""
    regrets = np.array([found["regret"] for found in document["variants"].values()])
    return (regrets < SOLVED).mean(0).tolist()


def draw(document: Document) -> style.Figure:
    """Draw regret and late return of every trial against the length."""
    figure, (left, right) = style.new_figure(11, 4.5, columns=2)
    of = document["variants"].values()
    for axes, measured in ((left, "regret"), (right, "late_return")):
        values = np.array([found[measured] for found in of])
        axes.plot(LENGTHS, values, ".", color=style.LINES[0], alpha=0.5)
        axes.plot(LENGTHS, np.median(values, axis=1), color=style.LINES[0])
        axes.set(xlabel="length of the memory")
    left.axhline(SOLVED, color=style.BLACK, linestyle=":")
    reached = f"{min(scores(document)):.2f} to {max(scores(document)):.2f}"
    title = f"score {reached}, {document['trials']} trials"
    left.set(ylabel="regret, of that of random actions", title=title)
    right.set(ylabel="mean return of the last 1,000 episodes")
    return figure
