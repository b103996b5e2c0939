"""Bad arguments of public functions give one line that names the argument.

A new public function needs a row in `CASES`; the first test checks that it has one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, EVERYTHING, random_parameters

import lstm_jax as lstm
from lstm_jax import baselines as baselines
from lstm_jax import streaming, tasks
from lstm_jax.cell.validation import displayed
from lstm_jax.network.files import network_from_document
from lstm_jax.training.update_rules.random_search import SearchSpace

FLOAT32 = lambda tree: jax.tree.map(lambda w: np.asarray(w, np.float32), tree)
NET, OTHER = DESCENDANT, dataclasses.replace(DESCENDANT, blocks=(3, 3))
PARAMETERS, OF_OTHER = FLOAT32(random_parameters(NET)), FLOAT32(random_parameters(OTHER))
KEY, SGD = jax.random.key(0), optax.sgd(0.1)
INPUTS = np.ones((4, 3), np.float32)
TARGETS = np.ones((4, 2), np.float32)
STATE = lstm.zero_state(NET)
LEARNER = lstm.init_learner(NET, PARAMETERS, SGD)
PLAIN_SGD = optax.GradientTransformation(*SGD)
NEEDS_THE_ERROR = optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau())
TASK = lstm.make_task("6a")
LOOP = lstm.TrainingLoop(TASK)
RESULT_FILE = pathlib.Path(__file__).parents[1] / "experiments/results/6a/6a.json"
RESULT = json.loads(RESULT_FILE.read_text())
QUERY, OUTPUTS = np.ones(2, np.float32), np.ones((4, 2), np.float32)

# Values of another type, or out of range.
NO_NUMBER = (None, "1", np.nan, np.inf, 10**400, 10**5000, [10**5000], True, [1.0])
NO_WHOLE = (None, "1", 1.5, -1, True, [1])
NO_FLAG = (1, 0.0, "yes", None, np.True_)
NO_DTYPE = ("x", np.int32, bool)
NO_KEY = (0, None, "key", np.zeros(2), jax.random.split(KEY, 2))
NO_ARRAY = (None, "abc", [[1.0, 2, 3], [1.0]], {"a": 1}, [None])
# JAX would convert these to 1, or 2 as an input.
NO_SYMBOLS = ([-1], [3], [2**32], np.array([2**32 + 1]), np.array([2**63 + 1], np.uint64))
NO_INPUTS = (*NO_ARRAY, [True], [1j], 1, 1.0, np.ones((4, 2)), np.ones((2, 4, 3)), *NO_SYMBOLS)
NO_BATCH = (*NO_ARRAY[:3], [0, 1], [[0, 1], [0, 3]], [[0, 1], [-1, 0]], np.ones((2, 2, 4)))
NO_BATCH += (np.full((2, 2, 3), np.nan), np.zeros((0, 5), int), np.zeros((2, 5), bool))
NO_LOSS = (None, "squared", 1.0)
NO_AMOUNT = (-1, *NO_NUMBER, 1e39)
NO_MASK = ("abc", [1, 0, 1, 0], [True], 1.0)
NO_LENGTH = ("abc", 2.0, True, [2], -1, 5, 2**40, np.int64(2**32 + 1))
NO_NETWORK = (None, "net", PARAMETERS)
NO_PARAMETERS = (None, {}, NET, OF_OTHER, jax.tree.map(lambda w: w * np.nan, PARAMETERS))
NO_STATE = ("x", tuple(STATE), lstm.zero_state(OTHER))
NO_OPTIMISER = (0.1, "sgd", NEEDS_THE_ERROR, optax.lbfgs())

Call = Callable
Rows = dict[str, tuple[Call, tuple]]


def of(function: Callable, good: dict, /, **bad: tuple) -> Rows:
    """Rows in which one argument at a time takes bad values instead of a good one.

    The message must name the argument, or one of the names after "__or_".
    """

    def row(names: str) -> Call:
        name = names.split("__or_")[0]
        return lambda value: function(**(good | {name: value}))

    return {names.replace("__or_", "|"): (row(names), values) for names, values in bad.items()}


def of_steps(function: Callable, good: dict, *fields: str) -> Rows:
    """Rows for the fields of `steps`."""
    bad = {"mask": NO_MASK, "length": NO_LENGTH, "reset": NO_MASK}
    with_field = lambda name: lambda value: function(**good, steps=lstm.Steps(**{name: value}))
    return {name: (with_field(name), bad[name]) for name in fields} | of(
        function, good, steps=(None, [True] * 4, lstm.Steps(mask=[True] * 4, length=2))
    )


RUN = {"architecture": NET, "parameters": PARAMETERS, "inputs": INPUTS}
BAD_RUN = {"architecture": NO_NETWORK, "parameters": NO_PARAMETERS, "inputs": NO_INPUTS}
BOTH = {"architecture": NET, "forward": PARAMETERS, "backward": PARAMETERS, "inputs": INPUTS}
ATTENTION = {"query": QUERY, "outputs": OUTPUTS}
DOT_PRODUCT = ATTENTION | {"parameters": lstm.DotProductAttention(None, None)}
BAD_OUTPUTS = (None, "ab", [1.0], [[1.0], [1.0, 2.0]])
ONE_STEP = {"architecture": NET, "learner": LEARNER, "x_t": 1, "target": [0.0, 1.0]}
CHUNK = {"architecture": NET, "learner": LEARNER, "inputs": INPUTS, "targets": TARGETS}
FLAG = (1, [True], "x", 0.0)
PLAIN = {"num_inputs": 3, "blocks": (2,), "num_outputs": 1}
KERAS = {"kernel": np.ones((2, 4)), "recurrent_kernel": np.ones((1, 4))}
LOSS_ARGUMENTS = {"targets": (*NO_ARRAY[:4], np.ones(3)), "weights": ("abc", np.ones(3), {"a": 1})}
BIASES = (-1.0, (1.0,), (np.nan, 1.0), (1e39, 1.0), (None, 1.0), "ab", ())
RANGES = (3, "ab", (1.0,), (2, 1), (None, 1), ("a", "b"), (np.nan, 1), (1, 1e39), (0, np.inf))


def network(**changes) -> dict:
    return RESULT | {"network": RESULT["network"] | changes}


CASES: dict[str, Rows] = {
    "Architecture": of(
        lstm.Architecture,
        PLAIN,
        num_inputs=(*NO_WHOLE, 0),
        num_outputs=NO_WHOLE,
        num_hidden=NO_WHOLE,
        blocks=(None, (), 2, "22", (0,), (1.5,), (True,), (None,)),
        **dict.fromkeys(("input_gates", "forget_gates", "peepholes", "input_to_output"), NO_FLAG),
        recurrent=(None, "gates", "All", 1, ("all",), []),
        biases=(None, "some", True, ("input",), (1,), {"cell"}),
        cell_input=(None, "relu", jnp.tanh),
        cell_output=(None, "relu", 1),
        output=(None, "relu", 1),
        initial_activation=NO_NUMBER,
    ),
    "Stack": of(
        lstm.Stack,
        {"layers": (NET,)},
        layers=(None, (), NET, (NET, NET), (3,), "ab"),
        bidirectional=NO_FLAG,
        dropout=(*NO_NUMBER, -0.1, 1.0),
        normalisation=(None, "batch", 1),
    ),
    "make_stack": of(
        lstm.make_stack,
        {"num_inputs": 3, "blocks": ((2,), (1, 1)), "num_outputs": 1},
        num_inputs=(*NO_WHOLE, 0),
        num_outputs=NO_WHOLE,
        blocks=(None, (), 2, ((),), ((0,),), ((2,), 3), "ab"),
        bidirectional=NO_FLAG,
        dropout=(*NO_NUMBER, -0.1, 1.0),
        normalisation=(None, "batch", 1),
    ),
    "register_activation": of(
        lstm.register_activation,
        {"name": "twice", "function": lambda x: 2 * x, "derivative": lambda y: 0 * y + 2},
        name=(None, "", "a b", "tanh", "softmax", 3),
        function=(None, 3, lambda x: x.sum(), lambda x: x / x.sum()),
        derivative=(None, 3, lambda y: y, lambda y: 0 * y + jnp.nan),
    ),
    "initialise": of(
        lstm.initialise,
        {"key": KEY, "architecture": NET},
        architecture=NO_NETWORK,
        key=NO_KEY,
        init_range=(*NO_NUMBER, 0, -1, 1e39, 3.4e38),
        **dict.fromkeys(("input_gate_bias", "output_gate_bias", "forget_gate_bias"), BIASES),
        dtype=NO_DTYPE,
    ),
    "check_parameters": of(
        lstm.check_parameters,
        {"architecture": NET, "parameters": PARAMETERS},
        architecture=NO_NETWORK,
        parameters=NO_PARAMETERS,
    ),
    "zero_state": of(
        lstm.zero_state,
        {"architecture": NET},
        architecture=NO_NETWORK,
        dtype=NO_DTYPE,
        lanes=(3, None, [2]),
    ),
    "RunOptions": of(
        lstm.RunOptions,
        {},
        gradient=("x", None, ["full"]),
        reverse=("no", None, 2),
        loop=("fast", None, ["scan"]),
    ),
    "apply": of(
        lstm.apply,
        RUN,
        **BAD_RUN,
        initial_state=NO_STATE,
        at=("begin", None, 3, ["end"]),
        options=(None, "full"),
    )
    | of_steps(lstm.apply, RUN, "mask", "length", "reset"),
    "unroll": of(lstm.unroll, RUN, **BAD_RUN, initial_state=NO_STATE, options=(None, "full"))
    | of_steps(lstm.unroll, RUN, "mask", "length", "reset"),
    "bidirectional": of(
        lstm.bidirectional,
        BOTH,
        architecture=NO_NETWORK,
        forward__or_parameters=NO_PARAMETERS,
        backward__or_parameters=NO_PARAMETERS,
        inputs=NO_INPUTS,
    )
    | of_steps(lstm.bidirectional, BOTH, "mask", "length"),
    "step": of(
        lstm.step,
        {"architecture": NET, "parameters": PARAMETERS, "state": STATE, "x_t": 1},
        architecture=NO_NETWORK,
        parameters=NO_PARAMETERS,
        state=(*NO_STATE, None, INPUTS[0]),
        x_t=(None, "a", 3, -1, True, 1.0, [1, 0, 0], [[1.0, 0, 0]], 2**40, np.int64(2**32 + 1)),
    ),
    "pad_sequences": of(
        lstm.pad_sequences,
        {"sequences": [[1, 2]]},
        sequences=(None, 5, [], [1, 2], [[1, 2], [1.0]], [["a"]], [None], [[1], [[1]]], [[2**33]]),
        steps=(0, -1, 1, 1.5, 2.0, "3"),
    ),
    "additive_attention": of(
        lstm.additive_attention,
        ATTENTION,
        parameters=(
            None,
            lstm.DotProductAttention(None, None),
            lstm.AdditiveAttention(None, np.ones((2, 4)), np.ones(4)),
            lstm.AdditiveAttention(np.ones((2, 4)), np.ones((2, 3)), np.ones(4)),
        ),
    ),
    "dot_product_attention": of(
        lstm.dot_product_attention,
        ATTENTION,
        parameters=(
            (None, None),
            lstm.DotProductAttention("x", None),
            lstm.DotProductAttention([[1.0]], None),
        ),
    )
    | of(
        lstm.dot_product_attention,
        DOT_PRODUCT,
        query__or_parameters=(None, "ab", [[1.0, 2.0]], [1.0], 1.0),
        outputs=BAD_OUTPUTS,
    )
    | of_steps(lstm.dot_product_attention, DOT_PRODUCT, "mask", "length"),
    "diagnose": of(
        lstm.diagnose,
        {"architecture": NET, "parameters": PARAMETERS, "inputs": [[0, 1], [1, 0]]},
        **BAD_RUN | {"inputs": NO_BATCH},
        length=(1, [0, 1], [1, 3], [1.0, 1.0], "ab", [1]),
        symbols=(3, ["a", "b"], "abc"),
    ),
    "half_squared_error": of(
        lstm.half_squared_error,
        {"outputs": OUTPUTS, "targets": OUTPUTS},
        outputs__or_targets=(*NO_ARRAY[:4], np.ones(3)),
        **LOSS_ARGUMENTS,
    ),
    "cross_entropy": of(
        lstm.cross_entropy,
        {"net": OUTPUTS, "targets": OUTPUTS},
        net__or_targets=(*NO_ARRAY[:4], np.ones(3)),
        tolerance=(-1, None, np.nan, "1"),
        **LOSS_ARGUMENTS,
    ),
    "softmax_cross_entropy": of(
        lstm.softmax_cross_entropy,
        {"net": OUTPUTS, "targets": OUTPUTS},
        net__or_targets=(*NO_ARRAY[:4], np.ones(3), 1.0, [[1, 2]]),
        **LOSS_ARGUMENTS | {"targets": (*LOSS_ARGUMENTS["targets"], [0, 1, 2, 0], [0, 1], 0)},
        class_weights=("abc", np.ones(3), 1.0),
    ),
    "net_inputs_only": of(lstm.net_inputs_only, {}, architecture=NO_NETWORK),
    "Loss": of(lstm.Loss, {}, squared=NO_AMOUNT, cross_entropy=NO_AMOUNT, tolerance=NO_AMOUNT)
    | of(
        lstm.Loss(),
        {"net": OUTPUTS, "targets": OUTPUTS},
        net__or_targets=(*NO_ARRAY[:4], np.ones(3)),
        output=("relu", None, 1),
        **LOSS_ARGUMENTS,
    ),
    "init_learner": of(
        lstm.init_learner,
        {"architecture": NET, "parameters": PARAMETERS, "optimiser": SGD},
        architecture=NO_NETWORK,
        parameters=NO_PARAMETERS,
        optimiser=(None, optax.sgd, optax.polyak_sgd(), *NO_OPTIMISER),
        gradient=(None, "full", 1),
    ),
    "start_sequence": of(
        lstm.start_sequence,
        {"architecture": NET, "learner": LEARNER},
        architecture__or_learner=(None, OTHER),
        learner=(None, PARAMETERS),
    ),
    "learn": of(
        lstm.learn,
        ONE_STEP,
        architecture__or_learner=(None, OTHER),
        learner=(None, PARAMETERS),
        x_t=(None, "a", 3, True, [1, 0, 0], 2**32, [0.0, np.nan, 0.0]),
        target=("x", 1.0, [1.0], [None, 1.0], [[1.0, 0.0]]),
        signal=("x", 1.0, [1.0], [None, 1.0], [[1.0, 0.0]]),
        weight=(None, "x", [1.0, 2.0]),
        mask=FLAG,
        reset=FLAG,
        loss=NO_LOSS,
    ),
    "learn_chunk": of(
        lstm.learn_chunk,
        CHUNK,
        architecture__or_parameters=(None, OTHER),
        learner=(None, PARAMETERS),
        inputs=NO_INPUTS,
        targets=("x", 1.0, TARGETS[:3], [[None, 1.0]] * 4),
        weights=("x", 1.0, [1.0]),
        loss=NO_LOSS,
    )
    | of_steps(lstm.learn_chunk, CHUNK, "mask", "reset"),
    "update": of(lstm.update, {"optimiser": SGD}, learner=(None, PARAMETERS))
    | of(
        lambda optimiser: lstm.update(optimiser, LEARNER, td_error=1.0),
        {},
        optimiser=(PLAIN_SGD,),
    ),
    "streaming": of(streaming.eligibility_traces, {}, decay=(*NO_NUMBER, -0.1, 1.1))
    | of(
        streaming.obgd,
        {},
        decay=(*NO_NUMBER, 2),
        **dict.fromkeys(("learning_rate", "kappa"), (*NO_NUMBER, 0)),
    )
    | of(
        streaming.idbd,
        {"learning_rate": 0.1, "meta_rate": 0.1},
        **dict.fromkeys(("learning_rate", "meta_rate"), (*NO_NUMBER, 0)),
    )
    | of(streaming.init_moments, {}, dtype=NO_DTYPE)
    | of(
        streaming.normalise,
        {"moments": streaming.init_moments((3,)), "x_t": [0.0, 0.0, 0.0]},
        moments=(None, LEARNER),
        x_t=(None, "a", 1.0, [1.0]),
    )
    | of(
        streaming.scale_reward,
        {"state": streaming.init_reward_scale(), "reward": 1.0, "discount": 1.0},
        state=(None, LEARNER),
        reward=(None, "a", [1.0]),
        discount=(None, "a", [1.0]),
        reset=FLAG,
    )
    | of(
        streaming.sparsify,
        {"key": KEY, "parameters": PARAMETERS},
        key=NO_KEY,
        share=(*NO_NUMBER, -0.1, 1.0),
    ),
    "online_gradient": of(
        lstm.online_gradient,
        RUN | {"targets": TARGETS},
        **BAD_RUN,
        targets=(None, "x", TARGETS[:3]),
        weights=("x", 1.0, [1.0]),
        loss=NO_LOSS,
        gradient=(None, "full", 1),
    ),
    "fit": of(
        lstm.fit,
        {"loss": jnp.mean, "parameters": 1.0, "optimiser": SGD, "batches": [np.ones(1)]},
        loss=(None, 1.0),
        optimiser=(None, 0.1, "sgd"),
        batches=([], lambda epoch: ()),
        epochs=NO_WHOLE,
        patience=(*NO_WHOLE[1:], 0),
        key=NO_KEY[:1] + NO_KEY[2:],
        state=(1.0, {}),
    ),
    "init_fit": of(lstm.init_fit, {"parameters": 1.0}, optimiser=(None, 0.1, "sgd")),
    "PerSequenceUpdate": of(lstm.PerSequenceUpdate, {"task": TASK}, optimiser=NO_OPTIMISER),
    "TrainingLoop": of(lstm.TrainingLoop, {"task": TASK}, chunk=(*NO_WHOLE[1:], 0, 2**25))
    | of(
        lambda max_sequences: lstm.TrainingLoop(
            dataclasses.replace(TASK, max_sequences=max_sequences)
        ),
        {},
        max_sequences=(*NO_WHOLE, 0, 2**31),
    ),
    "TrialRunner": of(
        lstm.TrialRunner,
        {"loop": LOOP, "indices": [0]},
        loop=(None, TASK),
        indices=(None, 3, [], [0.5], [-1], ["0"], [True], [0, 0], [2**32]),
        seed=(*NO_WHOLE, 1.0, 2**32, 2**63, 2**64, 10**400, np.float32(1)),
        batch_size=(*NO_WHOLE[1:], 0, 10**9),
        mesh=("x", 2),
    ),
    "Task": of(
        lambda **changes: dataclasses.replace(TASK, **changes),
        {},
        **dict.fromkeys(("trials", "max_sequences", "test_size"), (*NO_WHOLE, 0)),
        max_length=NO_WHOLE,
        error_at=("begin", None),
    )
    | of(TASK.sample_batch, {"key": KEY, "size": 2}, size=(*NO_WHOLE, 0), key=NO_KEY[:4])
    | {"tolerance": (tasks.within, (*NO_NUMBER, 0, -0.1))},
    "Hyperparameters": of(
        lstm.Hyperparameters,
        {},
        learning_rate=(*NO_NUMBER, -1, 1e39, 1e-46),
        init_range=(*NO_NUMBER, -1, 0, 1e39, 1e-46),
        input_gate_bias=(-1.0, (np.nan,), (1e39,), "ab", [[1.0]]),
        gradient=("x", None),
        update_after=("now", None),
        optimiser=("x", None),
        loss=NO_LOSS,
    ),
    "make_task": {"task": (lstm.make_task, ("7", None, 6, "", ["6a"]))},
    "make_recipe": {
        "recipe|override": (
            lstm.make_recipe,
            ("7", None, 6, "", ["paper"], "paper+", "paper+learning-rate=nan", "paper+unknown"),
        )
    },
    "save": of(
        lstm.save,
        {"path": "/none/a", "architecture": NET, "parameters": PARAMETERS, "overwrite": True},
        architecture=NO_NETWORK,
        parameters=NO_PARAMETERS,
        path=("/", "/none/a"),
    ),
    "load": of(lstm.load, {"path": RESULT_FILE}, path=("/", "/none/a"), dtype=NO_DTYPE)
    | {
        "test_arguments": (lstm.load, (__file__,)),
        "document": (network_from_document, (None, [1], "x")),
        "network|parameters": (
            network_from_document,
            ({}, network(parameters=None), network(parameters={}), RESULT | {"network": []}),
        ),
        "architecture": (
            lambda v: network_from_document(RESULT | {"architecture": v}),
            (None, "x", {}, RESULT["architecture"] | {"unknown": 1}),
        ),
        "no network": (network_from_document, (RESULT | {"network": None},)),
    },
    "save_state": of(
        lstm.save_state,
        {"path": "/none/a", "tree": 1.0},
        tree=("a", {"b": "c"}, KEY, [None, object()]),
        path=("/", "/none/a"),
    ),
    "load_state": of(lstm.load_state, {"like": 1.0}, path=("/", "/none/a"))
    | {"test_arguments": (functools.partial(lstm.load_state, like=1.0), (__file__,))},
    "from_library": of(
        lstm.from_library,
        {"library": "keras.LSTM", "arrays": KERAS},
        library=(None, "flax", 3, ["keras.LSTM"]),
        arrays__or_kernel__or_bias=(
            *(None, [], {}, {"kernel": 1}, {"kernel": "x", "recurrent_kernel": "y"}),
            KERAS | {"recurrent_kernel": np.ones((1, 3))},
            KERAS | {"bias": "x"},
        ),
    ),
    "to_library": of(
        lstm.to_library,
        {"library": "keras.LSTM", "architecture": NET, "parameters": PARAMETERS},
        library=(None, "flax", 3),
        architecture=(*NO_NETWORK, EVERYTHING),
    ),
    "configure_cpu": of(lstm.configure_cpu, {}, num_devices=(0, -1, "2", 1.5)),
    "baselines": of(
        baselines.training_loop,
        {"task": TASK},
        task=(None, "6a"),
        method=(None, "X", 1),
        num_hidden=(*NO_WHOLE, 0),
        connections=(None, "X"),
        **dict.fromkeys(("learning_rate", "init_range"), (-1, "x", 1e39)),
        optimiser=NO_OPTIMISER[:3],
        tolerance=(-1, None, "1", np.nan),
    ),
    "training": of(
        SearchSpace, {}, **dict.fromkeys(("learning_rate", "init_range", "input_gate_bias"), RANGES)
    ),
}

# Modules, records of results, types, and functions without arguments. `output_units` runs inside
# loops, on validated arguments.
WITHOUT_CASES = {
    "ACTIVATIONS", "Activation", "Activations", "AdditiveAttention", "Attention", "BatchUpdateRule",
    "DotProductAttention", "Epoch", "EpochBar", "Example", "Finding", "FitResult", "FitState",
    "LOSSES", "Layer", "Learner", "OutputWeights", "Parameters", "Recipe", "StackParameters",
    "State", "Steps", "TrialResult", "UnitWeights", "UpdateRule", "Vmapped", "data", "mean_loss",
    "network", "online",
    "output_units", "plots", "processes", "row_names", "scores", "tasks", "write_epochs",
}  # fmt: skip


def test_every_public_function_has_its_cases():
    assert {*CASES} == {*lstm.__all__} - WITHOUT_CASES


def failure(call: Call, value, names: list[str]) -> str | None:
    """What is wrong with the refusal of a value; None if nothing is."""
    try:
        call(value)
    except (ValueError, FileNotFoundError) as error:
        line = str(error)
        if not any(name in line for name in names):
            return f"not named: {line}"
        return f"not one line: {line}" if "\n" in line or len(line) > 700 else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


@pytest.mark.parametrize("function", CASES)
def test_a_bad_argument_is_one_line_that_names_it(function: str):
    if function.startswith(("save", "load")):
        pytest.importorskip("safetensors")
    failures = [
        f"{names}={displayed(value)}: {found}"
        for names, (call, values) in CASES[function].items()
        for value in values
        if (found := failure(call, value, names.split("|")))
    ]
    assert not failures, "\n".join(failures)
