"""Recurrent cascade correlation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_equal, quick_jit
from small_tasks import as_a_user_compiles

from lstm_jax.baselines.cascade_correlation import (
    CANDIDATES,
    OUTPUTS,
    CascadeCorrelation,
    CascadeModel,
    covariance,
    run_candidates,
    run_units,
    score_gradient,
)
from lstm_jax.tasks import reber
from lstm_jax.tasks.task import Example, in_turn

INPUTS, K, T, N = 2, 3, 6, 5  # K outputs, T steps, N sequences, of the random set


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision for one test; the other ones train in float32, as trials do."""
    with jax.enable_x64(True):
        yield


def _random_set(seed: int = 0) -> Example:
    """N sequences of unequal length; what lies in the padding is absurd."""
    rng = np.random.default_rng(seed)
    lengths = np.array([6, 3, 5, 1, 4], np.int32)
    is_padding = np.arange(T) >= lengths[:, None]
    inputs = np.where(is_padding[..., None], 99.0, rng.normal(size=(N, T, INPUTS)))
    targets = np.where(is_padding[..., None], -99.0, rng.random((N, T, K)))
    return Example(inputs, targets, targets, lengths)


def _grown(rule: CascadeCorrelation, num_units: int, seed: int = 0) -> CascadeModel:
    """A net with some hidden units, all weights far from 0, at the start of a candidate pass."""
    rng = np.random.default_rng(seed)
    model = rule.init(jax.random.key(seed), jnp.float64)
    draw = lambda like: jnp.asarray(rng.uniform(-1.5, 1.5, like.shape))
    has_joined = np.arange(rule.num_sources) < rule.num_inputs + 1 + num_units
    return model._replace(
        hidden=draw(model.hidden).at[num_units:].set(0),
        output=jnp.where(has_joined[:, None], draw(model.output), 0),
        candidate=draw(model.candidate),
        num_units=jnp.asarray(num_units, jnp.int32),
        phase=jnp.asarray(CANDIDATES, jnp.int32),
    )


@functools.cache
def _jitted_train_step(rule: CascadeCorrelation):
    return quick_jit(rule.train_step)


def _train(rule: CascadeCorrelation, model: CascadeModel, examples: Example) -> CascadeModel:
    for n in range(N):
        example = jax.tree.map(lambda a, n=n: jnp.asarray(a[n]), examples)
        model, _ = _jitted_train_step(rule)(model, example, n)
    return model


def _numpy_values(weights, hidden, num_units, inputs):
    """Step by step, unit by unit: what the outputs see, and the candidates' values."""
    units, num_given = len(hidden), inputs.shape[1] + 1
    sources, values = [], []
    v, c = np.zeros(units), np.zeros(len(weights))
    squash = lambda x: 1 / (1 + np.exp(-x)) - 0.5
    for x in inputs:
        given, new = np.append(x, 1.0), np.zeros(units)
        for i in range(num_units):
            net = hidden[i, :num_given] @ given + hidden[i, -1] * v[i]
            net += sum(hidden[i, num_given + j] * new[j] for j in range(i))
            new[i] = squash(net)
        v = new
        seen = np.concatenate([given, v])
        c = squash(weights[:, :-1] @ seen + weights[:, -1] * c)
        sources.append(seen)
        values.append(c)
    return np.array(sources), np.array(values)


def _numpy_pass(model: CascadeModel, weights, examples: Example) -> tuple[list, list]:
    """Every real step's candidate values and output errors, over the whole set."""
    values, errors = [], []
    hidden, output = np.asarray(model.hidden), np.asarray(model.output)
    for inputs, targets, length in zip(
        examples.inputs, examples.targets, examples.length, strict=True
    ):
        seen, v = _numpy_values(weights, hidden, int(model.num_units), inputs[:length])
        values += list(v)
        errors += list(1 / (1 + np.exp(-seen @ output)) - targets[:length])
    return values, errors


def _numpy_scores(model: CascadeModel, weights, examples: Example) -> np.ndarray:
    """Σ_o |Cov(v, e_o)| / Σ e², by NumPy's own covariance."""
    values, errors = map(np.array, _numpy_pass(model, weights, examples))
    together = np.cov(values.T, errors.T, bias=True) * len(values)
    count = values.shape[1]
    return np.abs(together[:count, count:]).sum(1) / (errors**2).sum()


