"""Claims that compare trials of several variants, one function each, and tasks for them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import Claim, ClaimOptions, Variants, compare, name_lines
from lstm_jax import LOSSES, Architecture, TrainingLoop, TrialRunner, Vmapped
from lstm_jax.baselines.chunker import Chunker
from lstm_jax.baselines.fully_recurrent import RecurrentNet
from lstm_jax.baselines.gradient_descent import GRADIENTS as BASELINE_GRADIENTS
from lstm_jax.baselines.gradient_descent import RecurrentUpdate, training_loop
from lstm_jax.baselines.rows import METHODS, ROWS, make_baseline_task, make_training_loop
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import (
    Example,
    Hyperparameters,
    Published,
    StreamRule,
    Task,
    delayed_xor,
    make_task,
    noise_free,
    random_numbers,
    replace_architecture,
    replace_hyperparameters,
    within,
)

GATES = (("6a", "input"), ("3a-100-3", "input"), ("3a-100-3", "output"))
GRADIENTS = ("truncated", "full")
QUICK_ROWS = ("3a-100-3", "3b-100-3", "6a", "2c-50-50")  # with either gradient
SHAPES = ((1,), (2,), (4,), (1, 1), (2, 2), (3, 3), (1, 1, 1), (1, 1, 1, 1))
XOR_LENGTHS = (4, 10, 20, 50)
MIXED_LENGTHS = (50, 100, 200)  # by Adam, with lengths from 4
NOISE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DELAY, NOISE_RANGE = 4, 2.0  # the chunker learns with these
LAGS = ((10, 10), (40, 40), (2, 40))  # shortest, longest
SPANS = (1, 10, 40)  # 1 / (1 - τ)
ADAM_UNITS = {"3a-100-3": 8, "6a": 5}  # hidden units for about the LSTM's number of weights
RTRL_ROWS = ("2a-4.rtrl-1", "2a-4.rtrl-4", "2a-4.rtrl-10", "2a-10.rtrl")


def compare_trials(make_variants: Callable[[], Variants]) -> Claim:
    """Return the claim that compares the trials of variants."""
    return compare(make_variants, run_trials, draw)


def gates() -> Variants:
    """Compare initial gate biases: negative as in the paper, random, and positive."""
    loops = {}
    for row, gate in GATES:
        task, name = make_task(row), f"{gate}_gate_bias"
        published = getattr(task.hyperparameters, name)
        for label, bias in (
            ("as in the paper", published),
            ("random", None),
            ("positive", tuple(-b for b in published)),
        ):
            loop = TrainingLoop(replace_hyperparameters(task, **{name: bias}))
            loops[f"{row}, {gate} gate bias {label}"] = loop
    return loops


def gradient() -> Variants:
    """Compare the truncated gradient with the full one, on tasks that are quick with both."""
    return _with_gradients({row: make_task(row) for row in QUICK_ROWS})


def xor() -> Variants:
    """Train on strongly delayed XOR by both gradients, at one length or at all lengths."""
    make = functools.partial(delayed_xor.make, max_sequences=100_000)
    shortest = min(XOR_LENGTHS)
    tasks = {f"T = {n}": make(n) for n in XOR_LENGTHS}
    tasks["T = 4 .. 50"] = make(50, shortest=shortest)
    tasks["T = 50, Adam"] = by_adam(make(50))
    for n in MIXED_LENGTHS:
        tasks[f"T = 4 .. {n}, Adam"] = by_adam(make(n, shortest=shortest))
    return _with_gradients({f"XOR, {label}": task for label, task in tasks.items()})


def by_adam(task: Task) -> Task:
    """Return a task trained by Adam at 0.01, without f' of the output units."""
    loss = LOSSES["cross_entropy"]
    return replace_hyperparameters(task, learning_rate=0.01, optimiser="adam", loss=loss)


def _with_gradients(tasks: dict[str, Task]) -> Variants:
    return {
        f"{label}, {name} gradient": TrainingLoop(replace_hyperparameters(task, gradient=name))
        for label, task in tasks.items()
        for name in GRADIENTS
    }


