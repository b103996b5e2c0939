"""The embedded Reber grammar, checked against a regular expression of it."""

from __future__ import annotations

import collections
import re

import jax
import numpy as np
import pytest
import scipy.stats

from lstm_jax.tasks import make_task, reber

# The inner grammar, its loops read off the paper's figure: S* and T* at the two self-loops, and
# X T* V P around the cycle of the lower nodes.
INNER = "B(?:TS*X(?:XT*VP)*(?:S|XT*VV)|PT*V(?:V|P(?:XT*VP)*(?:S|XT*VV)))E"
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")

# These pass every node of the grammar, so that each node has one of their ends as a completion.
WITNESSES = [
    f"B{branch}{inner}{branch}E" for branch in "TP" for inner in ("BTSXXTVPSE", "BPTVVE", "BTXSE")
]
COMPLETIONS = {string[i:] for string in WITNESSES for i in range(len(string))}


@pytest.fixture(scope="module")
def sets() -> reber.Sets:
    return reber.prepare(jax.random.key(0), 0)


def _decode(strings: reber.Strings) -> list[str]:
    symbols, lengths = np.asarray(strings.symbols), np.asarray(strings.lengths)
    return [
        "".join(reber.SYMBOLS[symbol] for symbol in row[: length + 1])
        for row, length in zip(symbols, lengths, strict=True)
    ]


def _legal_after(prefix: str) -> str:
    """Every symbol after which some completion makes a string of the grammar."""
    return "".join(
        symbol
        for symbol in reber.SYMBOLS
        if any(EMBEDDED.fullmatch(prefix + symbol + end) for end in (*COMPLETIONS, ""))
    )


def test_the_checker_knows_the_grammar():
    """By hand, along the paper's figure."""
    assert all(EMBEDDED.fullmatch(string) for string in WITNESSES)
    for wrong in ("BTBTXSEPE", "BTBTVVETE", "BTBTXSETEE", "BTXSE", "BTBTXTPSETE", "BPBPVSEPE"):
        assert not EMBEDDED.fullmatch(wrong)
    assert [_legal_after("BTBTXSETE"[:i]) for i in range(1, 9)] == [
        *("TP", "B", "TP", "SX", "SX", "E", "T", "E")
    ]


def test_every_string_is_legal_and_no_test_string_is_in_the_training_set(sets):
    for strings in map(_decode, sets):
        assert len(strings) == 256 and all(EMBEDDED.fullmatch(string) for string in strings)
    assert not set(_decode(sets.training)) & set(_decode(sets.test))


def test_ten_trials_share_a_pair_of_sets():
    key = jax.random.key(7)
    first, tenth, eleventh = (reber.prepare(key, trial) for trial in (0, 9, 10))
    other = reber.prepare(jax.random.key(8), 0)
    jax.tree.map(np.testing.assert_array_equal, first, tenth)
    for sets in (eleventh, other):
        assert set(_decode(sets.training)) != set(_decode(first.training))


def test_the_test_set_is_every_string_of_both_sets_with_the_legal_symbols(sets):
    batch = jax.tree.map(np.asarray, reber.test_set(sets))
    strings = _decode(sets.training) + _decode(sets.test)
    assert make_task("1-1").rule.size == len(strings) == len(batch.length)
    as_bits = lambda symbols: [float(symbol in symbols) for symbol in reber.SYMBOLS]
    for n, string in enumerate(strings):
        steps = len(string) - 1
        assert batch.length[n] == steps
        assert "".join(reber.SYMBOLS[i] for i in batch.inputs[n, :steps]) == string[:-1]
        assert batch.targets[n, :steps].tolist() == [as_bits(symbol) for symbol in string[1:]]
        legal = [as_bits(_legal_after(string[: t + 1])) for t in range(steps)]
        assert batch.legal[n, :steps].tolist() == legal
        assert not np.any(batch.legal[n, steps:])
    assert np.array_equal(batch.targets, batch.true_targets)
    training = reber.training_set(sets)
    jax.tree.map(np.testing.assert_array_equal, training, jax.tree.map(lambda a: a[:256], batch))


