"""A NumPy oracle of the 1997 LSTM: the equations of appendix A.1, as loops, in float64.

S. Hochreiter and J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9(8), 1997. With
forget gates, phi_j, and peepholes, as in F. A. Gers, J. Schmidhuber and F. Cummins, *Learning to
forget*, Neural Computation 12(10), 2000, and F. A. Gers, N. N. Schraudolph and J. Schmidhuber,
*Learning precise timing with LSTM recurrent networks*, JMLR 3, 2002.
Numbers in parentheses in the comments are the paper's equation numbers. The library is tested
against this module, which shares no code with it: nothing here is vectorised over time or over
units. Only the sources of a unit (one row of weights) are handled as a vector.

========================  ==========================================================
paper                     here
========================  ==========================================================
in_j, out_j, phi_j        the gates of block j: ``input_gate[j]``, ``output_gate[j]``, ...
c_j^v                     cell v of block j; cells are numbered through, in block order
i, k                      conventional hidden unit, output unit
m                         source of a weight: an input, a hidden unit, or the bias
net_l                     net input of unit l: ``nets[unit_type][l]``
y_m                       activation of source m: ``sources[m]``
y_in, y_out               ``state["input_gate"]``, ``state["output_gate"]``
y_c, s_c                  ``state["cell_output"]``, ``state["internal_state"]``
y_i, y_k                  ``state["hidden"]``, ``output``
f, g, h                   ``FUNCTIONS["logistic"]``, ``[net.cell_input]``, ``[net.cell_output]``
e_k, e_i, e_out, e_s      the fields of ``Errors``
ds_v/dw_in,m              ``partials["input_gate"][v, m]``, eq. (25)
ds_v/dw_cv,m              ``partials["cell"][v, m]``, eq. (27)
E                         ``2 * loss(...)``: gradients are those of E/2, see eq. (19)
========================  ==========================================================

Sizes: T steps, I inputs, J blocks, C cells, N conventional hidden units, K output units, and
H hidden activations that feed back, in the order input gates, forget gates, output gates, cells,
conventional hidden units; a type that the net lacks, or that does not feed back, has no rows.

The weights are nested dictionaries ``weights[unit_type][source]``, a column for each unit::

    {"input_gate":  {"input": [I, J], "recurrent": [H, J], "bias": [J], "peephole": [C]},
     "forget_gate": {"input": [I, J], "recurrent": [H, J], "bias": [J], "peephole": [C]},
     "output_gate": {"input": [I, J], "recurrent": [H, J], "bias": [J], "peephole": [C]},
     "cell":        {"input": [I, C], "recurrent": [H, C], "bias": [C]},
     "hidden":      {"input": [I, N], "recurrent": [H, N], "bias": [N]},
     "output":      {"cell": [C, K], "hidden": [N, K], "input": [I, K], "bias": [K]}}

with None for a type of unit or of source that the net lacks. Gradients have the same structure.
A peephole p_v leads from the internal state of cell v to a gate of its own block.

A state is a dictionary of the activations ``input_gate``, ``forget_gate``, ``output_gate`` [J],
``cell_output`` [C], ``hidden`` [N] and of the ``internal_state`` [C]. A gate that the net lacks
is reported as the constant 1 that stands in its place in the equations.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

Group = dict  # arrays or None, by type of source
Weights = dict  # groups or None, by type of unit
State = dict[str, np.ndarray]

GATES = ("input_gate", "forget_gate", "output_gate")
UNIT_TYPES = (*GATES, "cell", "hidden")


# The net -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Net:
    """A plain description of a net; the defaults are the functions of eqs. (3)-(5)."""

    num_inputs: int
    blocks: tuple[int, ...]  # cells in each memory block
    num_outputs: int
    num_hidden: int = 0  # conventional hidden units, logistic
    input_gates: bool = True  # False: y_in = 1
    output_gates: bool = True  # False: y_out = 1
    recurrent: str = "all"  # what hidden units see of each other: "all", "cells" (no gates), "none"
    input_to_output: bool = False
    cell_input: str = "centred_2"  # g
    cell_output: str = "centred_1"  # h
    forget_gates: bool = False  # False: y_phi = 1
    peepholes: bool = False  # whether gates see the internal states of their block
    initial_activation: float = 0.0  # of all that feeds back, before the first step
    output: str = "logistic"  # of the output units

    @property
    def num_blocks(self) -> int:
        """J."""
        return len(self.blocks)

    @property
    def num_cells(self) -> int:
        """C."""
        return sum(self.blocks)

    @property
    def feedback(self) -> tuple[str, ...]:
        """The types of hidden units whose activations every hidden unit sees, in order."""
        seen = {"all": UNIT_TYPES, "cells": ("cell", "hidden"), "none": ()}[self.recurrent]
        return tuple(unit_type for unit_type in seen if self.units[unit_type])

    @property
    def num_feedback(self) -> int:
        """H, the number of hidden activations that every hidden unit sees."""
        return sum(self.units[unit_type] for unit_type in self.feedback)

    @property
    def units(self) -> dict[str, int]:
        """The number of units of each type."""
        return {
            "input_gate": self.num_blocks if self.input_gates else 0,
            "forget_gate": self.num_blocks if self.forget_gates else 0,
            "output_gate": self.num_blocks if self.output_gates else 0,
            "cell": self.num_cells,
            "hidden": self.num_hidden,
        }

    def cells_of(self, j: int) -> range:
        """Return the numbers of the cells in block j."""
        first = sum(self.blocks[:j])
        return range(first, first + self.blocks[j])


# Activation functions, (3)-(5) ---------------------------------------------------------------


def logistic(x: float) -> float:
    """f(x) = 1 / (1 + e^-x), written so that no exponential overflows."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def logistic_derivative(x: float) -> float:
    """f'(x) = f(x) (1 - f(x)), with 1 - f(x) = f(-x)."""
    return logistic(x) * logistic(-x)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "logistic": logistic,
    "centred_1": lambda x: 2.0 * logistic(x) - 1.0,  # the paper's h
    "centred_2": lambda x: 4.0 * logistic(x) - 2.0,  # the paper's g
    "tanh": math.tanh,
    "identity": lambda x: x,
}

