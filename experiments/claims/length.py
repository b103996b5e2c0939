"""Networks trained at one length, tested on longer ones; trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax

from experiments.claims.base import ClaimOptions, draw_fraction_wrong
from experiments.rows.collection import read_results
from experiments.rows.text import row_label
from lstm_jax.cell.scan import Steps
from lstm_jax.network.files import Document, network_from_document
from lstm_jax.network.layer import apply
from lstm_jax.tasks import Example, adding, make_task, temporal_order, two_sequence, very_long_lags

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTHS = (100, 200, 500, 1_000, 10_000)  # T
NUM_TESTS = 256  # sequences of each length
ROWS_AT_100 = ("2c-100-100", "3a-100-3", "3b-100-3", "3c-100-3", "4-100", "6a", "6b")


def run(options: ClaimOptions) -> Document:
    """Test the solved network of each row's result file."""
    del options
    return measure_networks(read_results())


def measure_networks(documents: Sequence[Document]) -> Document:
    """Return the fraction of wrong sequences at each length, for the networks of result files."""
    fractions = {
        row_label(document): [fraction_wrong(document, length) for length in LENGTHS]
        for document in documents
        if document["task"] in ROWS_AT_100 and document.get("network")
    }
    return {"lengths": LENGTHS, "tests": NUM_TESTS, "fraction_wrong": fractions}


def draw(document: Document) -> Figure:
    """Draw the fraction of wrong sequences against their length."""
    xlabel = "T of the tests (trained at T = 100)"
    return draw_fraction_wrong(document["lengths"], document["fraction_wrong"], xlabel)


def fraction_wrong(document: Document, length: int) -> float:
    """Return the fraction of `NUM_TESTS` sequences of this length that a network gets wrong."""
    architecture, parameters = network_from_document(document)
    row = document["task"]
    is_correct = make_task(row).is_correct

    @jax.jit
    @jax.vmap
    def test(key: jax.Array) -> jax.Array:
        example = sample_longer(key, row, length)
        outputs, _ = apply(
            architecture, parameters, example.inputs, at="end", steps=Steps(length=example.length)
        )
        return is_correct(outputs, example)

    return float(1 - test(jax.random.split(jax.random.key(0), NUM_TESTS)).mean())


def sample_longer(key: jax.Array, row: str, length: int) -> Example:
    """Draw a sequence of one of `ROWS_AT_100`, with T = `length` instead of 100."""
    if row == "2c-100-100":
        return very_long_lags.sample_very_long(key, length, num_distractors=100)
    if row == "4-100":
        return adding.sample_marked_pairs(key, length)
    if row.startswith("6"):
        return temporal_order.sample_order(key, temporal_order.RANGES[row], length // 100)
    return two_sequence.sample_two_sequence(key, row.split("-")[0], length, num_signal=3)
