"""Experiment 3: noise and signal on the same input line (section 5.3, Tables 4-6).

One real-valued input and two equally likely classes. The length is uniform in T .. T + T/10; the
minimal time lag is T - N.

    position   0 .. N-1                          N .. length - 1
    3a, 3c     +1 (class 1) or -1 (class 2)      Gaussian, mean 0, variance 0.2
    3b         the same, plus such noise         the same

The target at the end is 1.0 for class 1 and 0.0 for class 2. In 3c it is 0.2 and 0.8, and training
targets have Gaussian noise of variance 0.1. A sequence is misclassified if its output is off its
noise-free target by more than 0.2 (3a, 3b) or 0.1 (3c).

Tests use 256 random sequences, here every 1000 training sequences; the text leaves that open.

           ST1, `first_rule`          ST2, `rule`: also a mean absolute error
    3a     none misclassified         below 0.01
    3b     fewer than 6               below 0.04
    3c     -                          below 0.015, and none misclassified
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Generator, within
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, Task, TestRule

VARIANCE = 0.2  # of the inputs' noise
TARGET_VARIANCE = 0.1
TARGETS = {"3a": (1.0, 0.0), "3b": (1.0, 0.0), "3c": (0.2, 0.8)}  # of classes 1 and 2
TABLES = {"3a": "Table 4", "3b": "Table 5", "3c": "Table 6"}
MAX_WRONG = {"3a": 0, "3b": 5, "3c": 0}
MEAN_ERROR = {"3a": 0.01, "3b": 0.04, "3c": 0.015}
# name "3x-T-N": (mean sequences until ST1, until ST2, fraction misclassified, mean difference)
ROWS = {
    "3a-100-3": (27_380, 39_850, 0.000195, None),
    "3a-100-1": (58_370, 64_330, 0.000117, None),
    "3a-1000-3": (446_850, 452_460, 0.000078, None),
    "3b-100-3": (41_740, 43_250, 0.00828, None),
    "3b-100-1": (74_950, 78_430, 0.01500, None),
    "3b-1000-1": (481_060, 485_080, 0.01207, None),
    "3c-100-3": (None, 269_650, 0.00558, 0.014),
    "3c-100-1": (None, 565_640, 0.00441, 0.012),
}


def make(name: str) -> Task:
    """Return the row "3a-T-N", "3b-T-N" or "3c-T-N"."""
    first_mean_sequences, mean_sequences, test_fraction, test_error = ROWS[name]
    variant, (min_length, num_signal) = name[:2], (int(part) for part in name.split("-")[1:])
    first_rule = TestRule(interval=1000, size=256, max_wrong=MAX_WRONG[variant])
    return Task(
        name=name,
        title=f"two-sequence problem {variant}, T = {min_length}, N = {num_signal}",
        architecture=Architecture(num_inputs=1, blocks=(1,) * 3, num_outputs=1, biases="hidden"),
        max_length=min_length + min_length // 10,
        error_at="end",
        sample=Generator(sample_two_sequence, (variant, min_length, num_signal)),
        is_correct=within(0.1 if variant == "3c" else 0.2),
        hyperparameters=Hyperparameters(
            learning_rate=0.1 if variant == "3c" else 1.0,
            init_range=0.1,
            input_gate_bias=(-1.0, -3.0, -5.0),
            output_gate_bias=(-2.0, -4.0, -6.0),
        ),
        first_rule=None if variant == "3c" else first_rule,
        rule=dataclasses.replace(first_rule, mean_error=MEAN_ERROR[variant]),
        trials=10,
        max_sequences=10 * mean_sequences,
        published=Published(
            table=TABLES[variant],
            mean_sequences=mean_sequences,
            first_mean_sequences=first_mean_sequences,
            test_fraction=test_fraction,
            test_error=test_error,
        ),
    )


def sample_two_sequence(key: jax.Array, variant: str, min_length: int, num_signal: int) -> Example:
    """Draw a sequence of `variant` "3a", "3b" or "3c", T = `min_length`, N = `num_signal`."""
    max_length = min_length + min_length // 10
    words = random_numbers.words(key, max_length + 3)
    length = random_numbers.integers(words[0], min_length, max_length)
    is_class_1 = random_numbers.integers(words[1], 0, 1) == 0

    noise = random_numbers.normal(words[3:], math.sqrt(VARIANCE))
    signal = jnp.where(is_class_1, jnp.float32(1.0), -1.0)
    steps = jnp.arange(max_length, dtype=jnp.int32)
    noisy_signal = signal + noise if variant == "3b" else signal
    inputs = jnp.where(steps < num_signal, noisy_signal, noise)
    inputs = jnp.where(steps < length, inputs, 0.0)

    class_1, class_2 = TARGETS[variant]
    true_targets = jnp.where(is_class_1, jnp.float32(class_1), class_2)[None]
    targets = true_targets
    if variant == "3c":
        targets = targets + random_numbers.normal(words[2:3], math.sqrt(TARGET_VARIANCE))
    return Example(inputs[:, None], targets, true_targets, length)