DERIVATIVES: dict[str, Callable[[float], float]] = {
    "logistic": logistic_derivative,
    "centred_1": lambda x: 2.0 * logistic_derivative(x),
    "centred_2": lambda x: 4.0 * logistic_derivative(x),
    "tanh": lambda x: 1.0 - math.tanh(x) ** 2,
    "identity": lambda x: 1.0,
}


# Weights as rows over the sources ------------------------------------------------------------


def weight_rows(net: Net, weights: Weights, unit_type: str) -> np.ndarray:
    """Return the incoming weights w_lm of a type of hidden unit, [units, I + H + 1].

    The sources m are the inputs, then the hidden activations, then the bias; an absent bias
    is a weight of zero.
    """
    count = net.units[unit_type]
    rows = np.zeros((count, net.num_inputs + net.num_feedback + 1))
    group = weights[unit_type]
    for unit in range(count):
        rows[unit, : net.num_inputs] = group["input"][:, unit]
        if net.num_feedback:
            rows[unit, net.num_inputs : -1] = group["recurrent"][:, unit]
        if group["bias"] is not None:
            rows[unit, -1] = group["bias"][unit]
    return rows


def rows_to_group(
    net: Net, rows: np.ndarray, peephole: np.ndarray | None, like: Group | None
) -> Group | None:
    """Undo `weight_rows`; None wherever `like` has None."""
    if like is None:
        return None
    parts = {
        "input": rows[:, : net.num_inputs].T,
        "recurrent": rows[:, net.num_inputs : -1].T,
        "bias": rows[:, -1],
        "peephole": peephole,
    }
    return {name: None if like.get(name) is None else part.copy() for name, part in parts.items()}


