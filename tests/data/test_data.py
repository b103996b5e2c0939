"""Data of one's own: nothing is lost, doubled or leaked on the way to a batch."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import assert_close

import lstm_jax as lstm
from lstm_jax import data

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 20, 37)
SEQUENCES = [RNG.normal(size=(length, 2)) for length in LENGTHS]
LABELS = RNG.integers(0, 3, 37)


class Frame:
    """What a DataFrame is to the library."""

    def __init__(self, **columns):
        self._columns = columns

    def __getitem__(self, name):
        return self._columns[name]


# Tables ------------------------------------------------------------------------------------------


def test_a_table_gives_its_rows_by_sequence_in_their_order():
    table = Frame(
        patient=np.array(["b", "a", "b", "b"]), x=np.array([1, 2, 3, 4]), y=[5.0, 6.0, 7.0, 8.0]
    )
    np.testing.assert_array_equal(data.columns(table, ["y", "x"]), [[5, 1], [6, 2], [7, 3], [8, 4]])
    ids, (first, second) = data.group(table, ["x", "y"], by="patient")
    assert ids.tolist() == ["b", "a"]
    np.testing.assert_array_equal(first, [[1, 5], [3, 7], [4, 8]])
    np.testing.assert_array_equal(second, [[2, 6]])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["z"], "table must have the column 'z'"),
        (["patient"], "column 'patient' must hold numbers"),
        (["x", "short"], "of one length, got x: 2, short: 1"),
        ("x", "names must be a list"),
        ([], "names must be a list"),
    ],
)
def test_a_column_that_does_not_fit_is_named(names, message):
    table = {"patient": ["a", "b"], "x": [1, 2], "short": [1]}
    with pytest.raises(ValueError, match=message):
        data.columns(table, names)


# Splits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, LABELS])
@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.5, 0.5), (1.0,)])
def test_every_sequence_is_in_one_part(fractions, labels):
    parts = data.split(37, fractions, labels=labels, seed=3)
    assert sorted(np.concatenate(parts).tolist()) == [*range(37)]
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - 37 * fraction) <= 1
    again, other = (data.split(37, fractions, labels=labels, seed=seed) for seed in (3, 4))
    same = [np.array_equal(a, b) for a, b in zip(parts, again, strict=True)]
    assert all(same)
    assert len(parts) == 1 or not np.array_equal(parts[0], other[0])


def test_a_stratified_split_has_every_label_in_proportion():
    labels = np.repeat(["rare", "common"], [10, 90])
    for seed in range(5):
        for part, share in zip(
            data.split(100, (0.6, 0.2, 0.2), labels=labels, seed=seed), (6, 2, 2), strict=True
        ):
            assert abs(np.sum(labels[part] == "rare") - share) <= 1


def test_a_split_by_time_keeps_the_order():
    parts = data.split_time(101)
    assert np.concatenate([np.arange(101)[part] for part in parts]).tolist() == [*range(101)]


@pytest.mark.parametrize("fractions", [(), (0.5, 0.6), (1.5, -0.5), ("a", 1), (0.99, 0.01)])
def test_fractions_that_do_not_fit_are_refused(fractions):
    for divide in (data.split, data.split_time):
        with pytest.raises(ValueError, match="fractions"):
            divide(10, fractions)


# Scaling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["standardise", "min-max"])
def test_the_inverse_undoes_a_scaling(method):
    scaler = data.fit_scaler(SEQUENCES, method)
    for values in (SEQUENCES[0], RNG.normal(size=(4, 5, 2)) * 100):
        scaled = scaler.transform(values)
        assert scaled.dtype == values.dtype
        np.testing.assert_allclose(scaler.inverse(scaled), values, rtol=1e-12, atol=1e-12)
    assert scaler.transform(SEQUENCES[0].astype(np.float32)).dtype == np.float32
    second = scaler.select([1])
    np.testing.assert_array_equal(
        second.transform(SEQUENCES[0][:, 1:]), scaler.transform(SEQUENCES[0])[:, 1:]
    )


def test_what_is_fitted_is_scaled_to_the_promised_range():
    rows = np.concatenate(data.fit_scaler(SEQUENCES).transform(np.concatenate(SEQUENCES))[None])
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(rows.std(0), 1)
    rows = data.fit_scaler(SEQUENCES, "min-max").transform(np.concatenate(SEQUENCES))
    np.testing.assert_allclose([rows.min(0), rows.max(0)], [[0, 0], [1, 1]], atol=1e-15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0, 3.0]], r"channel 0 is 1\.0 throughout"),
        ([[1.0, np.nan], [2.0, 1.0]], "channel 1 holds NaN"),
        ([], "data must hold|data must be"),
        ([["a"]], "data must be an array"),
        (np.zeros((0, 2)), "data must hold at least one number"),
    ],
)
def test_what_cannot_be_scaled_is_refused_in_words(values, message):
    with pytest.raises(ValueError, match=message):
        data.fit_scaler(values)


# Windows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_step", [False, True])
def test_targets_are_the_values_so_many_steps_ahead(every_step):
    series = np.arange(40).reshape(20, 2)
    inputs, targets = data.windows(series, 6, horizon=4, stride=3, every_step=every_step)
    assert inputs.shape == (4, 6, 2)
    np.testing.assert_array_equal(inputs[:, 0, 0], 2 * np.array([0, 3, 6, 9]))
    ahead = inputs + 2 * 4
    np.testing.assert_array_equal(targets, ahead if every_step else ahead[:, -1])
    assert targets.max() <= series.max()


def test_a_series_gives_as_many_windows_as_fit():
    assert len(data.windows(np.arange(10), 6, horizon=4)[0]) == 1
    with pytest.raises(ValueError, match="series must have at least 11 steps"):
        data.windows(np.arange(10), 7, horizon=4)


# Batches -----------------------------------------------------------------------------------------

TAGGED = [np.full(length, i) for i, length in enumerate(LENGTHS)]


@pytest.mark.parametrize("epoch", [None, 0, 7])
@pytest.mark.parametrize("buckets", [1, 3, 50])
def test_every_sequence_is_in_exactly_one_batch_with_its_target(buckets, epoch):
    options = {"size": 5, "buckets": buckets, "epoch": epoch}
    found = []
    for batch in data.batches([tag[:, None] + 0.5 for tag in TAGGED], LABELS, **options):
        assert len(batch.inputs) <= 5
        for inputs, length, label in zip(*batch, strict=True):
            index = int(inputs[0, 0])
            found.append(index)
            assert length == LENGTHS[index] and label == LABELS[index]
            assert (inputs[:length] == index + 0.5).all() and not inputs[length:].any()
    assert sorted(found) == [*range(37)]
    if epoch is None and buckets == 1:
        assert found == [*range(37)]


def test_an_epoch_s_order_follows_from_the_seed_and_the_epoch():
    order = lambda **how: [
        tuple(b.lengths.tolist()) for b in data.batches(TAGGED, size=4, buckets=2, **how)
    ]
    assert order(epoch=3, seed=1) == order(epoch=3, seed=1)
    others = [order(epoch=4, seed=1), order(epoch=3, seed=2), order()]
    assert all(other != order(epoch=3, seed=1) for other in others)


def test_buckets_have_at_most_two_shapes_each_and_less_padding():
    def padding(buckets):
        found = list(data.batches(TAGGED, size=4, buckets=buckets, epoch=0))
        assert len({batch.inputs.shape for batch in found}) <= 2 * buckets
        return sum(np.sum(~batch.is_real) for batch in found)

    assert padding(4) < padding(2) < padding(1)


def test_targets_of_every_step_are_padded_as_the_inputs_are():
    targets = [10 * tag for tag in TAGGED]
    for batch in data.batches(TAGGED, targets, per_step=True, size=6, epoch=0, buckets=2):
        np.testing.assert_array_equal(batch.targets, 10 * batch.inputs)
        np.testing.assert_array_equal(batch.is_real.sum(1), batch.lengths)


def test_a_padded_array_with_lengths_is_its_list_of_sequences():
    padded = np.full((37, 25), -1)
    for row, tag in zip(padded, TAGGED, strict=True):
        row[: len(tag)] = tag
    how = {"per_step": True, "size": 6, "epoch": 2, "buckets": 3}
    expected = data.batches(TAGGED, TAGGED, **how)
    for found, batch in zip(
        data.batches(padded, padded, lengths=LENGTHS, **how), expected, strict=True
    ):
        jax.tree.map(np.testing.assert_array_equal, found, batch)


def test_buckets_do_not_change_the_gradient_of_the_sum():
    with jax.enable_x64(True):
        net = lstm.Architecture(num_inputs=2, blocks=(2,), num_outputs=3, output="softmax")
        parameters = lstm.initialise(jax.random.key(0), net, init_range=1.0, dtype="float64")

        @jax.jit
        @jax.grad
        def gradient(parameters, batch):
            def of_one(inputs, length, label):
                linear, steps = lstm.net_inputs_only(net), lstm.Steps(length=length)
                scores, _ = lstm.apply(linear, parameters, inputs, at="end", steps=steps)
                return lstm.softmax_cross_entropy(scores, label)

            return jax.vmap(of_one)(*batch).sum()

        sums = []
        for how in ({"size": 37}, {"size": 8, "buckets": 3, "epoch": 1}, {"size": 1}):
            parts = [gradient(parameters, b) for b in data.batches(SEQUENCES, LABELS, **how)]
            sums.append(jax.tree.map(lambda *parts: sum(parts), *parts))
        for other in sums[1:]:
            assert_close(other, sums[0], 1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": []}, "inputs must be at least one sequence"),
        ({"inputs": 3}, "inputs must be a list of arrays"),
        ({"inputs": [[1.0], [[1.0]]]}, r"inputs\[1\] must be numbers"),
        ({"inputs": [["a"]]}, r"inputs\[0\] must be numbers"),
        ({"targets": [1, 2, 3]}, "targets must be those of 2 sequences, got 3"),
        ({"targets": [[1], [1, 2]]}, "per_step=True pads"),
        ({"targets": [[1], [1, 2]], "per_step": True}, r"targets\[0\] must be of 2 steps, got 1"),
        ({"lengths": [3, 1]}, r"inputs\[0\] must be of 3 steps, got 2"),
        ({"lengths": [1.0, 1.0]}, "lengths must be 2 integers"),
        ({"size": 0}, "size must be an integer of at least 1"),
        ({"buckets": 0}, "buckets must be"),
        ({"epoch": -1}, "epoch must be"),
    ],
)
def test_what_makes_no_batch_is_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        next(data.batches(**{"inputs": [[1, 2], [3]], **arguments}))