# A pass does not end after N sequences.
RULE = CascadeCorrelation(INPUTS, K, epoch=N + 1, max_units=3, num_candidates=4)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("num_units", [0, 2])
def test_the_score_is_that_of_an_independent_computation(num_units):
    model, examples = _grown(RULE, num_units), _random_set()
    _, scores = covariance(_train(RULE, model, examples).sums)
    expected = _numpy_scores(model, np.asarray(model.candidate), examples)
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.usefixtures("double")
def test_the_derivatives_carried_forward_are_those_of_autodiff():
    """∂v(t)/∂w by the recursion equals autodiff through the scan, at every step."""
    model = _grown(RULE, 2)
    sources = jnp.asarray(np.random.default_rng(1).normal(size=(T, RULE.num_sources)))
    _, derivatives = run_candidates(model.candidate, sources)
    by_autodiff = quick_jit(jax.jacrev(lambda w: run_candidates(w[None], sources)[0][:, 0]))
    for c, weights in enumerate(model.candidate):
        np.testing.assert_allclose(derivatives[:, c], by_autodiff(weights), rtol=1e-10, atol=1e-14)


@pytest.mark.usefixtures("double")
def test_score_gradient_is_the_gradient_of_the_score():
    """...by finite differences of the NumPy computation."""
    model, examples = _grown(RULE, 2), _random_set()
    found, candidate = (
        score_gradient(_train(RULE, model, examples).sums),
        np.asarray(model.candidate),
    )
    for m in range(candidate.shape[1]):
        change = np.zeros_like(candidate)
        change[:, m] = 1e-6
        up, down = (_numpy_scores(model, candidate + s * change, examples) for s in (1, -1))
        np.testing.assert_allclose(found[:, m], (up - down) / 2e-6, atol=1e-8)


@pytest.mark.usefixtures("double")
def test_output_gradient_is_the_gradient_of_half_the_squared_error():
    rule = CascadeCorrelation(INPUTS, K, epoch=N + 1, max_units=3, derivative_offset=0.0)
    model, examples = _grown(rule, 2)._replace(phase=jnp.int32(OUTPUTS)), _random_set()

    def half_squared_error(output):
        total = 0.0
        for n, length in enumerate(examples.length):
            sources = run_units(model.hidden, model.num_units, jnp.asarray(examples.inputs[n]))
            errors = jax.nn.sigmoid(sources @ output) - examples.targets[n]
            total += 0.5 * jnp.sum(errors[:length] ** 2)
        return total

    sums = _train(rule, model, examples).sums
    expected = quick_jit(jax.grad(half_squared_error))(model.output)
    np.testing.assert_allclose(sums.output_gradient, expected, rtol=1e-10)
    np.testing.assert_allclose(sums.squared_error, 2 * half_squared_error(model.output))
    assert float(sums.steps) == examples.length.sum()


def _parity() -> Example:
    """All sequences of 5 bits; the target is the parity of the last two, at every step."""
    bits = (np.arange(32)[:, None] >> np.arange(5) & 1).astype(np.float32)
    targets = (bits != np.pad(bits[:, :-1], ((0, 0), (1, 0)))).astype(np.float32)[..., None]
    lengths = np.full(32, 5, np.int32)
    return jax.tree.map(jnp.asarray, Example(bits[..., None], targets, targets, lengths))


@pytest.fixture(scope="module")
def trained() -> tuple[CascadeModel, float]:
    """A trial as it was after each of 800 passes, and its largest error at the end."""
    examples = _parity()
    rule = CascadeCorrelation(1, 1, epoch=32, max_units=8)

    def one(model, n):
        return rule.train_step(model, in_turn(examples, n), n)[0], None

    def one_pass(model, i):
        model, _ = jax.lax.scan(one, model, 32 * i + jnp.arange(32))
        return model, model

    # The trajectory depends on the last bits.
    all_passes = lambda model: jax.lax.scan(one_pass, model, jnp.arange(800))
    run = jax.jit(all_passes, compiler_options=as_a_user_compiles())
    model, after_passes = run(rule.init(jax.random.key(3)))
    outputs = jax.vmap(rule.outputs, in_axes=(None, 0))(model, examples)
    return jax.tree.map(np.asarray, after_passes), float(np.abs(outputs - examples.targets).max())