def check_weights(net: Net, weights: Weights) -> None:
    """Raise unless the weights have the shapes of the net."""
    for unit_type, count in net.units.items():
        if count == 0:
            assert weights[unit_type] is None, unit_type
            continue
        expected = {
            "input": (net.num_inputs, count),
            "recurrent": (net.num_feedback, count) if net.num_feedback else None,
            "peephole": (net.num_cells,) if net.peepholes and unit_type in GATES else None,
        }
        check_group(unit_type, weights[unit_type], expected, count)
    count = net.num_outputs
    expected = {
        "cell": (net.num_cells, count),
        "hidden": (net.num_hidden, count) if net.num_hidden else None,
        "input": (net.num_inputs, count) if net.input_to_output else None,
    }
    check_group("output", weights["output"], expected, count)


def check_group(unit_type: str, group: Group, expected: Group, count: int) -> None:
    """Raise unless a group has the expected shapes; its bias may be absent."""
    if group["bias"] is not None:
        expected = expected | {"bias": (count,)}
    actual = {name: np.shape(array) for name, array in group.items() if array is not None}
    assert actual == {name: shape for name, shape in expected.items() if shape}, (unit_type, actual)


def as_float64(weights: Mapping) -> Weights:
    """Return the weights as float64 NumPy arrays."""

    def convert(group: Mapping) -> Group:
        return {
            name: None if array is None else np.asarray(array, np.float64)
            for name, array in group.items()
        }

    return {
        unit_type: None if group is None else convert(group) for unit_type, group in weights.items()
    }


# The forward pass ----------------------------------------------------------------------------


class Sequence(NamedTuple):
    """A sequence, what it is to be, and the state before it."""

    inputs: np.ndarray  # [T, I]
    targets: np.ndarray  # [T, K]
    error_mask: np.ndarray  # [T] or [T, K], booleans or weights
    initial: Mapping | None = None
    mask: np.ndarray | None = None  # [T]; a step at which it is False takes no part


@dataclasses.dataclass(frozen=True)
class Step:
    """The results of one time step."""

    live: bool  # False at a masked step
    inputs: np.ndarray  # x(t)
    sources: np.ndarray  # y_m for hidden units: x(t), hidden activations of t-1, and 1
    nets: dict[str, np.ndarray]  # net_l(t) of the hidden units, by type
    cell_input: np.ndarray  # g(net_c(t))
    previous: State  # before the step
    state: State  # after the step
    output_net: np.ndarray  # net_k(t)
    output: np.ndarray  # y_k(t)


def start_state(net: Net, initial: Mapping | None) -> State:
    """Return the state before the first step: `initial_activation`, and s = 0, unless given."""
    sizes = dict.fromkeys(GATES, net.num_blocks)
    sizes |= {"cell_output": net.num_cells, "hidden": net.num_hidden}
    state = {name: np.full(size, net.initial_activation) for name, size in sizes.items()}
    state["internal_state"] = np.zeros(net.num_cells)
    for name, values in state.items():
        if name in GATES and not net.units[name]:
            state[name] = np.ones(net.num_blocks)
        elif initial is not None and values.size:
            state[name] = np.array(initial[name], np.float64)
            assert state[name].shape == values.shape, name
    return state


def source_activations(net: Net, x: np.ndarray, previous: State) -> np.ndarray:
    """Return y_m for the hidden units: x(t), the hidden activations of t-1, 1 for the bias."""
    seen = [
        previous["cell_output" if unit_type == "cell" else unit_type] for unit_type in net.feedback
    ]
    return np.concatenate([x, *seen, np.ones(1)])


def add_peepholes(
    net: Net, weights: Weights, unit_type: str, nets: dict[str, np.ndarray], s: np.ndarray
) -> None:
    """Add sum_v p_v s_v over a block's cells to the net inputs of a type of gate, in place."""
    if not (net.peepholes and net.units[unit_type]):
        return
    for j in range(net.num_blocks):
        for v in net.cells_of(j):
            nets[unit_type][j] += weights[unit_type]["peephole"][v] * s[v]


