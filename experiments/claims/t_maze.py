"""Bakker's T-maze: which way to turn at the end of a corridor was displayed at its start.

The start shows 011 if the goal is north at the junction, or 110 if south; the corridor shows 101, or
a0b with a and b uniform in [0, 1] as noise; the junction, N steps on, 010. The actions are north, east,
south and west. The right turn at the junction is worth 4, the wrong one -0.1, and both end the
episode; a step against a wall is worth -0.1. A trial is solved if more than 80 % of its latest turns
are right, with the stochastic policy.

Network and algorithm are the publication's: 12 hidden units and 3 memory cells that all see each
other, the truncated gradient at every step, Advantage(lambda), and directed exploration, in which a
feedforward network predicts where errors are large and raises the temperature there. Its rates, its
biases and the scale of the temperature are not in the publication as we know it. They were chosen on
other seeds.

Reference:
  B. Bakker. Reinforcement learning with long short-term memory. NIPS 14, 2001.
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

LENGTHS = (10, 30, 50, 70)
STEPS, CHUNK = 600_000, 20_000  # of a trial, of a compiled call
SHARE = 0.8  # of right turns
WINDOW = 100  # turns, the time constant of their running share
NET = Architecture(num_inputs=3, blocks=(1, 1, 1), num_outputs=4, num_hidden=12, output="identity")
HYPERPARAMETERS = {
    "discount": 0.98,
    "decay": 0.8,
    "kappa": 0.1,  # of Advantage learning: how much the best action's advantage stands out
    "learning_rate": 0.002,
    "input_gate_bias": -3.0,
    "explorer_units": 8,
    "explorer_rate": 0.01,
    "explorer_discount": 0.8,
    "temperature": (0.06, 0.05, 5.0),  # scale of the explorer's output, least and most
}
DISCOUNT, KAPPA = HYPERPARAMETERS["discount"], HYPERPARAMETERS["kappa"]
OPTIMISER = optax.chain(
    streaming.eligibility_traces(DISCOUNT * HYPERPARAMETERS["decay"]),
    optax.sgd(HYPERPARAMETERS["learning_rate"]),
)
NORTH, EAST, SOUTH, WEST = range(4)


class Maze(NamedTuple):
    """A corridor; part of the compiled program's arguments.

    Attributes:
      length: N, steps from the start to the junction.
      noise: whether the corridor is a0b.
    """

    length: int | jax.Array
    noise: bool | jax.Array


class Place(NamedTuple):
    """Where the agent is, int32, and whether the goal is north."""

    position: jax.Array
    is_north: jax.Array


def observe(maze: Maze, place: Place, noise: jax.Array) -> jax.Array:
    """Return what the agent sees, [3], with two random numbers for the noise.

    >>> [observe(Maze(5, False), Place(jnp.int32(i), jnp.bool(True)), jnp.ones(2)).tolist()
    ...  for i in (0, 1, 5)]
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    start = jnp.where(place.is_north, jnp.array([0.0, 1.0, 1.0]), jnp.array([1.0, 1.0, 0.0]))
    a, b = jnp.where(maze.noise, noise, 1.0)
    corridor = jnp.where(place.position == 0, start, jnp.stack([a, jnp.zeros(()), b]))
    return jnp.where(place.position == maze.length, jnp.array([0.0, 1.0, 0.0]), corridor)


def move(maze: Maze, place: Place, action: jax.Array) -> tuple[Place, jax.Array, jax.Array]:
    """Return the next place, the reward, and whether the episode has ended."""
    is_turn = (place.position == maze.length) & ((action == NORTH) | (action == SOUTH))
    is_right = is_turn & ((action == NORTH) == place.is_north)
    change = jnp.where(action == EAST, 1, jnp.where(action == WEST, -1, 0))
    position = jnp.clip(place.position + change, 0, maze.length)
    against_wall = ~is_turn & (position == place.position)
    reward = jnp.where(is_right, 4.0, jnp.where(is_turn | against_wall, -0.1, 0.0))
    return place._replace(position=position), reward, is_turn


class Explorer(NamedTuple):
    """A network of tanh units that predicts discounted sums of absolute errors."""

    inputs: jax.Array  # [3, units]
    bias: jax.Array
    output: jax.Array

    def __call__(self, x_t: jax.Array) -> jax.Array:
        """Return the prediction, []."""
        return jnp.tanh(x_t @ self.inputs + self.bias) @ self.output


class Agent(NamedTuple):
    """The state of one trial."""

    key: jax.Array
    learner: Learner
    explorer: Explorer
    place: Place
    x_t: jax.Array
    steps: jax.Array
    share: jax.Array  # of right turns, running
    turns: jax.Array


def init(key: jax.Array, maze: Maze) -> Agent:
    """Return a trial before its first step."""
    keys = [jax.random.fold_in(key, i) for i in range(3)]
    bias = (HYPERPARAMETERS["input_gate_bias"],) * NET.num_blocks
    parameters = initialise(keys[0], NET, input_gate_bias=bias)
    units = HYPERPARAMETERS["explorer_units"]
    first = jax.random.uniform(keys[1], (3, units), minval=-0.5, maxval=0.5)
    explorer = Explorer(first, jnp.zeros(units), jnp.zeros(units))
    place = Place(jnp.int32(0), jax.random.bernoulli(keys[2]))
    x_t = observe(maze, place, jnp.ones(2))
    learner = init_learner(NET, parameters, OPTIMISER)
    return Agent(key, learner, explorer, place, x_t, jnp.int32(0), jnp.zeros(()), jnp.int32(0))


