"""Chorales: the pitches of Bach's soprano lines, one note after the other; the next one is told.

Many chorales harmonise the same melody, so whole families of melodies are held out. Two chorales
are of one family if they share a run of 12 intervals, directly or through others.

Reference:
  I. H. Witten and T. C. Bell. The zero-frequency problem. IEEE Transactions on Information Theory
  37(4):1085-1094, 1991.
"""

from __future__ import annotations

import collections
import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.cli.command import import_extra
from experiments.cli.files import make_folder, write_file
from experiments.own_data.tasks import Part, Prepared
from experiments.real.base import Data, Domain, Scores
from lstm_jax import softmax_cross_entropy

RUN = 12  # intervals that make a family
NOTES = 64  # of a line; most are shorter
HELD_OUT = (56, 45)  # pieces at least, for the test and for validation
ORDERS = range(5)
CACHE = "chorales.npz"


def load(cache: pathlib.Path) -> Data:
    """Read the soprano lines from the cache, or extract them once, which takes two minutes."""
    path = cache / CACHE
    if not path.exists():
        corpus = import_extra("music21", "data", "--data=chorales").corpus
        make_folder(cache)
        lines, content = extract(corpus.chorales.Iterator()), io.BytesIO()
        lengths = [len(line) for line in lines]
        np.savez(content, notes=np.concatenate(lines).astype(np.int32), lengths=lengths)
        write_file(path, content.getvalue(), overwrite=False)
    with np.load(path) as saved:
        lines = np.split(saved["notes"], np.cumsum(saved["lengths"])[:-1])
    return make_data([line[:NOTES] for line in lines])


def extract(pieces: Iterable[Any]) -> list[list[int]]:
    """Return the MIDI pitches of every piece of music21 that has a part named Soprano."""
    found = []
    for piece in pieces:
        parts = [part for part in piece.parts if (part.partName or "").startswith("Soprano")]
        if parts:
            notes = parts[0].flatten().notes
            found.append([note.pitch.midi for note in notes if note.isNote])
    return found


def make_data(lines: Sequence[np.ndarray]) -> Data:
    """Hold families out, number the pitches, and predict the test part by n-grams.

    The input of a step is the note before, of the first step a start symbol.
    """
    pitches = np.unique(np.concatenate(lines))
    numbered = [np.searchsorted(pitches, line).astype(np.int32) for line in lines]
    before = [np.append(np.int32(len(pitches)), line[:-1]) for line in numbered]
    of = lambda part: Part([before[i] for i in part], [numbered[i] for i in part])
    parts = [of(part) for part in hold_out(families(lines))]

    def score(outputs: Sequence[np.ndarray]) -> Scores:
        log2 = [np.asarray(jax.nn.log_softmax(net)) / np.log(2) for net in outputs]
        return measures(log2, parts[2].targets)

    baselines = {f"order {n} Markov": by_markov(parts, n, len(pitches)) for n in ORDERS}
    at_random = [of(part) for part in hold_out(range(len(lines)))]
    name = f"order {ORDERS[-1]} Markov, other test: pieces held out at random"
    baselines[name] = by_markov(at_random, ORDERS[-1], len(pitches))
    about = {"pitches": pitches.tolist()}
    prepared = Prepared(parts, len(pitches), True, about)
    return Data(prepared, len(pitches) + 1, softmax_cross_entropy, score, baselines, {})


def by_markov(parts: Sequence[Part], order: int, size: int) -> Scores:
    """Return the scores of a Markov model, which has the validation part to count from as well."""
    known = [line for part in parts[:2] for line in part.targets]
    model, test = WittenBell(known, order, size), parts[2].targets
    return measures([model.log2(line) for line in test], test)


def measures(log2: Sequence[np.ndarray], lines: Sequence[np.ndarray]) -> Scores:
    """Return the scores of log2 probabilities, [T_i, K] for each line."""
    probabilities, notes = np.concatenate(log2), np.concatenate(lines)
    of_notes = probabilities[np.arange(len(notes)), notes]
    wrong = 100 * np.mean(probabilities.argmax(1) != notes)
    return {"bits a note": float(-of_notes.mean()), "wrong, %": float(wrong)}


def families(lines: Sequence[np.ndarray]) -> list[int]:
    """Return the family of each line, the index of one of its members.

    >>> scale = np.arange(20)
    >>> families([scale, np.zeros(20, int), scale[3:] + 7])
    [2, 1, 2]
    """
    family, first_with = list(range(len(lines))), {}
    for i, line in enumerate(lines):
        intervals = np.diff(line).tolist()
        for start in range(len(intervals) - RUN + 1):
            other = first_with.setdefault(tuple(intervals[start : start + RUN]), i)
            if family[other] != family[i]:
                old, new = family[other], family[i]
                family = [new if one == old else one for one in family]
    return family


def hold_out(family: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Return the pieces for training, validation and test; no family is in two parts."""
    order = np.random.default_rng(seed).permutation(np.unique(family)).tolist()
    members = collections.defaultdict(list)
    for piece, one in enumerate(family):
        members[one].append(piece)
    parts = []
    for size in HELD_OUT:
        part: list[int] = []
        while len(part) < size and order:
            part += members[order.pop()]
        parts.append(sorted(part))
    return [sorted(i for one in order for i in members[one]), parts[1], parts[0]]


class WittenBell:
    """A Markov model with Witten and Bell's interpolation of its lower orders.

    With c(h) notes after the context h, of which d(h) are different, and h' the context without
    its first note,

        P(w | h) = (c(hw) + d(h) P(w | h')) / (c(h) + d(h)),

    and below order 0 all notes are equally probable. Contexts are padded with start symbols.
    """

    def __init__(self, lines: Sequence[np.ndarray], order: int, size: int) -> None:
        """Count the notes, integers in [0, size), after each context of up to `order` notes."""
        self._order, self._size = order, size
        self._counts = collections.defaultdict(lambda: np.zeros(size))
        for line in lines:
            for context, note in zip(self._contexts(line), line, strict=True):
                for start in range(order + 1):
                    self._counts[context[start:]][note] += 1

    def log2(self, line: np.ndarray) -> np.ndarray:
        """Return log2 P(w | the notes before) of all notes w at every step, [T, size]."""
        return np.log2([self.probabilities(context) for context in self._contexts(line)])

    def probabilities(self, context: tuple[int, ...]) -> np.ndarray:
        """Return P(w | context) for all notes, [size]; the context has `order` notes at most."""
        found = np.full(self._size, 1 / self._size)
        for start in range(len(context), -1, -1):
            if context[start:] in self._counts:
                counts = self._counts[context[start:]]
                different = np.count_nonzero(counts)
                found = (counts + different * found) / (counts.sum() + different)
        return found

    def _contexts(self, line: np.ndarray) -> list[tuple[int, ...]]:
        padded = [self._size] * self._order + line.tolist()
        return [tuple(padded[i : i + self._order]) for i in range(len(line))]


DOMAIN = Domain(
    title="The next note of a chorale",
    about=(
        "Soprano lines of Bach's chorales (package music21; not all encodings are free for every "
        "use, so nothing of them is stored here), the first 64 pitches of each, no durations. "
        "Chorales that share 12 intervals in a row are of one family; whole families are held out, "
        "56 pieces or more as the test, and 45 or more to choose the epoch."
    ),
    load=load,
    cells=16,
    epochs=60,
    patience=15,
    batch_size=24,
)