def next_state(net: Net, weights: Weights, nets: dict[str, np.ndarray], previous: State) -> State:
    """Compute the hidden activations and internal states of step t from its net inputs.

    The contribution of peepholes is added to the net inputs, in place.
    """
    g, h = FUNCTIONS[net.cell_input], FUNCTIONS[net.cell_output]
    y = {unit_type: np.ones(net.num_blocks) for unit_type in GATES}
    y_c, s_c, s_tm1 = np.zeros(net.num_cells), np.zeros(net.num_cells), previous["internal_state"]
    for unit_type in ("input_gate", "forget_gate"):
        add_peepholes(net, weights, unit_type, nets, s_tm1)
        for j in range(net.units[unit_type]):
            y[unit_type][j] = logistic(nets[unit_type][j])  # (7)
    for j in range(net.num_blocks):
        for v in net.cells_of(j):
            remembered = y["forget_gate"][j] * s_tm1[v]
            s_c[v] = remembered + y["input_gate"][j] * g(nets["cell"][v])  # (9)
    add_peepholes(net, weights, "output_gate", nets, s_c)
    for j in range(net.num_blocks):
        if net.output_gates:
            y["output_gate"][j] = logistic(nets["output_gate"][j])  # (8)
        for v in net.cells_of(j):
            y_c[v] = y["output_gate"][j] * h(s_c[v])  # (9)
    hidden = np.array([logistic(net_i) for net_i in nets["hidden"]])
    return y | {"cell_output": y_c, "hidden": hidden, "internal_state": s_c}


def output_nets(net: Net, group: Group, x: np.ndarray, state: State) -> np.ndarray:
    """Return net_k(t) from the activations of the same step; gates do not feed the output units."""
    net_k = np.zeros(net.num_outputs)
    for k in range(net.num_outputs):
        net_k[k] = group["cell"][:, k] @ state["cell_output"]
        if group["hidden"] is not None:
            net_k[k] += group["hidden"][:, k] @ state["hidden"]
        if group["input"] is not None:
            net_k[k] += group["input"][:, k] @ x
        if group["bias"] is not None:
            net_k[k] += group["bias"][k]
    return net_k


def run(
    net: Net, weights: Weights, sequence: Sequence, first: Weights | None = None
) -> Iterator[Step]:
    """Run the net and yield its steps one after another.

    A masked step leaves the state as it is. Its net inputs are computed all the same, and its
    output units see the state that was left. With `first`, these are the weights of step 0 alone.
    """
    weights = as_float64(weights)
    check_weights(net, weights)
    used = weights if first is None else as_float64(first)
    rows = {unit_type: weight_rows(net, used, unit_type) for unit_type in UNIT_TYPES}
    g = FUNCTIONS[net.cell_input]
    state = start_state(net, sequence.initial)
    for t, x in enumerate(np.asarray(sequence.inputs, np.float64)):
        live = sequence.mask is None or bool(sequence.mask[t])
        sources = source_activations(net, x, state)
        # net_l(t) = sum_m w_lm y_m
        nets = {
            unit_type: np.array([w_l @ sources for w_l in rows[unit_type]])
            for unit_type in UNIT_TYPES
        }
        previous = state
        if live:
            state = next_state(net, used, nets, state)
        net_k = output_nets(net, used["output"], x, state)
        yield Step(
            live=live,
            inputs=x,
            sources=sources,
            nets=nets,
            cell_input=np.array([g(net_c) for net_c in nets["cell"]]),
            previous=previous,
            state=state,
            output_net=net_k,
            output=np.array([FUNCTIONS[net.output](x_k) for x_k in net_k]),
        )
        if used is not weights:
            used, rows = (
                weights,
                {unit_type: weight_rows(net, weights, unit_type) for unit_type in UNIT_TYPES},
            )


def forward(net: Net, weights: Weights, sequence: Sequence) -> dict:
    """Run the net over a sequence and return its activations.

    The result holds ``input_gate``, ``forget_gate``, ``output_gate`` [T, J], ``cell_input`` [T, C],
    which is g(net_c), ``internal_state`` [T, C], ``cell_output`` [T, C], ``hidden`` [T, N],
    ``output`` [T, K], and ``final``, the state after the last step. At a masked step (False in
    `mask` [T]) the state is that of the step before; ``cell_input`` and ``output`` mean nothing
    there.
    """
    state = start_state(net, sequence.initial)
    sizes = {name: values.size for name, values in state.items()}
    sizes |= {"cell_input": net.num_cells, "output": net.num_outputs}
    result: dict = {name: np.zeros((len(sequence.inputs), size)) for name, size in sizes.items()}
    for t, step in enumerate(run(net, weights, sequence)):
        state = step.state
        for name, values in state.items():
            result[name][t] = values
        result["cell_input"][t] = step.cell_input
        result["output"][t] = step.output
    result["final"] = {name: values.copy() for name, values in state.items()}
    return result