def blocks() -> Variants:
    """Compare memory cell blocks with single cells, with equal and with falling gate biases."""
    loops = {}
    for row, shape in itertools.product(("6a", "3a-100-3"), SHAPES):
        task = replace_architecture(make_task(row), blocks=shape)
        size = f"{len(shape)} x {shape[0]} cells, {task.architecture.num_weights} weights"
        equal, falling = (-2.0,) * len(shape), tuple(-2.0 * (j + 1) for j in range(len(shape)))
        for label, biases in (("equal", equal), ("falling", falling)):
            if label == "equal" or len(shape) > 1:
                gates = {"input_gate_bias": biases, "output_gate_bias": None}
                biased = replace_hyperparameters(task, **gates)
                loops[f"{row}, {size}, {label} biases"] = TrainingLoop(biased)
    return loops


def noise() -> Variants:
    """Train the chunker on task 2a with more and more random symbols in the middle.

    A trial is solved when at most a quarter of its last 2000 sequences end in a wrong prediction.
    By chance half of them do; a random symbol may spoil its own sequence.
    """
    loops = {}
    for fraction in NOISE:
        task = noisy_task(fraction, DELAY)
        learning_rate = task.hyperparameters.learning_rate
        task = dataclasses.replace(
            task,
            architecture=RecurrentNet(DELAY + 1, 1, DELAY + 2, "layered"),
            hyperparameters=Hyperparameters(learning_rate, NOISE_RANGE),
            rule=StreamRule(window=2000, max_wrong=500),
            max_sequences=50_000,
            sequential_construction=False,
        )
        rule = Vmapped(Chunker(DELAY + 1, learning_rate, NOISE_RANGE))
        loops[f"chunker, {fraction:.1%} random"] = TrainingLoop(task, rule, chunk=5000)
    return loops


def time_constants() -> Variants:
    """Compare the LSTM with nets of fixed time constants, at fixed and varying lags."""
    loops = {}
    for shortest, longest in LAGS:
        lags = f"lag {longest}" if shortest == longest else f"lag {shortest} to {longest}"
        for label, loop in at_lag(shortest, longest).items():
            loops[f"{lags}, {label}"] = loop
    return loops


def at_lag(shortest: int, longest: int) -> Variants:
    """Return an LSTM of one cell, and three units of one time constant with BPTT and Adam."""
    task = lag_task(shortest, longest)
    loops = {"LSTM": TrainingLoop(task)}
    for span in SPANS:
        net = RecurrentNet(3, 3, 1, "simple", (round(1 - 1 / span, 12),) * 3, bias=True)
        changed = dataclasses.replace(
            task, architecture=net, hyperparameters=Hyperparameters(0.01, init_range=1.0)
        )
        rule = RecurrentUpdate(changed, optax.adam(0.01), BASELINE_GRADIENTS["BPTT"])
        loops[f"time constants of {span}"] = TrainingLoop(changed, Vmapped(rule))
    return loops


def adam() -> Variants:
    """Compare the LSTM with recurrent nets of about as many weights, trained by BPTT and Adam."""
    loops = {}
    for row, num_hidden in ADAM_UNITS.items():
        task = make_task(row)
        loops[f"{row}, LSTM"] = TrainingLoop(dataclasses.replace(task, max_sequences=50_000))
        longer = dataclasses.replace(task, max_sequences=100_000)
        net = {"num_hidden": num_hidden, "connections": "full", "init_range": 1.0}
        for rate in (0.01, 0.001):
            loop = training_loop(longer, "BPTT", optimiser=optax.adam(rate), **net)
            loops[f"{row}, BPTT by Adam at {rate:g}"] = loop
    return loops


def tolerance() -> Variants:
    """Train RTRL on task 2a with and without a tolerance: no error for outputs near targets."""
    loops = {}
    for row in RTRL_ROWS:
        for init_range in (0.2, 1.0):
            for near in (0.0, 0.02, 0.2):
                loop = with_tolerance(row, 1_000_000, init_range, near)
                rate = loop.task.hyperparameters.learning_rate
                title = f"p = {loop.task.max_length}, a = {rate:g}, |w| < {init_range:g}"
                loops[f"{title}, tolerance {near:g}"] = loop
    return loops


def with_tolerance(row: str, max_sequences: int, init_range: float, near: float) -> TrainingLoop:
    """Return a baseline's loop, in which an output at most `near` its target has no error."""
    task = replace_hyperparameters(make_baseline_task(row), init_range=init_range)
    task = dataclasses.replace(task, max_sequences=max_sequences)
    rule = METHODS[ROWS[row].method](task)
    assert isinstance(rule, (RecurrentUpdate, Chunker))
    rule = Vmapped(dataclasses.replace(rule, tolerance=near))
    return dataclasses.replace(make_training_loop(row), task=task, update_rule=rule)


