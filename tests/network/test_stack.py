"""Layers below the top, and stacks of layers."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import DESCENDANT, assert_close, assert_equal, make_problem, quick_jit

import lstm_jax as lstm

pytestmark = pytest.mark.usefixtures("float64")

OPTIMISER = optax.sgd(0.1)
PROBLEM = make_problem(DESCENDANT, steps=7)
HIDDEN = dataclasses.replace(DESCENDANT, num_outputs=0, input_to_output=False)


def test_a_hidden_layer_has_no_output_weights_and_is_that_of_the_network():
    key = jax.random.key(3)
    network, hidden = (lstm.initialise(key, net) for net in (DESCENDANT, HIDDEN))
    assert hidden.output is None
    assert_equal(hidden.layer, network.layer)
    assert HIDDEN.num_weights == sum(leaf.size for leaf in jax.tree.leaves(hidden))
    layer = PROBLEM.parameters._replace(output=None)
    found = lstm.unroll(HIDDEN, layer, PROBLEM.inputs)
    assert_equal(found, lstm.unroll(DESCENDANT, PROBLEM.parameters, PROBLEM.inputs))
    state = lstm.zero_state(HIDDEN, np.float64)
    after = lstm.step(HIDDEN, layer, state, PROBLEM.inputs[0])
    assert_equal(after, lstm.step(DESCENDANT, PROBLEM.parameters, state, PROBLEM.inputs[0]))


def test_outputs_of_a_hidden_layer_are_refused():
    layer = PROBLEM.parameters._replace(output=None)
    with pytest.raises(ValueError, match="num_outputs must be at least 1 here, got 0"):
        lstm.apply(HIDDEN, layer, PROBLEM.inputs)
    with pytest.raises(ValueError, match="num_outputs must be at least 1 here, got 0"):
        lstm.learn(HIDDEN, lstm.init_learner(HIDDEN, layer, OPTIMISER), PROBLEM.inputs[0])
    with pytest.raises(ValueError, match=r"parameters.output.* is given, but"):
        lstm.unroll(HIDDEN, PROBLEM.parameters, PROBLEM.inputs)
    with pytest.raises(ValueError, match="input_to_output must be False"):
        dataclasses.replace(DESCENDANT, num_outputs=0)


FIELDS = {"num_hidden": 1, "forget_gates": True, "peepholes": True}
TWO = lstm.make_stack(3, ((2, 1), (1, 2)), 2, input_to_output=True, **FIELDS)
BOTH = lstm.make_stack(3, ((2, 1), (1,), (2,)), 2, bidirectional=True, **FIELDS)
INPUTS = PROBLEM.inputs
TARGETS = PROBLEM.targets
MASK = np.array([True, True, False, True, True, True, False])


def draw(stack: lstm.Stack, seed: int = 0) -> lstm.StackParameters:
    return lstm.initialise(jax.random.key(seed), stack, init_range=1.0, dtype=np.float64)


def by_hand(stack: lstm.Stack, parameters: lstm.StackParameters, inputs, **options) -> jax.Array:
    """The outputs at every step, by runs of one layer after the other."""
    for i, layer in enumerate(stack.layers):
        net = dataclasses.replace(layer, num_outputs=0, input_to_output=False)
        below = inputs
        weights = lstm.Parameters(parameters.layers[i], None)
        if stack.bidirectional:
            other = lstm.Parameters(parameters.backward[i], None)
            found, _ = lstm.bidirectional(net, weights, other, inputs, **options)
        else:
            found, _ = lstm.unroll(net, weights, inputs, **options)
        inputs = jnp.concatenate([found.cell_output, found.hidden], axis=1)
    return lstm.output_units(stack.layers[-1], parameters.output, found, below)


def test_a_stack_of_one_layer_is_the_layer():
    stack = lstm.Stack((DESCENDANT,))
    key = jax.random.key(3)
    bias = {"forget_gate_bias": (1.0, 2.0)}
    network, parameters = (lstm.initialise(key, net, **bias) for net in (DESCENDANT, stack))
    assert_equal(parameters, lstm.StackParameters((network.layer,), None, network.output))
    assert stack.num_weights == DESCENDANT.num_weights
    for at in ("every_step", "end"):
        found, (state,) = lstm.apply(stack, parameters, INPUTS, at=at)
        assert_equal((found, state), lstm.apply(DESCENDANT, network, INPUTS, at=at))


@pytest.mark.parametrize("stack", [TWO, BOTH], ids=["one direction", "both directions"])
@pytest.mark.parametrize("gradient", ["truncated", "truncated_autodiff", "full"])
def test_a_stack_is_a_composition_of_its_layers(stack: lstm.Stack, gradient):
    options = {"options": lstm.RunOptions(gradient=gradient), "steps": lstm.Steps(mask=MASK)}
    weights = MASK.astype(float)

    def loss(run, parameters, inputs):
        return lstm.half_squared_error(run(stack, parameters, inputs, **options), TARGETS, weights)

    apply = lambda *args, **options: lstm.apply(*args, **options)[0]
    parameters = draw(stack)
    assert stack.num_weights == sum(leaf.size for leaf in jax.tree.leaves(parameters))
    found, expected = (
        quick_jit(jax.value_and_grad(functools.partial(loss, run), (0, 1)))(parameters, INPUTS)
        for run in (apply, by_hand)
    )
    assert_close(found, expected, 1e-12)


def test_the_full_gradient_of_a_stack_is_its_derivative():
    full = lstm.RunOptions(gradient="full")

    def loss(parameters):
        return lstm.half_squared_error(
            lstm.apply(BOTH, parameters, INPUTS, options=full)[0], TARGETS
        )

    direction = draw(BOTH, seed=1)
    move = lambda h: loss(jax.tree.map(lambda w, d: w + h * d, draw(BOTH), direction))
    gradient = jax.grad(loss)(draw(BOTH))
    products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction)
    assert_close(sum(jax.tree.leaves(products)), (move(1e-6) - move(-1e-6)) / 2e-6, 1e-7)


def test_outputs_at_the_end_are_those_of_the_final_states():
    outputs, states = lstm.apply(TWO, draw(TWO), INPUTS)
    at_end, same = lstm.apply(TWO, draw(TWO), INPUTS, at="end")
    assert_close((at_end, same), (outputs[-1], states), 1e-14)
    at_end, states = lstm.apply(BOTH, draw(BOTH), INPUTS, at="end")
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *states[-1])
    assert_close(at_end, lstm.output_units(BOTH.layers[-1], draw(BOTH).output, both), 1e-14)


def test_a_sequence_in_two_parts_is_the_sequence():
    parameters = draw(TWO)
    first, state = lstm.apply(TWO, parameters, INPUTS[:3])
    second, end = lstm.apply(TWO, parameters, INPUTS[3:], initial_state=state)
    expected = lstm.apply(TWO, parameters, INPUTS)
    assert_close((np.concatenate([first, second]), end), expected, 1e-13)
    with pytest.raises(ValueError, match="initial_state must be a tuple with a State per layer"):
        lstm.apply(TWO, parameters, INPUTS, initial_state=state[0])


@pytest.mark.parametrize("normalisation", ["rms", "layer"])
def test_inputs_of_upper_layers_are_normalised(normalisation):
    stack = dataclasses.replace(TWO, normalisation=normalisation)
    lower, upper = (
        dataclasses.replace(net, num_outputs=0, input_to_output=False) for net in stack.layers
    )
    parameters = draw(stack)
    (below, above), _ = lstm.unroll(stack, parameters, INPUTS)
    found, _ = lstm.unroll(lower, lstm.Parameters(parameters.layers[0], None), INPUTS)
    assert_close(below, found, 1e-14)
    seen = np.concatenate([found.cell_output, found.hidden], axis=1)
    if normalisation == "layer":
        seen = seen - seen.mean(1, keepdims=True)
    seen = seen / np.sqrt((seen**2).mean(1, keepdims=True) + 1e-6)
    expected, _ = lstm.unroll(upper, lstm.Parameters(parameters.layers[1], None), seen)
    assert_close(above, expected, 1e-13)


def test_dropout_is_one_mask_for_all_steps_and_scaled():
    """The upper layer's net inputs are read off a layer that shows them: linear, without gates."""
    lower = lstm.Architecture(3, (1,) * 400, 0, input_gates=False, output_gates=False)
    shows = {"cell_input": "identity", "cell_output": "identity", "input_gates": False}
    upper = lstm.Architecture(
        400, (1,) * 400, 0, output_gates=False, recurrent="none", biases="none", **shows
    )
    stack = lstm.Stack((lower, upper), dropout=0.25)
    parameters = draw(stack)
    cell = parameters.layers[1].cell._replace(input=np.eye(400))
    layers = parameters.layers[0], parameters.layers[1]._replace(cell=cell)
    parameters = parameters._replace(layers=layers)
    run = lambda key: lstm.unroll(stack, parameters, INPUTS, key=key)[0]
    below, without = run(None)
    assert_close(without.cell_input, below.cell_output, 1e-14)
    _, dropped = run(jax.random.key(0))
    factors = np.asarray(dropped.cell_input / below.cell_output)
    assert_close(factors, np.broadcast_to(factors[:1], factors.shape), 1e-12)
    is_kept = factors[0] != 0
    assert_close(factors[0][is_kept], np.full(is_kept.sum(), 1 / 0.75), 1e-12)
    assert abs(is_kept.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 400)
    other = run(jax.random.key(1))[1].cell_input != 0
    assert (other[0] != is_kept).any()
    assert_equal(run(jax.random.key(0))[1].cell_input, dropped.cell_input)