# The error -----------------------------------------------------------------------------------


def error_weights(error_mask: np.ndarray, num_outputs: int) -> np.ndarray:
    """Expand an error mask [T] or [T, K], of booleans or weights, to weights [T, K]."""
    error_mask = np.asarray(error_mask, np.float64)
    if error_mask.ndim == 1:
        error_mask = np.repeat(error_mask[:, None], num_outputs, axis=1)
    return error_mask


def loss(net: Net, weights: Weights, sequence: Sequence) -> float:
    """Return E/2 = 1/2 sum_t sum_k m_k(t) (target_k(t) - y_k(t))^2, (16), of unmasked steps."""
    m = error_weights(sequence.error_mask, net.num_outputs)
    total = 0.0
    for t, step in enumerate(run(net, weights, sequence)):
        for k in range(net.num_outputs):
            if step.live and m[t, k] != 0.0:
                total += 0.5 * m[t, k] * (float(sequence.targets[t][k]) - step.output[k]) ** 2
    return float(total)


@dataclasses.dataclass(frozen=True)
class Errors:
    """The errors of one step, in the paper's sign: minus the derivatives of E/2."""

    e_k: np.ndarray  # [K], at net_k
    e_i: np.ndarray  # [N], at net_i
    e_out: np.ndarray  # [J], at net_out
    e_s: np.ndarray  # [C], at s_c, from the outputs of this step alone


@dataclasses.dataclass(frozen=True)
class Loss:
    """e_k = (squared f' + cross_entropy) (target_k - y_k), (19); 0 within the tolerance."""

    squared: float = 1.0
    cross_entropy: float = 0.0
    tolerance: float = 0.0


def step_errors(
    net: Net, weights: Weights, step: Step, targets: np.ndarray, m: np.ndarray, error: Loss = Loss()
) -> Errors:
    """Compute (19)-(23) at an unmasked step, for targets [K] and error weights m [K]."""
    h, h_derivative = FUNCTIONS[net.cell_output], DERIVATIVES[net.cell_output]
    state, w = step.state, weights["output"]
    e_k = np.zeros(net.num_outputs)
    for k in range(net.num_outputs):
        if m[k] != 0.0:
            difference = float(targets[k]) - step.output[k]
            derivative = DERIVATIVES[net.output](step.output_net[k])
            if abs(difference) > error.tolerance:
                e_k[k] = (
                    (error.squared * derivative + error.cross_entropy) * m[k] * difference
                )  # (19)

    e_i = np.zeros(net.num_hidden)
    for i in range(net.num_hidden):
        e_i[i] = logistic_derivative(step.nets["hidden"][i]) * (w["hidden"][i] @ e_k)  # (20)

    e_out, e_s = np.zeros(net.num_blocks), np.zeros(net.num_cells)
    for j in range(net.num_blocks):
        for v in net.cells_of(j):
            s = state["internal_state"][v]
            from_outputs = w["cell"][v] @ e_k  # sum_k w_kv e_k
            e_s[v] = state["output_gate"][j] * h_derivative(s) * from_outputs  # (23)
            if net.output_gates:
                f_derivative = logistic_derivative(step.nets["output_gate"][j])
                e_out[j] += f_derivative * h(s) * from_outputs  # (21)
    return Errors(e_k, e_i, e_out, e_s)


# The truncated gradient, forward in time -----------------------------------------------------


