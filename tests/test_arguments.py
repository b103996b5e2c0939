"""Bad arguments of public functions: one line that names the argument, before anything is done.

A new public function earns its cases by a row, for which the first test asks.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, EVERYTHING, random_parameters

import lstm_jax as lstm
from lstm_jax import baselines as baselines
from lstm_jax import random_search, tasks
from lstm_jax.cell.validation import displayed
from lstm_jax.network.files import save

FLOAT32 = lambda tree: jax.tree.map(lambda w: np.asarray(w, np.float32), tree)
NET, OTHER = DESCENDANT, dataclasses.replace(DESCENDANT, blocks=(3, 3))
PARAMETERS, OF_OTHER = FLOAT32(random_parameters(NET)), FLOAT32(random_parameters(OTHER))
KEY, SGD = jax.random.key(0), optax.sgd(0.1)
INPUTS = np.ones((4, 3), np.float32)
TARGETS = np.ones((4, 2), np.float32)
STATE = lstm.zero_state(NET)
NEEDS_THE_ERROR = optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau())
TASK = lstm.make_task("6a")
LEARNING = lstm.TrainingLoop(TASK)
RESULT = json.loads(
    (pathlib.Path(__file__).parents[1] / "experiments/results/6a/6a.json").read_text()
)
NOTHING = lstm.DotProduct(None, None)
QUERY, OUTPUTS = np.ones(2, np.float32), np.ones((4, 2), np.float32)

# Values that are none of their kind.
NO_NUMBER = (None, "1", np.nan, np.inf, 10**400, 10**5000, [10**5000], True, [1.0])
NO_WHOLE = (None, "1", 1.5, -1, True, [1])
NO_FLAG = (1, 0.0, "yes", None, np.True_)
NO_DTYPE = ("x", np.int32, bool)
NO_KEY = (0, None, "key", np.zeros(2), jax.random.split(KEY, 2))
NO_ARRAY = (None, "abc", [[1.0, 2, 3], [1.0]], {"a": 1}, [None])
# JAX would take these for 1, or 2 in an inputs' place.
NO_SYMBOLS = ([-1], [3], [2**32], np.array([2**32 + 1]), np.array([2**63 + 1], np.uint64))
NO_INPUTS = (*NO_ARRAY, [True], [1j], 1, 1.0, np.ones((4, 2)), np.ones((2, 4, 3)), *NO_SYMBOLS)
NO_ERROR = (None, "squared", 1.0)
NO_MASK = ("abc", [1, 0, 1, 0], [True], 1.0)
NO_LENGTH = ("abc", 2.0, True, [2], -1, 5, 2**40, np.int64(2**32 + 1))
NO_NETWORK = (None, "net", PARAMETERS)
NO_PARAMETERS = (None, {}, NET, OF_OTHER, jax.tree.map(lambda w: w * np.nan, PARAMETERS))

Call = Callable[[Any], Any]
Rows = dict[str, tuple[Call, tuple[Any, ...]]]


def of_run(run: Callable[..., Any]) -> Rows:
    """Of all that run a network over a sequence."""
    return {
        "architecture": (lambda v: run(v, PARAMETERS, INPUTS), NO_NETWORK),
        "parameters": (lambda v: run(NET, v, INPUTS), NO_PARAMETERS),
        "inputs|x_t": (lambda v: run(NET, PARAMETERS, v), NO_INPUTS),
        "mask": (lambda v: run(NET, PARAMETERS, INPUTS, mask=v), NO_MASK),
        "length": (lambda v: run(NET, PARAMETERS, INPUTS, length=v), NO_LENGTH),
        "mask or length": (
            lambda v: run(NET, PARAMETERS, INPUTS, mask=[True] * 4, length=v),
            (1, np.int32(2)),
        ),
        "gradient": (lambda v: run(NET, PARAMETERS, INPUTS, gradient=v), ("x", None, ["full"])),
        "steps_per_iteration": (
            lambda v: run(NET, PARAMETERS, INPUTS, steps_per_iteration=v),
            (0, -1, 1.5),
        ),
    }


def of_one_start(run: Callable[..., Any]) -> Rows:
    states = ("x", tuple(STATE), lstm.zero_state(OTHER))
    return of_run(run) | {
        "initial_state": (lambda v: run(NET, PARAMETERS, INPUTS, initial_state=v), states),
        "reset": (lambda v: run(NET, PARAMETERS, INPUTS, reset=v), NO_MASK),
        "reverse": (lambda v: run(NET, PARAMETERS, INPUTS, reverse=v), ("no", None, 2)),
    }


def learner() -> lstm.Learner:
    return lstm.init_learner(NET, PARAMETERS, SGD)


def network(**changes: Any) -> dict[str, Any]:
    return RESULT | {"network": RESULT["network"] | changes}


def field(name: str) -> Call:
    plain = {"num_inputs": 3, "blocks": (2,), "num_outputs": 1}
    return lambda v: lstm.Architecture(**(plain | {name: v}))


def save_to(path: Any) -> None:
    save(path, NET, PARAMETERS, overwrite=True)


NO_ERROR = (-1, *NO_NUMBER, 1e39)
OF_ERRORS = {
    "outputs|net": (*NO_ARRAY[:4], np.ones(3)),
    "targets": (*NO_ARRAY[:4], np.ones(3)),
    "weights": ("abc", np.ones(3), {"a": 1}),
}


def of_error(error: Callable[..., Any]) -> Rows:
    return {
        "outputs|net|targets": (lambda v: error(v, OUTPUTS), OF_ERRORS["outputs|net"]),
        "targets": (lambda v: error(OUTPUTS, v), OF_ERRORS["targets"]),
        "weights": (lambda v: error(OUTPUTS, OUTPUTS, v), OF_ERRORS["weights"]),
    }


CASES: dict[str, Rows] = {
    "Architecture": {
        "num_inputs": (field("num_inputs"), (*NO_WHOLE, 0)),
        "num_outputs": (field("num_outputs"), (*NO_WHOLE, 0)),
        "num_hidden": (field("num_hidden"), NO_WHOLE),
        "blocks": (field("blocks"), (None, (), 2, "22", (0,), (1.5,), (True,), (None,))),
        **{
            name: (field(name), NO_FLAG)
            for name in (
                "input_gates",
                "output_gates",
                "forget_gates",
                "peepholes",
                "input_to_output",
            )
        },
        "recurrent": (field("recurrent"), (None, "gates", "All", 1, ("all",), [])),
        "biases": (field("biases"), (None, "some", True, ("input",), (1,), {"cell"})),
        "cell_input": (field("cell_input"), (None, "relu", jnp.tanh)),
        "cell_output": (field("cell_output"), (None, "relu", 1)),
        "output": (field("output"), (None, "softmax", 1)),
        "initial_activation": (field("initial_activation"), NO_NUMBER),
    },
    "initialise": {
        "architecture": (lambda v: lstm.initialise(KEY, v), NO_NETWORK),
        "key": (lambda v: lstm.initialise(v, NET), NO_KEY),
        "init_range": (
            lambda v: lstm.initialise(KEY, NET, init_range=v),
            (*NO_NUMBER, 0, -1, 1e39, 3.4e38),
        ),
        **{
            f"{gate}_bias": (
                lambda v, gate=gate: lstm.initialise(KEY, NET, **{f"{gate}_bias": v}),
                (-1.0, (1.0,), (np.nan, 1.0), (1e39, 1.0), (None, 1.0), "ab", ()),
            )
            for gate in ("input_gate", "output_gate", "forget_gate")
        },
        "dtype": (lambda v: lstm.initialise(KEY, NET, dtype=v), NO_DTYPE),
    },
    "check_parameters": {
        "architecture": (lambda v: lstm.check_parameters(v, PARAMETERS), NO_NETWORK),
        "parameters": (lambda v: lstm.check_parameters(NET, v), NO_PARAMETERS),
    },
    "zero_state": {
        "architecture": (lstm.zero_state, NO_NETWORK),
        "dtype": (lambda v: lstm.zero_state(NET, v), NO_DTYPE),
        "lanes": (lambda v: lstm.zero_state(NET, np.float32, v), (3, None, [2])),
    },
    "apply": of_one_start(lstm.apply)
    | {"at": (lambda v: lstm.apply(NET, PARAMETERS, INPUTS, at=v), ("begin", None, 3, ["end"]))},
    "unroll": of_one_start(lstm.unroll)
    | {"record": (lambda v: lstm.unroll(NET, PARAMETERS, INPUTS, record=v), ("some", None))},
    "observe": of_one_start(lstm.observe),
    "unroll_both": of_run(lambda net, p, x, **how: lstm.bidirectional(net, p, PARAMETERS, x, **how))
    | {
        "parameters": (lambda v: lstm.bidirectional(NET, PARAMETERS, v, INPUTS), NO_PARAMETERS),
    },
    "step": {
        "architecture": (lambda v: lstm.step(v, PARAMETERS, STATE, 1), NO_NETWORK),
        "parameters": (lambda v: lstm.step(NET, v, STATE, 1), NO_PARAMETERS),
        "state": (
            lambda v: lstm.step(NET, PARAMETERS, v, 1),
            (None, "x", tuple(STATE), INPUTS[0], lstm.zero_state(OTHER)),
        ),
        "x_t": (
            lambda v: lstm.step(NET, PARAMETERS, STATE, v),
            (None, "a", 3, -1, True, 1.0, [1, 0, 0], [[1.0, 0, 0]], 2**40, np.int64(2**32 + 1)),
        ),
    },
    "pad_sequences": {
        "sequences": (
            lstm.pad_sequences,
            (None, 5, [], [1, 2], [[1, 2], [1.0]], [["a"]], [None], [[1], [[1]]], [[2**32 + 1]]),
        ),
        "steps": (lambda v: lstm.pad_sequences([[1, 2]], steps=v), (0, -1, 1, 1.5, 2.0, "3")),
    },
    "attend": {
        "weights": (
            lambda v: lstm.attend(v, QUERY, OUTPUTS),
            (
                None,
                (None, None),
                PARAMETERS,
                lstm.DotProduct("x", None),
                lstm.DotProduct([[1.0]], None),
                lstm.Additive(np.ones((2, 4)), np.ones((2, 4)), None),
                lstm.Additive(np.ones((2, 4)), np.ones((2, 3)), np.ones(4)),
            ),
        ),
        "query|weights": (
            lambda v: lstm.attend(NOTHING, v, OUTPUTS),
            (None, "ab", [[1.0, 2.0]], [1.0], 1.0),
        ),
        "outputs": (
            lambda v: lstm.attend(NOTHING, QUERY, v),
            (None, "ab", [1.0], [[1.0], [1.0, 2.0]]),
        ),
        "mask": (lambda v: lstm.attend(NOTHING, QUERY, OUTPUTS, steps=lstm.Steps(mask=v)), NO_MASK),
        "length": (
            lambda v: lstm.attend(NOTHING, QUERY, OUTPUTS, steps=lstm.Steps(length=v)),
            NO_LENGTH,
        ),
    },
    "diagnose": {
        "architecture": (lambda v: lstm.diagnose(v, PARAMETERS, [[0, 1]]), NO_NETWORK),
        "parameters": (lambda v: lstm.diagnose(NET, v, [[0, 1]]), NO_PARAMETERS),
        "inputs": (
            lambda v: lstm.diagnose(NET, PARAMETERS, v),
            (
                *NO_ARRAY[:3],
                [0, 1],
                [[0, 1], [0, 3]],
                [[0, 1], [-1, 0]],
                np.full((2, 2), 2**32 + 1),
                np.full((2, 2, 3), np.nan),
                np.zeros((0, 5), int),
                np.ones((2, 2, 4)),
                np.zeros((2, 5), bool),
            ),
        ),
        "length": (
            lambda v: lstm.diagnose(NET, PARAMETERS, [[0, 1], [1, 0]], v),
            (1, [0, 1], [1, 3], [1.0, 1.0], "ab", [1]),
        ),
        "symbols": (
            lambda v: lstm.diagnose(NET, PARAMETERS, [[0, 1]], symbols=v),
            (3, ["a", "b"], "abc"),
        ),
        "thresholds": (
            lambda v: lstm.diagnose(NET, PARAMETERS, [[0, 1]], thresholds=v),
            (None, 0.5),
        ),
    },
    "half_squared_error": of_error(lstm.half_squared_error),
    "cross_entropy": of_error(lstm.cross_entropy)
    | {
        "tolerance": (
            lambda v: lstm.cross_entropy(OUTPUTS, OUTPUTS, tolerance=v),
            (-1, None, np.nan, "1"),
        )
    },
    "Error": of_error(lstm.Loss())
    | {
        "squared": (lambda v: lstm.Loss(squared=v), NO_ERROR),
        "cross_entropy": (lambda v: lstm.Loss(cross_entropy=v), NO_ERROR),
        "tolerance": (lambda v: lstm.Loss(tolerance=v), NO_ERROR),
        "output": (lambda v: lstm.Loss()(OUTPUTS, OUTPUTS, output=v), ("relu", None, 1)),
    },
    "init_learner": {
        "architecture": (lambda v: lstm.init_learner(v, PARAMETERS, SGD), NO_NETWORK),
        "parameters": (lambda v: lstm.init_learner(NET, v, SGD), NO_PARAMETERS),
        "optimiser": (
            lambda v: lstm.init_learner(NET, PARAMETERS, v),
            (None, 0.1, "sgd", optax.sgd, NEEDS_THE_ERROR, optax.lbfgs(), optax.polyak_sgd()),
        ),
    },
    "start_sequence": {
        "learner": (lambda v: lstm.start_sequence(NET, v), (None, PARAMETERS)),
        "architecture|learner": (lambda v: lstm.start_sequence(v, learner()), (None, OTHER)),
    },
    "learn": {
        "architecture|learner": (lambda v: lstm.learn(v, learner(), 1), (None, OTHER)),
        "learner": (lambda v: lstm.learn(NET, v, 1), (None, PARAMETERS)),
        "x_t": (lambda v: lstm.learn(NET, learner(), v), (None, "a", 3, True, [1, 0, 0], 2**32)),
        "target": (
            lambda v: lstm.learn(NET, learner(), 1, v),
            ("x", 1.0, [1.0], [None, 1.0], [[1.0, 0.0]]),
        ),
        "weight": (
            lambda v: lstm.learn(NET, learner(), 1, [0.0, 1.0], weight=v),
            (None, "x", [1.0, 2.0]),
        ),
        "mask": (lambda v: lstm.learn(NET, learner(), 1, mask=v), (1, [True], "x", 0.0)),
        "reset": (lambda v: lstm.learn(NET, learner(), 1, reset=v), (1, [True], "x", 0.0)),
        "error": (lambda v: lstm.learn(NET, learner(), 1, [0.0, 1.0], loss=v), NO_ERROR),
    },
    "learn_steps": {
        "architecture|parameters": (
            lambda v: lstm.learn_chunk(v, learner(), INPUTS, TARGETS),
            (None, OTHER),
        ),
        "learner": (lambda v: lstm.learn_chunk(NET, v, INPUTS, TARGETS), (None, PARAMETERS)),
        "inputs": (lambda v: lstm.learn_chunk(NET, learner(), v, None), NO_INPUTS),
        "targets": (
            lambda v: lstm.learn_chunk(NET, learner(), INPUTS, v),
            ("x", 1.0, TARGETS[:3], [[None, 1.0]] * 4),
        ),
        "weights": (
            lambda v: lstm.learn_chunk(NET, learner(), INPUTS, TARGETS, weights=v),
            ("x", 1.0, [1.0]),
        ),
        "mask": (
            lambda v: lstm.learn_chunk(NET, learner(), INPUTS, TARGETS, steps=lstm.Steps(mask=v)),
            NO_MASK,
        ),
        "reset": (
            lambda v: lstm.learn_chunk(NET, learner(), INPUTS, TARGETS, steps=lstm.Steps(reset=v)),
            NO_MASK,
        ),
        "error": (lambda v: lstm.learn_chunk(NET, learner(), INPUTS, TARGETS, loss=v), NO_ERROR),
    },
    "update": {"learner": (lambda v: lstm.update(SGD, v), (None, PARAMETERS))},
    "online_gradient": {
        "architecture": (
            lambda v: lstm.online_gradient(v, PARAMETERS, INPUTS, TARGETS),
            NO_NETWORK,
        ),
        "parameters": (lambda v: lstm.online_gradient(NET, v, INPUTS, TARGETS), NO_PARAMETERS),
        "inputs": (lambda v: lstm.online_gradient(NET, PARAMETERS, v, TARGETS), NO_INPUTS),
        "targets": (
            lambda v: lstm.online_gradient(NET, PARAMETERS, INPUTS, v),
            (None, "x", TARGETS[:3]),
        ),
        "weights": (
            lambda v: lstm.online_gradient(NET, PARAMETERS, INPUTS, TARGETS, v),
            ("x", 1.0, [1.0]),
        ),
        "error": (
            lambda v: lstm.online_gradient(NET, PARAMETERS, INPUTS, TARGETS, loss=v),
            NO_ERROR,
        ),
    },
    "GradientLearning": {
        "optimiser": (
            lambda v: lstm.PerSequenceUpdate(TASK, v),
            (None, 0.1, "sgd", NEEDS_THE_ERROR, optax.lbfgs()),
        ),
        "gradient": (lambda v: lstm.PerSequenceUpdate(TASK, SGD, v), ("x", None)),
        "update": (lambda v: lstm.PerSequenceUpdate(TASK, SGD, update=v), ("now", None)),
    },
    "Learning": {
        "chunk": (lambda v: dataclasses.replace(LEARNING, chunk=v), (*NO_WHOLE, 0, 2**25)),
        "max_sequences": (
            lambda v: dataclasses.replace(
                LEARNING, task=dataclasses.replace(TASK, max_sequences=v)
            ),
            (*NO_WHOLE, 0, 2**31),
        ),
    },
    "TrialRunner": {
        "learning": (lambda v: lstm.TrialRunner(v, [0]), (None, TASK)),
        "indices": (
            lambda v: lstm.TrialRunner(LEARNING, v),
            (None, 3, [], [0.5], [-1], ["0"], [True], [0, 0], [2**32]),
        ),
        "seed": (
            lambda v: lstm.TrialRunner(LEARNING, [0], seed=v),
            (*NO_WHOLE, 1.0, 2**32, 2**63, 2**64, 10**400, np.float32(1)),
        ),
        "batch_size": (
            lambda v: lstm.TrialRunner(LEARNING, [0], batch_size=v),
            (*NO_WHOLE[1:], 0, 10**9),
        ),
        "mesh": (lambda v: lstm.TrialRunner(LEARNING, [0], mesh=v), ("x", 2)),
    },
    "Task": {
        **{
            name: (
                lambda v, name=name: dataclasses.replace(TASK, **{name: v}),
                (*NO_WHOLE, 0),
            )
            for name in ("trials", "max_sequences", "test_size")
        },
        "max_length": (lambda v: dataclasses.replace(TASK, max_length=v), NO_WHOLE),
        "error_at": (lambda v: dataclasses.replace(TASK, error_at=v), ("begin", None)),
        "size": (lambda v: TASK.sample_batch(KEY, v), (*NO_WHOLE, 0)),
        "key": (lambda v: TASK.sample_batch(v, 2), NO_KEY[:4]),
        "learning_rate": (lambda v: tasks.Hyperparameters(v), (*NO_NUMBER, -1, 1e39, 1e-46)),
        "init_range": (
            lambda v: tasks.Hyperparameters(init_range=v),
            (*NO_NUMBER, -1, 0, 1e39, 1e-46),
        ),
        "input_gate_bias": (
            lambda v: tasks.Hyperparameters(input_gate_bias=v),
            (-1.0, (np.nan,), (1e39,), "ab", [[1.0]]),
        ),
        "tolerance": (tasks.within, (*NO_NUMBER, 0, -0.1)),
    },
    "make_task": {"task": (lstm.make_task, ("7", None, 6, "", ["6a"]))},
    "make_recipe": {
        "recipe|departure": (
            lstm.make_recipe,
            ("7", None, 6, "", ["paper"], "paper+", "paper+rate=nan", "paper+unknown"),
        )
    },
    "read_network": {
        "document": (lstm.network_from_document, (None, [1], "x")),
        "network": (
            lstm.network_from_document,
            ({}, RESULT | {"network": []}, network(parameters=None), network(parameters={})),
        ),
        "architecture": (
            lambda v: lstm.network_from_document(RESULT | {"architecture": v}),
            (None, "x", {}, RESULT["architecture"] | {"unknown": 1}),
        ),
        "solved": (lambda v: lstm.network_from_document(RESULT | {"network": v}), (None,)),
    },
    "save": {
        "architecture": (lambda v: save("/none/a", v, PARAMETERS), NO_NETWORK),
        "parameters": (lambda v: save("/none/a", NET, v), NO_PARAMETERS),
        "path": (save_to, ("/", "/none/a")),
    },
    "load": {
        "path": (lstm.load, ("/", "/none/a")),
        "dtype": (lambda v: lstm.load(__file__, dtype=v), NO_DTYPE),
        "test_arguments": (lstm.load, (__file__,)),
    },
    "from_library": {
        "library": (lambda v: lstm.from_library(v, {}), (None, "flax", 3, ["keras.LSTM"])),
        "arrays|kernel|bias": (
            lambda v: lstm.from_library("keras.LSTM", v),
            (
                None,
                [],
                {},
                {"kernel": 1},
                {"kernel": "x", "recurrent_kernel": "y"},
                {"kernel": np.ones((2, 4)), "recurrent_kernel": np.ones((1, 3))},
                {"kernel": np.ones((2, 4)), "recurrent_kernel": np.ones((1, 4)), "bias": "x"},
            ),
        ),
    },
    "to_library": {
        "library": (lambda v: lstm.to_library(v, NET, PARAMETERS), (None, "flax", 3)),
        "architecture": (
            lambda v: lstm.to_library("keras.LSTM", v, PARAMETERS),
            (*NO_NETWORK, EVERYTHING),
        ),
    },
    "configure_cpu": {
        "num_devices": (lambda v: lstm.configure_cpu(num_devices=v), (0, -1, "2", 1.5)),
    },
    "random_search": {
        name: (
            lambda v, name=name: random_search.SearchSpace(**{name: v}),
            (3, "ab", (1.0,), (2, 1), (None, 1), ("a", "b"), (np.nan, 1), (1, 1e39), (0, np.inf)),
        )
        for name in ("learning_rate", "init_range", "input_gate_bias", "output_gate_bias")
    },
    "rivals": {
        "method": (lambda v: baselines.training_loop(TASK, v), (None, "X", 1)),
        "num_hidden": (
            lambda v: baselines.training_loop(TASK, num_hidden=v),
            (*NO_WHOLE, 0),
        ),
        "connections": (lambda v: baselines.training_loop(TASK, connections=v), (None, "X")),
        "learning_rate": (
            lambda v: baselines.training_loop(TASK, learning_rate=v),
            (-1, "x", 1e39),
        ),
        "init_range": (lambda v: baselines.training_loop(TASK, init_range=v), (-1, "x", 1e39)),
        "optimiser": (
            lambda v: baselines.training_loop(TASK, optimiser=v),
            (0.1, "sgd", NEEDS_THE_ERROR),
        ),
        "tolerance": (
            lambda v: baselines.training_loop(TASK, tolerance=v),
            (-1, None, "1", np.nan),
        ),
        "task": (baselines.training_loop, (None, "6a")),
    },
}

# Modules, records that hold what they are given, and what takes no argument; `output_units` runs
# inside loops, on what has been checked.
WITHOUT_CASES = {
    "ACTIVATIONS", "Activation", "Activations", "Additive", "Attended", "DotProduct", "ERRORS",
    "Example", "Finding", "Lanes", "Layer", "Learner", "Method", "OutputWeights", "Parameters",
    "Recipe", "State", "Thresholds", "TrialMethod", "TrialResult", "UnitWeights", "network",
    "online", "output_units", "plots", "processes", "row_names", "tasks",
    "training",
}  # fmt: skip


def test_every_public_function_has_its_cases():
    assert {*CASES} == {*lstm.__all__} - WITHOUT_CASES


@pytest.mark.parametrize("function", CASES)
def test_a_bad_argument_is_one_line_that_names_it(function: str):
    if function in ("save", "load"):
        pytest.importorskip("safetensors")
    failures = []
    for argument, (call, values) in CASES[function].items():
        for value in values:
            told = f"{argument}={displayed(value)}"
            try:
                call(value)
            except (ValueError, FileNotFoundError) as error:
                line = str(error)
                if not any(name in line for name in argument.split("|")):
                    failures.append(f"{told}: not named: {line}")
                elif "\n" in line or len(line) > 700:
                    failures.append(f"{told}: no line: {line}")
            except Exception as error:
                failures.append(f"{told}: {type(error).__name__}: {error}")
            else:
                failures.append(f"{told}: taken")
    assert not failures, "\n".join(failures)
