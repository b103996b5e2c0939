"""All rows: the paper's hyperparameters and numbers, and the contract of every sampler."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lstm_jax.tasks import Hyperparameters, StreamRule, make_task, row_names
from lstm_jax.tasks import task as base

R = None  # a random bias
IN_3, OUT_3 = (-1, -3, -5), (-2, -4, -6)
REBER_4, REBER_3 = (-1, -2, -3, -4), (-1, -2, -3)
LAST_10_000 = StreamRule(10_000)
REBER_TEST = base.TestRule(500, 512)


def on_256(max_wrong: int, mean_error: float | None = None) -> base.TestRule:
    return base.TestRule(1000, 256, max_wrong, mean_error)


# fmt: off
# name, W, rate a, initial range, input and output gate biases, trials, longest sequence, rule,
# published mean number of sequences
ROWS = (
    ("1-1", 264, 0.1, 0.2, R, REBER_4, 30, 49, REBER_TEST, 39_740),
    ("1-2", 276, 0.1, 0.2, R, REBER_3, 30, 49, REBER_TEST, 21_730),
    ("1-3", 276, 0.2, 0.2, R, REBER_3, 30, 49, REBER_TEST, 14_060),
    ("1-4", 264, 0.5, 0.2, R, REBER_4, 30, 49, REBER_TEST, 9_500),
    ("1-5", 276, 0.5, 0.2, R, REBER_3, 30, 49, REBER_TEST, 8_440),
    ("2a", 10504, 1.0, 0.2, R, R, 18, 100, LAST_10_000, 5_040),
    ("2b", 10504, 1.0, 0.2, R, R, 18, 100, LAST_10_000, 5_680),
    ("2c-50-50", 364, 0.01, 0.2, R, R, 20, 204, LAST_10_000, 30_000),
    ("2c-100-100", 664, 0.01, 0.2, R, R, 20, 254, LAST_10_000, 31_000),
    ("2c-200-200", 1264, 0.01, 0.2, R, R, 20, 354, LAST_10_000, 33_000),
    ("2c-500-500", 3064, 0.01, 0.2, R, R, 20, 654, LAST_10_000, 38_000),
    ("2c-1000-1000", 6064, 0.01, 0.2, R, R, 20, 1154, LAST_10_000, 49_000),
    ("2c-1000-500", 3064, 0.01, 0.2, R, R, 20, 1154, LAST_10_000, 49_000),
    ("2c-1000-200", 1264, 0.01, 0.2, R, R, 20, 1154, LAST_10_000, 75_000),
    ("2c-1000-100", 664, 0.01, 0.2, R, R, 20, 1154, LAST_10_000, 135_000),
    ("2c-1000-50", 364, 0.01, 0.2, R, R, 20, 1154, LAST_10_000, 203_000),
    ("3a-100-3", 102, 1.0, 0.1, IN_3, OUT_3, 10, 110, on_256(0, 0.01), 39_850),
    ("3a-100-1", 102, 1.0, 0.1, IN_3, OUT_3, 10, 110, on_256(0, 0.01), 64_330),
    ("3a-1000-3", 102, 1.0, 0.1, IN_3, OUT_3, 10, 1100, on_256(0, 0.01), 452_460),
    ("3b-100-3", 102, 1.0, 0.1, IN_3, OUT_3, 10, 110, on_256(5, 0.04), 43_250),
    ("3b-100-1", 102, 1.0, 0.1, IN_3, OUT_3, 10, 110, on_256(5, 0.04), 78_430),
    ("3b-1000-1", 102, 1.0, 0.1, IN_3, OUT_3, 10, 1100, on_256(5, 0.04), 485_080),
    ("3c-100-3", 102, 0.1, 0.1, IN_3, OUT_3, 10, 110, on_256(0, 0.015), 269_650),
    ("3c-100-1", 102, 0.1, 0.1, IN_3, OUT_3, 10, 110, on_256(0, 0.015), 565_640),
    ("4-100", 93, 0.5, 0.1, (-3, -6), R, 10, 110, StreamRule(2000, 0, 0.01), 74_000),
    ("4-500", 93, 0.5, 0.1, (-3, -6), R, 10, 550, StreamRule(2000, 0, 0.01), 209_000),
    ("4-1000", 93, 0.5, 0.1, (-3, -6), R, 10, 1100, StreamRule(2000, 0, 0.01), 853_000),
    ("5-140", 93, 0.1, 0.1, R, R, 10, 110, StreamRule(2000, 139), 482_000),
    ("5-13", 93, 0.1, 0.1, R, R, 10, 110, StreamRule(2000, 12), 1_273_000),
    ("6a", 156, 0.5, 0.1, (-2, -4), R, 20, 110, StreamRule(2000, 0, 0.1), 31_390),
    ("6b", 308, 0.1, 0.1, (-2, -4, -6), R, 10, 110, StreamRule(2000, 0, 0.1), 571_100),
)
# fmt: on

# The published numbers besides the mean number of sequences.
PUBLISHED = {
    "1-1": {"table": "Table 1", "success_rate": 100.0},
    "1-2": {"table": "Table 1", "success_rate": 100.0},
    "1-3": {"table": "Table 1", "success_rate": 97.0},
    "1-4": {"table": "Table 1", "success_rate": 97.0},
    "1-5": {"table": "Table 1", "success_rate": 100.0},
    "2a": {"table": "Table 2", "success_rate": 100.0},
    "2b": {"table": "text", "success_rate": 100.0},
    "2c-1000-50": {"table": "Table 3"},
    "3a-100-3": {"table": "Table 4", "first": 27_380, "test_fraction": 0.000195},
    "3a-100-1": {"table": "Table 4", "first": 58_370, "test_fraction": 0.000117},
    "3a-1000-3": {"table": "Table 4", "first": 446_850, "test_fraction": 0.000078},
    "3b-100-3": {"table": "Table 5", "first": 41_740, "test_fraction": 0.00828},
    "3b-100-1": {"table": "Table 5", "first": 74_950, "test_fraction": 0.01500},
    "3b-1000-1": {"table": "Table 5", "first": 481_060, "test_fraction": 0.01207},
    "3c-100-3": {"table": "Table 6", "test_fraction": 0.00558, "test_error": 0.014},
    "3c-100-1": {"table": "Table 6", "test_fraction": 0.00441, "test_error": 0.012},
    "4-100": {"table": "Table 7", "test_wrong": 1},
    "4-500": {"table": "Table 7", "test_wrong": 0},
    "4-1000": {"table": "Table 7", "test_wrong": 1},
    "5-140": {"table": "Table 8", "test_wrong": 139, "test_error": 0.0223},
    "5-13": {"table": "Table 8", "test_wrong": 14, "test_error": 0.0139},
    "6a": {"table": "Table 9", "success_rate": 100.0, "test_wrong": 1},
    "6b": {"table": "Table 9", "success_rate": 100.0, "test_wrong": 2},
}

# One row of each sampler, with the distance below which outputs are correct; None: no distance.
SAMPLERS = {
    "1-1": None,
    "2a": 0.25,
    "2b": 0.25,
    "2c-50-50": 0.2,
    "3a-100-3": 0.2,
    "3b-100-1": 0.2,
    "3c-100-3": 0.1,
    "4-100": 0.04,
    "5-13": 0.04,
    "6a": 0.3,
    "6b": 0.3,
}


def test_rows_are_the_papers_in_its_order():
    assert row_names() == tuple(row[0] for row in ROWS)
    with pytest.raises(ValueError, match=r"task must be one of 1-1, .*, 6b, got '7'"):
        make_task("7")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_hyperparameters_and_rules_are_the_papers(row):
    name, weights, rate, init_range, in_bias, out_bias, trials, longest, rule, mean = row
    task = make_task(name)
    assert (task.name, task.architecture.num_weights) == (name, weights)
    assert task.hyperparameters == Hyperparameters(rate, init_range, in_bias, out_bias)
    assert (task.trials, task.max_length, task.rule) == (trials, longest, rule)
    assert task.published.mean_sequences == mean
    assert task.max_sequences == (5_000_000 if name in ("2a", "2b") else 10 * mean)
    assert task.sequential_construction == (name in ("2a", "2b"))
    assert task.first_rule == (on_256(rule.max_wrong) if name[:2] in ("3a", "3b") else None)
    for bias in (in_bias, out_bias):
        assert bias is R or len(bias) == task.architecture.num_blocks


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_are_the_papers(name):
    published = make_task(name).published
    names = ("table", "success_rate", "test_wrong", "test_fraction", "test_error")
    given = {field: getattr(published, field) for field in names}
    given["first"] = published.first_mean_sequences
    assert {field: value for field, value in given.items() if value is not None} == PUBLISHED[name]


@pytest.mark.parametrize("name", SAMPLERS)
def test_sequences_fit_the_network(name, draw):
    task, batch = make_task(name), draw(name)
    longest, net, size = task.max_length, task.architecture, len(batch.length)
    assert (batch.inputs.shape[1:], batch.inputs.dtype) in (
        ((longest,), np.int32),
        ((longest, net.num_inputs), np.float32),
    )
    if batch.inputs.dtype == np.int32:
        assert np.min(batch.inputs) >= 0 and np.max(batch.inputs) < net.num_inputs
    else:  # padded with zeros
        is_padding = np.arange(longest) >= batch.length[:, None]
        assert np.any(is_padding) and not np.any(batch.inputs[is_padding])
    shape = (net.num_outputs,) if task.error_at == "end" else (longest, net.num_outputs)
    for targets in (batch.targets, batch.true_targets):
        assert (targets.shape, targets.dtype) == ((size, *shape), np.float32)
    assert (batch.length.shape, batch.length.dtype) == ((size,), np.int32)
    assert np.min(batch.length) >= 1 and np.max(batch.length) <= longest


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_sequence_i_of_a_batch_is_that_of_key_i(name, x64, draw_with_keys):
    """...whatever the default precision is."""
    keys, data, batch = draw_with_keys(name)
    assert np.any(batch.inputs[1:] != batch.inputs[0])
    with jax.enable_x64(x64):
        sample = jax.jit(make_task(name).sample)
        for i in (0, 1999):
            # Up to the last bit: compiled differently, sums and products are rounded differently.
            pairs = zip(*map(jax.tree.leaves, (sample(keys[i], data), batch)), strict=True)
            for one, many in pairs:
                assert one.dtype == many.dtype
                np.testing.assert_allclose(one, many[i], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if SAMPLERS[name]])
def test_outputs_are_correct_up_to_the_tolerance(name, draw):
    tolerance = SAMPLERS[name]
    is_correct = jax.jit(jax.vmap(make_task(name).is_correct))
    batch = jax.tree.map(lambda x: x[:20], draw(name))
    for sign in (-1, 1):
        near = batch.true_targets + np.float32(sign * (tolerance - 1e-3))
        assert np.all(is_correct(near, batch))
        # A single output is enough to make a sequence wrong.
        far = near.copy()
        far[..., -1] = batch.true_targets[..., -1] + np.float32(sign * (tolerance + 1e-3))
        assert not np.any(is_correct(far, batch))