def start_partials(net: Net, num_sources: int) -> dict[str, np.ndarray]:
    """Return ds_v/dw_m at the start, 0: for the sources, and for peepholes."""
    types = ("input_gate", "forget_gate", "cell")
    partials = {unit_type: np.zeros((net.num_cells, num_sources)) for unit_type in types}
    peepholes = {f"{unit_type} peephole": np.zeros((net.num_cells,) * 2) for unit_type in types[:2]}
    return partials | peepholes


def advance_partials(net: Net, step: Step, partials: dict[str, np.ndarray]) -> None:
    """Take the running partial derivatives of s_v from t-1 to t, in place."""
    g_derivative, s_tm1 = DERIVATIVES[net.cell_input], step.previous["internal_state"]
    for j in range(net.num_blocks):
        for v in net.cells_of(j):
            for partial in partials.values():
                partial[v] *= step.state["forget_gate"][j]
            gated = {"input_gate": step.cell_input[v], "forget_gate": s_tm1[v]}
            for unit_type, value in gated.items():
                if net.units[unit_type]:
                    by_net = value * logistic_derivative(step.nets[unit_type][j])
                    partials[unit_type][v] += by_net * step.sources  # (25)
                    for q in net.cells_of(j):
                        partials[f"{unit_type} peephole"][v, q] += by_net * s_tm1[q]
            y_in = step.state["input_gate"][j]
            partials["cell"][v] += g_derivative(step.nets["cell"][v]) * y_in * step.sources  # (27)


def add_output_update(update: Group, step: Step, e_k: np.ndarray) -> None:
    """Add e_k y_m for every weight into an output unit k, in place."""
    for k in range(e_k.size):
        update["cell"][:, k] += e_k[k] * step.state["cell_output"]
        if update["hidden"] is not None:
            update["hidden"][:, k] += e_k[k] * step.state["hidden"]
        if update["input"] is not None:
            update["input"][:, k] += e_k[k] * step.inputs
        if update["bias"] is not None:
            update["bias"][k] += e_k[k]


def gradient(
    net: Net,
    weights: Weights,
    sequence: Sequence,
    *,
    error: Loss = Loss(),
    first: Weights | None = None,
) -> Weights:
    """Return the truncated gradient of E/2, eqs. (16)-(28), online: forward in time.

    The paper's update of a sequence is minus this, times the learning rate. With `first`, these are
    the weights of step 0 alone, and the gradient is by both together.
    """
    weights = as_float64(weights)
    m = error_weights(sequence.error_mask, net.num_outputs)
    num_sources = net.num_inputs + net.num_feedback + 1
    partials = start_partials(net, num_sources)
    # The updates for a learning rate of 1, summed over the steps of the sequence.
    dw = {unit_type: np.zeros((count, num_sources)) for unit_type, count in net.units.items()}
    dp = {unit_type: np.zeros(net.num_cells) for unit_type in GATES}
    dw_output = {
        name: None if array is None else np.zeros_like(array)
        for name, array in weights["output"].items()
    }

    for t, step in enumerate(run(net, weights, sequence, first)):
        if not step.live:
            continue  # s and its partial derivatives stay as they are
        advance_partials(net, step, partials)
        used = as_float64(first) if first is not None and t == 0 else weights
        errors = step_errors(net, used, step, sequence.targets[t], m[t], error)
        add_output_update(dw_output, step, errors.e_k)
        for i in range(net.num_hidden):
            dw["hidden"][i] += errors.e_i[i] * step.sources
        for j in range(net.num_blocks):
            if net.output_gates:
                dw["output_gate"][j] += errors.e_out[j] * step.sources  # (22)
            for v in net.cells_of(j):
                dp["output_gate"][v] += errors.e_out[j] * step.state["internal_state"][v]
                for unit_type in ("input_gate", "forget_gate"):
                    if net.units[unit_type]:
                        dw[unit_type][j] += errors.e_s[v] * partials[unit_type][v]  # (26)
                        dp[unit_type] += errors.e_s[v] * partials[f"{unit_type} peephole"][v]
                dw["cell"][v] += errors.e_s[v] * partials["cell"][v]  # (28)

    result: Weights = {
        unit_type: rows_to_group(
            net, -dw[unit_type], -dp.get(unit_type, np.zeros(0)), like=weights[unit_type]
        )
        for unit_type in UNIT_TYPES
    }
    result["output"] = {
        name: None if update is None else -update for name, update in dw_output.items()
    }
    return result