def act(agent: Agent, maze: Maze) -> Agent:
    """Take one action by the Boltzmann policy and learn from it."""
    draws = jax.random.uniform(jax.random.fold_in(agent.key, agent.steps + 3), (4,))
    advantages = _outputs(agent.learner, agent.x_t)
    scale, least, most = HYPERPARAMETERS["temperature"]
    temperature = jnp.clip(scale * agent.explorer(agent.x_t), least, most)
    policy = jax.nn.softmax(advantages / temperature)
    action = jnp.minimum((draws[0] >= jnp.cumsum(policy)).sum(), 3)
    _, learner = learn(NET, agent.learner, agent.x_t, signal=jax.nn.one_hot(action, 4))

    place, reward, is_end = move(maze, agent.place, action)
    next_x = observe(maze, place, draws[1:3])
    value = jnp.max(advantages)
    next_value = jnp.where(is_end, 0, DISCOUNT * jnp.max(_outputs(learner, next_x)))
    error = value + (reward + next_value - value) / KAPPA - advantages[action]
    learner = update(OPTIMISER, learner, td_error=error, reset=is_end)
    learner = tree_where(is_end, start_sequence(NET, learner), learner)

    fresh = Place(jnp.int32(0), draws[3] < 0.5)
    place = tree_where(is_end, fresh, place)
    is_right = (reward > 0).astype(jnp.float32)
    rate = 1 / jnp.minimum(agent.turns + 1, WINDOW)
    return Agent(
        key=agent.key,
        learner=learner,
        explorer=_explore(agent.explorer, agent.x_t, next_x, error, is_end),
        place=place,
        x_t=jnp.where(is_end, observe(maze, fresh, draws[1:3]), next_x),
        steps=agent.steps + 1,
        share=jnp.where(is_end, agent.share + rate * (is_right - agent.share), agent.share),
        turns=agent.turns + is_end.astype(jnp.int32),
    )


def _outputs(learner: Learner, x_t: jax.Array) -> jax.Array:
    state = step(NET, learner.parameters, learner.state, x_t)
    return output_units(NET, learner.parameters.output, state)


def _explore(
    explorer: Explorer, x_t: jax.Array, next_x: jax.Array, error: jax.Array, is_end: jax.Array
) -> Explorer:
    """Move the explorer's prediction towards |E(t)| + β times the next one."""
    later = HYPERPARAMETERS["explorer_discount"] * explorer(next_x)
    target = jnp.abs(error) + jnp.where(is_end, 0, later)
    gradient = jax.grad(lambda explorer: (explorer(x_t) - target) ** 2 / 2)(explorer)
    return jax.tree.map(lambda w, g: w - HYPERPARAMETERS["explorer_rate"] * g, explorer, gradient)


@functools.partial(jax.jit, donate_argnums=0)
def run(agents: Agent, maze: Maze) -> Agent:
    """Take the steps of a chunk with every trial."""
    body = lambda agents, _: (jax.vmap(act, (0, None))(agents, maze), None)
    return jax.lax.scan(body, agents, None, length=CHUNK)[0]


def mazes() -> dict[str, Maze]:
    """Learn Bakker's T-maze with his network and Advantage(lambda), with and without noise."""
    return {
        f"N = {length}{', noise' if noise else ''}": Maze(length, noise)
        for noise in (False, True)
        for length in LENGTHS
    }


def measure(maze: Maze, options: ClaimOptions) -> Document:
    """Return the number `solved` at the end, and `share` after every chunk, [chunks][trials]."""
    case = jax.random.fold_in(jax.random.key(options.seed), 2 * maze.length + maze.noise)
    keys = jax.vmap(lambda trial: jax.random.fold_in(case, trial))(jnp.arange(options.trials))
    maze = Maze(jnp.int32(maze.length), jnp.bool(maze.noise))
    agents = jax.jit(jax.vmap(init, (0, None)))(keys, maze)
    shares = []
    for _ in range(STEPS // CHUNK):
        agents = run(agents, maze)
        shares.append(np.where(agents.turns >= WINDOW, agents.share, 0).round(3).tolist())
    return {"solved": int((np.array(shares[-1]) > SHARE).sum()), "share": shares}


def draw(document: Document) -> style.Figure:
    """Draw the share of right turns of every trial during training."""
    figure, axes = style.new_figure(12, 6, rows=2, columns=len(LENGTHS))
    for panel, (label, found) in zip(axes, document["variants"].items(), strict=True):
        shares = np.array(found["share"])
        steps = CHUNK * (1 + np.arange(len(shares)))
        panel.plot(steps, shares, color=style.LINES[0], lw=0.8, alpha=0.7)
        panel.axhline(SHARE, color=style.BLACK, linestyle=":")
        panel.set(ylim=(-0.02, 1.02), title=f"{label}: {found['solved']} of {document['trials']}")
        style.format_counts(panel)
    axes[0].set_ylabel("right turns")
    axes[len(LENGTHS)].set(ylabel="right turns", xlabel="steps")
    return figure