def test_a_small_task_is_learned(trained):
    passes, worst = trained
    assert passes.num_units[0] == 0 and passes.num_units[-1] >= 2
    assert worst < 0.2


def test_a_frozen_unit_never_changes(trained):
    passes, _ = trained
    for unit in range(passes.num_units[-1]):
        since = np.flatnonzero(passes.num_units > unit)[0]
        assert np.all(passes.hidden[since:, unit] == passes.hidden[since, unit])
        assert np.all(passes.hidden[:since, unit] == 0)


def test_each_phase_trains_its_own_weights_and_ends_by_patience_or_time(trained):
    passes, _ = trained
    same = passes.phase[1:] == passes.phase[:-1]
    moved = lambda a: np.any(a[1:] != a[:-1], axis=tuple(range(1, a.ndim)))
    in_candidates = same & (passes.phase[1:] == CANDIDATES)
    in_outputs = same & (passes.phase[1:] == OUTPUTS) & (passes.num_units[1:] < 8)
    # At its optimum a pool's updates are below float32: then it rests until its phase ends.
    starts = in_candidates & ~np.append(False, in_candidates[:-1])
    rests = in_candidates & ~moved(passes.candidate)
    # Two units learn the task. What later pools have left depends on the last bits, and may be 0.
    assert starts.any() and not rests[starts][:2].any()
    assert rests[1:][rests[:-1] & in_candidates[1:]].all()
    assert not (moved(passes.output) | moved(passes.hidden))[in_candidates].any()
    assert in_outputs.any() and not moved(passes.candidate)[in_outputs].any()
    turns = np.flatnonzero(~same)
    assert np.all(np.diff(turns) >= 9) and np.all(np.diff(turns) <= 100)
    assert np.all(passes.stale[turns] >= 7) or np.any(np.diff(turns) == 100)


def test_the_best_candidate_joins_with_outgoing_weights_only(trained):
    passes, _ = trained
    for i in np.flatnonzero(np.diff(passes.num_units)):
        unit = passes.num_units[i]
        before, after = (passes.output[j] for j in (i, i + 1))
        assert np.any(np.all(passes.candidate[i] == passes.hidden[i + 1, unit], axis=1))
        changed = np.any(before != after, axis=1)
        assert not np.delete(changed, 2 + unit).any()
        assert changed[2 + unit] or unit >= 2  # two learn the task; later ones may have none left
        assert np.all(before[2 + unit :] == 0)


@pytest.mark.usefixtures("double")
def test_a_candidate_that_overflows_does_not_join():
    """The best of the others does, as if the pool had been without it."""
    rule = dataclasses.replace(RULE, epoch=N, max_epochs=1)
    examples, whole = _random_set(), _grown(rule, 1)
    scores = covariance(_train(RULE, whole, examples).sums)[1]
    best, second = np.argsort(-scores)[:2]
    for value in (np.inf, np.nan):
        model = whole._replace(candidate=whole.candidate.at[best].set(value))
        without = covariance(_train(RULE, model, examples).sums)[1]
        assert without[best] == 0 and np.argmax(without) == second
        model = _train(rule, model, examples)
        assert model.num_units == 2
        assert_equal(model.hidden[1], whole.candidate[second])
        assert np.isfinite(model.output).all()


def test_nets_without_hidden_units_learn_what_follows_b_in_the_reber_grammar():
    training_set = reber.training_set(reber.prepare(jax.random.key(0), 0))
    rule = CascadeCorrelation(7, 7, max_units=1)

    def train(key):
        body = lambda n, model: rule.train_step(model, in_turn(training_set, n), n)[0]
        return jax.lax.fori_loop(0, 256 * 12, body, rule.init(key))

    model = quick_jit(train)(jax.random.key(0))
    first = rule.outputs(model, jax.tree.map(lambda a: a[0], training_set))[0]
    order = "".join(reber.SYMBOLS[i] for i in np.argsort(first)[::-1])
    assert set(order[:2]) == set("TP")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_units": 0}, "max_units must be an integer of at least 1, got 0"),
        ({"patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"init_range": 0.0}, "init_range must be positive and"),
    ],
)
def test_fields_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CascadeCorrelation(7, 7, **arguments)