# The full gradient, by finite differences ----------------------------------------------------


def full_gradient(net: Net, weights: Weights, sequence: Sequence, eps: float = 1e-6) -> Weights:
    """Return the gradient of `loss` without truncation, by central differences."""
    moved = copy.deepcopy(as_float64(weights))
    result = copy.deepcopy(moved)
    for unit_type, group in moved.items():
        for name, array in (group or {}).items():
            if array is None:
                continue
            for index in np.ndindex(array.shape):
                value = array[index]
                array[index] = value + eps
                above = loss(net, moved, sequence)
                array[index] = value - eps
                below = loss(net, moved, sequence)
                array[index] = value
                result[unit_type][name][index] = (above - below) / (2.0 * eps)
    return result


# The truncated errors on the inputs and on the initial state ---------------------------------


def input_error(net: Net, weights: Weights, sequence: Sequence) -> np.ndarray:
    """Return the truncated derivative of E/2 with respect to the inputs, [T, I].

    It counts what the net inputs of step t send down through their input weights. The errors
    of all steps from t on reach net_in(t) and net_c(t) through the internal state, whose self
    weight is 1.0, or y_phi: delta_s(t) = e_s(t) + y_phi(t+1) delta_s(t+1).
    """
    weights = as_float64(weights)
    m = error_weights(sequence.error_mask, net.num_outputs)
    g_derivative = DERIVATIVES[net.cell_input]
    result = np.zeros((len(sequence.inputs), net.num_inputs))
    delta_s = np.zeros(net.num_cells)
    steps = list(run(net, weights, sequence))
    for t in reversed(range(len(steps))):
        step = steps[t]
        if not step.live:
            continue  # nothing enters, and delta_s passes unchanged
        errors = step_errors(net, weights, step, sequence.targets[t], m[t])
        delta_x = np.zeros(net.num_inputs)
        for i in range(net.num_hidden):
            delta_x += weights["hidden"]["input"][:, i] * errors.e_i[i]
        for j in range(net.num_blocks):
            if net.output_gates:
                delta_x += weights["output_gate"]["input"][:, j] * errors.e_out[j]
            for v in net.cells_of(j):
                delta_s[v] += errors.e_s[v]
                s_tm1 = step.previous["internal_state"][v]
                for unit_type, value in (
                    ("input_gate", step.cell_input[v]),
                    ("forget_gate", s_tm1),
                ):
                    if net.units[unit_type]:
                        f_derivative = logistic_derivative(step.nets[unit_type][j])
                        delta_gate = value * f_derivative * delta_s[v]  # cf. (25)
                        delta_x += weights[unit_type]["input"][:, j] * delta_gate
                y_in = step.state["input_gate"][j]
                delta_c = g_derivative(step.nets["cell"][v]) * y_in * delta_s[v]  # cf. (27)
                delta_x += weights["cell"]["input"][:, v] * delta_c
                delta_s[v] *= step.state["forget_gate"][j]
        if net.input_to_output:
            for k in range(net.num_outputs):
                delta_x += weights["output"]["input"][:, k] * errors.e_k[k]
        result[t] = -delta_x
    return result


def initial_state_error(net: Net, weights: Weights, sequence: Sequence) -> np.ndarray:
    """Return the truncated derivative of E/2 with respect to the initial internal state, [C].

    The internal state carries every error back unchanged: minus the sum of e_s over the steps.
    With forget gates, each is times the product of all y_phi until then.
    """
    weights = as_float64(weights)
    m = error_weights(sequence.error_mask, net.num_outputs)
    result, factor = np.zeros(net.num_cells), np.ones(net.num_cells)
    for t, step in enumerate(run(net, weights, sequence)):
        if not step.live:
            continue
        for j in range(net.num_blocks):
            for v in net.cells_of(j):
                factor[v] *= step.state["forget_gate"][j]
        result -= factor * step_errors(net, weights, step, sequence.targets[t], m[t]).e_s
    return result
