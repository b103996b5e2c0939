"""The environments of the claims of online learning are those that their texts describe."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.claims import exactness, memory_length, t_maze, trace_patterning
from experiments.claims.base import ClaimOptions
from experiments.claims.t_maze import EAST, NORTH, SOUTH, WEST, Maze, Place


@pytest.fixture(scope="module", autouse=True)
def as_a_user():
    """JAX's defaults instead of the tests' stricter settings, as the command has them."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_the_t_maze_rewards_the_right_turn_alone():
    maze = Maze(5, False)
    table = [  # position, action, goal in the north: position, reward, end
        *((0, EAST, True, 1, 0.0, False), (0, WEST, True, 0, -0.1, False)),
        *((3, NORTH, True, 3, -0.1, False), (3, WEST, False, 2, 0.0, False)),
        *((5, NORTH, True, 5, 4.0, True), (5, SOUTH, True, 5, -0.1, True)),
        *((5, SOUTH, False, 5, 4.0, True), (5, NORTH, False, 5, -0.1, True)),
        *((5, EAST, False, 5, -0.1, False), (5, WEST, True, 4, 0.0, False)),
    ]
    for position, action, is_north, *expected in table:
        place = Place(jnp.int32(position), jnp.bool(is_north))
        found, reward, is_end = t_maze.move(maze, place, jnp.int32(action))
        assert [int(found.position), round(float(reward), 3), bool(is_end)] == expected
        assert bool(found.is_north) == is_north


def test_the_corridor_hides_the_goal_and_noise_hides_nothing_else():
    see = lambda noise, position, is_north: t_maze.observe(
        Maze(5, noise), Place(jnp.int32(position), jnp.bool(is_north)), jnp.array([0.3, 0.7])
    ).tolist()
    for noise in (False, True):
        assert (see(noise, 0, True), see(noise, 0, False)) == ([0, 1, 1], [1, 1, 0])
        for position in range(1, 6):
            assert see(noise, position, True) == see(noise, position, False)
        assert see(noise, 5, True) == [0, 1, 0]
    np.testing.assert_allclose(
        (see(False, 2, True), see(True, 2, True)), ([1, 0, 1], [0.3, 0, 0.7])
    )


def test_bsuite_s_chain_has_its_bit_at_the_first_step_and_its_answer_at_the_last():
    see = lambda time: memory_length.observe(jnp.int32(4), jnp.int32(time), jnp.int32(0)).tolist()
    assert [see(t) for t in range(4)] == [[1, 0, -1], [0.75, 0, 0], [0.5, 0, 0], [0.25, 0, 0]]
    agents = jax.vmap(memory_length.init)(jax.random.split(jax.random.key(0), 64))
    assert 16 < int(agents.bit.sum()) < 48
    ended = jax.jit(jax.vmap(memory_length.act, (0, None)))(agents, jnp.int32(1))
    assert 16 < int(ended.wrong.sum()) < 48 and not ended.time.any()  # by chance before learning
    state = ended.learner.state.internal_state
    np.testing.assert_array_equal(state, jnp.zeros_like(state))


def test_the_score_is_the_share_of_lengths_below_the_limit():
    regrets = ([0.1, 0.74], [0.75, 0.2], [0.3, 0.9], [0.1, 0.1])
    document = {"variants": {str(i): {"regret": regret} for i, regret in enumerate(regrets)}}
    assert memory_length.scores(document) == [0.75, 0.75]


@pytest.fixture(scope="module")
def stream() -> tuple:
    """A long stream of patterns: its observations, worlds and true values."""
    order = np.random.default_rng(0).permutation(20)
    world = trace_patterning.World(jnp.array(order < 10), *map(jnp.int32, (0, -1, 1)))

    def body(world, key):
        world, x_t = trace_patterning.advance(world, key)
        return world, (x_t, world, trace_patterning.true_value(world))

    keys = jax.random.split(jax.random.key(0), 600_000)
    _, (observed, worlds, values) = jax.lax.scan(body, world, keys)
    return np.asarray(observed), worlds, np.asarray(values)


def test_true_values_are_the_discounted_sums_of_what_follows(stream: tuple):
    observed, worlds, values = stream
    expected, total = np.zeros(len(values)), 0.0
    for t in reversed(range(len(values))):
        expected[t] = total
        total = observed[t, 6] + trace_patterning.DISCOUNT * total
    # ...from the patterns on; the stimulus of the next trial is at least 95 steps further.
    is_told = np.asarray(worlds.until_us) > 0
    assert np.abs(values - expected)[is_told][:-200].max() < trace_patterning.DISCOUNT**90
    assert not values[~is_told].any()


def test_patterns_intervals_and_distractors_are_those_of_the_text(stream: tuple):
    observed, worlds, _ = stream
    starts = np.flatnonzero(observed[:, :6].any(1))
    assert {*observed[starts, :6].sum(1)} == {3.0} and len({*worlds.pattern.tolist()}) == 20
    delays = np.asarray(worlds.until_us)[starts]
    assert {*delays} == {*range(14, 27)}
    pauses = np.diff(starts) - delays[:-1] - 1
    assert (pauses.min(), pauses.max()) == (80, 120) and abs(pauses.mean() - 100) < 1.5
    followed = observed[:, 6].sum() / len(starts)
    assert abs(followed - 0.5) < 0.05
    np.testing.assert_allclose(observed[:, 7:].mean(0), trace_patterning.DISTRACTORS, rtol=0.1)


def test_the_floors_are_the_errors_of_their_predictors(stream: tuple):
    """The best predictor is made here from counts: the mean value by pattern and time."""
    _, worlds, values = stream
    floors, means = trace_patterning.floors(), []
    announced = np.asarray(worlds.announces[0])[np.asarray(worlds.pattern)]
    until_cs = np.asarray(worlds.until_cs)
    is_start = np.append(True, np.diff(until_cs) > 0)
    steps = np.arange(len(values))
    since = steps - np.maximum.accumulate(np.where(is_start, steps, 0))
    came = announced & (np.asarray(worlds.until_us) <= 0)
    for kind in (since * 2 + came, (since * 2 + came) * 2 + announced):
        totals = np.bincount(kind, values) / np.maximum(np.bincount(kind), 1)
        means.append(((values - totals[kind]) ** 2).mean())
    assert abs((values**2).mean() / floors["zero"] - 1) < 0.05
    assert abs(means[0] / floors["timing"] - 1) < 0.05
    assert abs(means[1] / floors["best"] - 1) < 0.08


def test_without_recurrence_both_gradients_are_exact():
    net = next(iter(exactness.networks().values()))
    net = dataclasses.replace(net, recurrent="none")
    cosines = exactness._cosines(net, jax.random.key(0), jnp.float32(1.0))
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-5)


def test_a_trial_of_patterning_does_not_depend_on_the_number_of_trials(monkeypatch):
    monkeypatch.setattr(trace_patterning, "CHUNK", 300)
    variant = trace_patterning.Variant(trace_patterning.make_net(3, "none"), 600)
    few, many = (trace_patterning.measure(variant, ClaimOptions(n, 3))["error"] for n in (2, 3))
    np.testing.assert_allclose(np.array(many)[:, :2], few, atol=2e-5)