MISTAKES = {
    r"layers must be a non-empty tuple of Architecture, got \(\)": {"layers": ()},
    r"layers\[0\] must be of class Architecture, got 3": {"layers": (3,)},
    r"num_outputs of layers\[0\] must be 0, got 2": {"layers": (DESCENDANT, DESCENDANT)},
    r"num_inputs of layers\[1\] must be 5, got 3": {"layers": (HIDDEN, DESCENDANT)},
    "dropout must be below 1, got 1.0": {"dropout": 1},
    "normalisation must be one of .*, got 'batch'": {"normalisation": "batch"},
    "bidirectional must be one of .*, got 2": {"bidirectional": 2},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_stack_that_does_not_fit_is_refused(message: str):
    with pytest.raises(ValueError, match=message):
        lstm.Stack(**({"layers": (DESCENDANT,)} | MISTAKES[message]))


def test_arguments_that_do_not_fit_a_stack_are_refused():
    with pytest.raises(ValueError, match="input_gate_bias must be 2 finite numbers, one for each"):
        lstm.initialise(jax.random.key(0), BOTH, input_gate_bias=(-1.0, -2.0, -3.0))
    parameters = draw(TWO)
    with pytest.raises(
        ValueError, match=r"parameters.layers\[1\].input_gate.input must have shape"
    ):
        lstm.apply(TWO, parameters._replace(layers=parameters.layers[:1] * 2), INPUTS)
    with pytest.raises(ValueError, match="architecture must be of class Architecture, got Stack"):
        lstm.step(TWO, parameters, lstm.zero_state(TWO, np.float64), INPUTS[0])


ONLINE = {
    "two layers": TWO,
    "three, normalised": lstm.make_stack(
        3, ((2, 1), (1,), (2,)), 2, normalisation="layer", cell_input="tanh", num_hidden=2
    ),
}


def at_the_same_step(stack: lstm.Stack, parameters: lstm.StackParameters, inputs) -> jax.Array:
    """Outputs whose reverse-mode gradient is the online learner's, by stopped gradients alone.

    Each layer's activations are those of its truncated run on inputs that are constants, plus a 0
    whose derivative by the inputs is that of single steps from constant states.
    """
    for i, layer in enumerate(stack.layers):
        net = dataclasses.replace(layer, num_outputs=0, input_to_output=False)
        below, weights = inputs, lstm.Parameters(parameters.layers[i], None)
        found, _ = lstm.unroll(net, weights, jax.lax.stop_gradient(inputs))
        states = lstm.State(*(getattr(found, name) for name in lstm.State._fields))
        start = jax.tree.map(lambda y: y[None], lstm.zero_state(net, np.float64))
        before = jax.tree.map(lambda first, y: jnp.concatenate([first, y[:-1]]), start, states)
        constant = jax.lax.stop_gradient((weights, before))
        # A peephole of an output gate sees the state of the same step, which is cut as well.
        cut = jax.lax.stop_gradient(found.internal_state)

        def step(before, x, weights, cut, net=net):
            return same_step(net, weights, before, x, cut)

        at_steps = jax.vmap(step, (0, 0, None, 0))(constant[1], inputs, constant[0], cut)
        difference = jax.tree.map(lambda y: y - jax.lax.stop_gradient(y), at_steps)
        cells, hidden = found.cell_output + difference[0], found.hidden + difference[1]
        inputs = jnp.concatenate([cells, hidden], axis=1)
        if stack.normalisation == "layer" and i < len(stack.layers) - 1:
            inputs = inputs - inputs.mean(1, keepdims=True)
            inputs = inputs / jnp.sqrt((inputs**2).mean(1, keepdims=True) + 1e-6)
    record = found._replace(cell_output=cells, hidden=hidden)
    return lstm.output_units(stack.layers[-1], parameters.output, record, below)


def same_step(net: lstm.Architecture, weights, before, x, s_cut) -> tuple:
    """Cell outputs and hidden units of one step, written out; gates see the state `s_cut`."""
    y = [getattr(before, t) for t in ("input_gate", "forget_gate", "output_gate")]
    y = jnp.concatenate([a for a in (*y, before.cell_output, before.hidden) if a is not None])
    block = np.repeat(np.arange(net.num_blocks), net.blocks)

    def unit(name: str, states=None):
        w = getattr(weights.layer, name)
        if w is None:
            return None
        total = x @ w.input + y @ w.recurrent + w.bias
        if states is None or w.peephole is None:
            return total
        return total + jax.ops.segment_sum(w.peephole * states, block, net.num_blocks)

    gate = lambda name, states: (
        None if (a := unit(name, states)) is None else jax.nn.sigmoid(a)[block]
    )
    g, h = lstm.ACTIVATIONS[net.cell_input], lstm.ACTIVATIONS[net.cell_output]
    kept = gate("forget_gate", before.internal_state)
    kept = before.internal_state * (1 if kept is None else kept)
    s = kept + gate("input_gate", before.internal_state) * g(unit("cell"))
    return gate("output_gate", s_cut) * h(s), jax.nn.sigmoid(unit("hidden"))


@pytest.mark.parametrize("name", ONLINE)
def test_the_online_gradient_is_reverse_mode_with_errors_that_go_down_at_the_same_step(name):
    stack = ONLINE[name]
    parameters = draw(stack)

    def loss(parameters):
        return lstm.half_squared_error(at_the_same_step(stack, parameters, INPUTS), TARGETS)

    outputs, gradient = lstm.online_gradient(stack, parameters, INPUTS, TARGETS)
    assert_close(outputs, lstm.apply(stack, parameters, INPUTS)[0], 1e-12)
    assert_close(gradient, quick_jit(jax.grad(loss))(parameters), 1e-10)
    truncated = jax.grad(
        lambda p: lstm.half_squared_error(lstm.apply(stack, p, INPUTS)[0], TARGETS)
    )(parameters)
    assert_close(gradient.layers[-1], truncated.layers[-1], 1e-10)  # the top layer's is no other
    assert_close(gradient.output, truncated.output, 1e-10)
    lower = gradient.layers[0].cell.input - truncated.layers[0].cell.input
    assert np.abs(lower).max() > 1e-4


def test_one_layer_learns_online_as_the_layer_does():
    stack = lstm.Stack((DESCENDANT,))
    layer = lstm.init_learner(DESCENDANT, PROBLEM.parameters, OPTIMISER)
    weights = lstm.StackParameters((PROBLEM.parameters.layer,), None, PROBLEM.parameters.output)
    learner = lstm.init_learner(stack, weights, OPTIMISER)
    for x, target in zip(INPUTS, TARGETS, strict=True):
        expected, layer = lstm.learn(DESCENDANT, layer, x, target)
        found, learner = lstm.learn(stack, learner, x, target)
        assert_equal(found, expected)
        layer, learner = (lstm.update(OPTIMISER, one) for one in (layer, learner))
    assert_equal(learner.parameters.layers[0], layer.parameters.layer)
    assert_equal(learner.state[0], layer.state)
    fresh = lstm.start_sequence(stack, learner)
    assert_equal(fresh.state, lstm.zero_state(stack, np.float64))
    assert not any(np.any(trace) for trace in jax.tree.leaves(fresh.traces))


def test_online_learning_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="bidirectional must be False: a backward layer begins"):
        lstm.init_learner(BOTH, draw(BOTH), OPTIMISER)
    learner = lstm.init_learner(TWO, draw(TWO), OPTIMISER)
    with pytest.raises(ValueError, match="architecture must be of class Architecture, got Stack"):
        lstm.learn_chunk(TWO, learner, INPUTS)


def test_one_layer_of_a_stack_is_diagnosed_and_drawn():
    """A lower layer's findings are those of the layer alone, but for the paths of its error."""
    parameters = draw(TWO)
    batch = INPUTS[None]
    lower = dataclasses.replace(TWO.layers[0], input_to_output=False)
    alone = lstm.diagnose(lower, lstm.Parameters(parameters.layers[0], None), batch)
    assert lstm.diagnose(TWO, parameters, batch, layer=0) == alone
    drawn = lstm.plots.network_at_work(BOTH, draw(BOTH), INPUTS, layer=1)
    names = {line.get_label() for line in drawn.axes[1].get_lines()}
    assert names == {"block 1", "block 2"}  # the forward block and the backward one
    with pytest.raises(ValueError, match="layer must be an integer of at least -2 and below 2"):
        lstm.diagnose(TWO, parameters, batch, layer=2)