def test_training_draws_all_strings_with_even_odds(sets, draw_with_keys, assert_frequencies):
    keys, data, batch = draw_with_keys("1-1")
    jax.tree.map(np.testing.assert_array_equal, data, sets)
    _assert_drawn_from(batch, sets.training, assert_frequencies)
    sample_test = jax.vmap(make_task("1-1").sample_test, in_axes=(0, None))
    _assert_drawn_from(jax.jit(sample_test)(keys, data), sets.test, assert_frequencies)


def _assert_drawn_from(batch, strings: reber.Strings, assert_frequencies) -> None:
    copies = collections.Counter(bytes(symbols[:-1]) for symbols in np.asarray(strings.symbols))
    drawn = collections.Counter(bytes(inputs) for inputs in np.asarray(batch.inputs, np.uint8))
    assert set(drawn) <= set(copies)
    odds = [count / 256 for count in copies.values()]
    assert_frequencies([drawn[string] for string in copies], odds)
    ends = np.asarray([np.flatnonzero(inputs)[-1] for inputs in np.asarray(batch.inputs)])
    assert np.array_equal(batch.length, ends)  # E follows the last step


def test_odds_are_even_at_every_fork(assert_frequencies):
    """A string's probability is 1/2 to the number of its forks."""
    rng = np.random.default_rng(11)
    drawn = [reber.draw_string(rng) for _ in range(10_000)]
    forks = {string: sum(len(symbols) == 2 for symbols in legal) for string, legal in drawn}
    counts = collections.Counter(string for string, _ in drawn)
    assert all(EMBEDDED.fullmatch(string) for string in forks)
    common = [string for string, number in forks.items() if number <= 10]
    found, odds = [counts[string] for string in common], [0.5 ** forks[string] for string in common]
    assert_frequencies([*found, len(drawn) - sum(found)], [*odds, 1 - sum(odds)])


def test_strings_of_sets_are_as_long_as_the_grammar_makes_them():
    """12 symbols on average; sets of distinct strings would have longer ones."""
    pairs = [reber.prepare(jax.random.key(3), 10 * pair).training for pair in range(20)]
    lengths = [len(string) for training in pairs for string in _decode(training)]
    assert scipy.stats.ttest_1samp(lengths, 12.0).pvalue > 1e-4


def test_longer_strings_are_negligible():
    """The exact distribution of lengths, from the powers of the transition matrix."""
    matrix = np.zeros((7, 7))
    for node, arcs in enumerate(((1, 1), (2, 3), (2, 4), (3, 5), (3, 6), (4, 6))):
        for to in arcs:
            matrix[node, to] += 0.5
    at_end = [np.linalg.matrix_power(matrix, steps)[0, 6] for steps in range(300)]
    # An inner string that reaches the last node after some steps has one symbol more, E; the
    # embedding adds 4.
    probabilities = dict(zip(range(5, 305), at_end, strict=True))
    assert np.isclose(sum(at_end), 1.0)
    assert np.isclose(sum(n * p for n, p in probabilities.items()), 12.0)
    too_long = sum(p for n, p in probabilities.items() if n - 1 > reber.MAX_LENGTH)
    assert np.isclose(too_long, 2.53e-6, rtol=0.01)


def test_correct_means_legal_symbols_above_all_others_at_every_real_step(sets):
    example = jax.tree.map(lambda x: np.asarray(x[17]), reber.test_set(sets))
    is_correct = jax.jit(reber.is_correct)
    assert example.length < reber.MAX_LENGTH
    # Legal symbols need not be near 1, nor alike: above all illegal ones is enough.
    noise = np.random.default_rng(0).uniform(0.0, 0.09, example.targets.shape)
    outputs = (0.1 + 0.1 * example.legal + noise).astype(np.float32)
    assert is_correct(outputs, example)
    for t in range(reber.MAX_LENGTH):
        legal, illegal = np.argmax(example.legal[t]), np.argmin(example.legal[t])
        tie, above = outputs.copy(), outputs.copy()
        tie[t, legal] = tie[t, illegal]
        above[t, illegal] = 1.0
        for wrong in (tie, above):
            assert bool(is_correct(wrong, example)) == (t >= example.length)