def lag_task(shortest: int, longest: int) -> Task:
    """Return the task of a bit kept over lags uniform in shortest .. longest, for one cell.

    The one-hot symbols are 0 or 1, then blanks; the target at the end is the first symbol.
    """

    def sample(key: jax.Array, _: None) -> Example:
        words = random_numbers.words(key, 2)
        bit = random_numbers.integers(words[0], 0, 1)
        steps = jnp.arange(longest + 1, dtype=jnp.int32)
        target = bit.astype(jnp.float32)[None]
        length = 1 + random_numbers.integers(words[1], shortest, longest)
        return Example(jnp.where(steps == 0, bit, 2), target, target, length)

    return Task(
        name=f"lag-{shortest}-{longest}",
        title=f"a bit kept for {shortest} to {longest} steps",
        architecture=Architecture(num_inputs=3, blocks=(1,), num_outputs=1, biases="all"),
        error_at="end",
        sample=sample,
        is_correct=within(0.3),
        hyperparameters=Hyperparameters(learning_rate=0.5, init_range=0.1, input_gate_bias=(-1.0,)),
        rule=StreamRule(window=2000, max_wrong=0),
        trials=10,
        max_sequences=50_000,
    )


def noisy_task(noise: float, delay: int) -> Task:
    """Return task 2a with middle symbols that are random with probability `noise`.

    A random symbol may equal the one that it replaces. At 1 the sequences are those of 2b.
    """

    def sample(key: jax.Array, _: None) -> Example:
        num_middle = delay - 1
        words = random_numbers.words(key, 1 + 2 * num_middle)
        edge = num_middle + random_numbers.integers(words[:1], 0, 1)
        is_random = random_numbers.uniform(words[1 : 1 + num_middle], 0.0, 1.0) < noise
        random = random_numbers.integers(words[1 + num_middle :], 0, num_middle - 1)
        middle = jnp.where(is_random, random, jnp.arange(num_middle, dtype=jnp.int32))
        return noise_free.predict_next(jnp.concatenate([edge, middle, edge]), delay)

    return dataclasses.replace(
        noise_free.make("2b", delay),
        name=f"2-noise-{noise:g}-{delay}",
        title=f"noise-free to random middle, noise {noise:g}, delay {delay}",
        sample=sample,
        published=Published(),
    )


def run_trials(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Return the sequences to success and the test of every trial of a variant."""
    started = time.monotonic()
    results = TrialRunner(loop, range(options.trials), seed=options.seed).run()
    return {
        "solved": sum(result.solved for result in results),
        "published_mean": loop.task.published.mean_sequences,
        "wall_seconds": round(time.monotonic() - started, 2),
        "trials": [
            {"solved": r.solved, "sequences": r.sequences, "test_wrong": r.test_wrong}
            for r in results
        ],
    }


def draw(document: Document) -> style.Figure:
    """Draw every trial's number of sequences to success, one line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.2 + 0.28 * len(variants))
    for y, found in enumerate(variants.values()):
        solved = [trial["sequences"] for trial in found["trials"] if trial["solved"]]
        unsolved = [trial["sequences"] for trial in found["trials"] if not trial["solved"]]
        axes.plot(solved, [y] * len(solved), "o", color=style.OURS, alpha=0.4, markersize=4)
        axes.plot(unsolved, [y] * len(unsolved), "x", color=style.FAILED, markersize=5)
        for values, colour in ((solved, style.OURS), ([found["published_mean"]], style.PAPER)):
            if values and values[0]:
                axes.plot(np.mean(values), y, "|", color=colour, ms=14, mew=2)
    axes.plot([], [], "o", color=style.OURS, label="a solved trial")
    axes.plot([], [], "x", color=style.FAILED, label="an unsolved one, at its end")
    axes.plot([], [], "|", color=style.OURS, label="mean of the solved")
    if any(found["published_mean"] for found in variants.values()):
        axes.plot([], [], "|", color=style.PAPER, label="the paper's mean")
    name_lines(axes, [f"{k}  {v['solved']}/{len(v['trials'])}" for k, v in variants.items()])
    axes.set_xlabel("training sequences")
    style.add_legend(figure, ncols=4, loc="outside upper center")
    return figure
