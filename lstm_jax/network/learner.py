"""The state of online learning: its start, a new sequence, and the update of the weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lstm_jax.cell.architecture import Architecture, NetworkWithState, check_network
from lstm_jax.cell.parameters import check_parameters, one_array
from lstm_jax.cell.pytrees import exportable, register
from lstm_jax.cell.records import P, S, State
from lstm_jax.cell.step import zero_state
from lstm_jax.cell.validation import check_choice, check_type
from lstm_jax.gradient.equations import zero_traces
from lstm_jax.gradient.forward_mode import AnyTraces
from lstm_jax.gradient.influence import zero_rtrl, zero_snap1
from lstm_jax.network.optimisers import check_optimiser
from lstm_jax.network.run import check_state

OnlineGradient = Literal["truncated", "snap1", "rtrl"]

# The states of optimisers, which are part of a learner.
for _name, _class in list(vars(optax).items()):
    if isinstance(_class, type) and issubclass(_class, tuple):
        register(_class, f"optax.{_name}")


@exportable
class Learner(NamedTuple, Generic[P, S]):
    """The state of online learning, a pytree of constant size.

    Attributes:
      parameters: the weights of the network.
      optimiser_state: the state of the optimiser, from its `init`.
      state: the state of the hidden layer after the last step.
      traces: ∂s_v/∂w_m at the last step (eqs. 25, 27), of each layer; with another gradient than
        the truncated one, what takes their place.
      gradient: the gradient of the loss, summed over the steps since the last update.
    """

    parameters: P
    optimiser_state: optax.OptState
    state: S
    traces: tuple[AnyTraces, ...]
    gradient: P


def init_learner(
    architecture: NetworkWithState[P, S],
    parameters: P,
    optimiser: optax.GradientTransformation,
    gradient: OnlineGradient = "truncated",
) -> Learner[P, S]:
    """Return a learner before the first step, with arrays of its own, which may be donated.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> float(learner.state.internal_state[0])
    0.0

    Args:
      architecture: the network, an `Architecture` or a `Stack` of one direction, in which errors go
        down from layer to layer at the same step.
      parameters: its initial weights.
      optimiser: any optax transformation that needs the gradient alone, or the extra arguments
        `td_error` and `reset` of `lstm_jax.streaming`; also given to `update`.
      gradient: "truncated" is the paper's: O(W), no error through y(t-1) and peepholes. "snap1"
        keeps for every weight the feedback through its own memory block, in a few times the memory:
        SnAp-1 (Menick et al. 2021), for blocks of one size. "rtrl" is exact, for small networks:
        O(H W) numbers and O(H² W) operations a step (`lstm_jax.gradient.influence`). Of a stack,
        "truncated" alone.

    Raises:
      ValueError: if the parameters do not fit, the optimiser needs more than the gradient, the
        stack is bidirectional, or the gradient is not defined for the network.
    """
    check_parameters(architecture, parameters)
    if architecture.bidirectional:
        raise ValueError("bidirectional must be False: a backward layer begins at the stream's end")
    check_optimiser(optimiser, parameters, td_error=0.0, reset=False)
    check_choice("gradient", gradient, get_args(OnlineGradient))
    state = zero_state(architecture, one_array(parameters).dtype)
    learner = Learner(
        parameters=parameters,
        optimiser_state=optimiser.init(parameters),
        state=state,
        traces=_zero_traces(architecture, parameters, state, gradient),
        gradient=jax.tree.map(jnp.zeros_like, parameters),
    )
    return jax.tree.map(jnp.copy, learner)


def _zero_traces(
    architecture: NetworkWithState[P, S], parameters: P, state: S, gradient: OnlineGradient
) -> tuple[AnyTraces, ...]:
    if gradient == "truncated":
        return tuple(map(zero_traces, architecture.layers, parameters.layers))
    if not isinstance(architecture, Architecture) or not isinstance(state, State):
        raise ValueError(f"gradient of a Stack must be 'truncated', got {gradient!r}")
    zero = zero_rtrl if gradient == "rtrl" else zero_snap1
    return (zero(architecture, parameters.layers[0], state),)


def start_sequence(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> Learner[P, S]:
    """Reset state and traces to the start of a sequence; the rest of the learner stays.

    >>> from lstm_jax import Architecture, initialise, learn
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> _, learner = learn(net, learner, 1)
    >>> start_sequence(net, learner).state.internal_state
    Array([0.], dtype=float32)

    Args:
      architecture: the network.
      learner: the learner at any step.

    Raises:
      ValueError: if the learner does not fit the architecture.
    """
    check_learner(architecture, learner)
    return reset_sequence(architecture, learner)


@functools.partial(jax.jit, static_argnums=0, inline=True)
def reset_sequence(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> Learner[P, S]:
    """Compute `start_sequence` of a learner that fits."""
    dtype = one_array(learner.parameters).dtype
    return learner._replace(
        state=zero_state(architecture, dtype),
        traces=jax.tree.map(jnp.zeros_like, learner.traces),
    )


def check_learner(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> None:
    """Raise ValueError unless a learner fits an architecture."""
    check_network(architecture)
    check_type("learner", learner, Learner)
    dtype = one_array(learner.parameters).dtype
    check_state("learner.state", architecture, learner.state, dtype)


def update(
    optimiser: optax.GradientTransformation, learner: Learner[P, S], **extra_args: ArrayLike
) -> Learner[P, S]:
    """Update the weights by the gradient summed since the last update, and set it to 0.

    >>> from lstm_jax import Architecture, initialise, learn
    >>> net, sgd = Architecture(num_inputs=2, blocks=(1,), num_outputs=1), optax.sgd(0.5)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), sgd)
    >>> _, learner = learn(net, learner, 1, [1.0])
    >>> float(learner.gradient.output.bias[0]) < 0
    True
    >>> update(sgd, learner).gradient.output.bias
    Array([0.], dtype=float32)

    Args:
      optimiser: the optimiser that `init_learner` was given.
      learner: the learner, after at least one step.
      extra_args: what the optimiser needs beside the gradient, such as the `td_error` of
        `lstm_jax.streaming.eligibility_traces`.

    Raises:
      ValueError: if `learner` is not a `Learner`, or the optimiser takes no extra arguments.
    """
    check_type("learner", learner, Learner)
    if extra_args and not isinstance(optimiser, optax.GradientTransformationExtraArgs):
        raise ValueError(f"optimiser must take the extra arguments {', '.join(extra_args)}")
    return _compiled_update(optimiser.update)(learner, extra_args)


@functools.lru_cache(maxsize=32)  # optimisers that are made anew at every step do not pile up
def _compiled_update(transform: optax.TransformUpdateFn) -> Callable[[Learner, dict], Learner]:
    def update(learner: Learner, extra_args: dict[str, ArrayLike]) -> Learner:
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats and integers
            updates, optimiser_state = transform(
                learner.gradient, learner.optimiser_state, learner.parameters, **extra_args
            )
        return learner._replace(
            parameters=optax.apply_updates(learner.parameters, updates),
            optimiser_state=optimiser_state,
            gradient=jax.tree.map(jnp.zeros_like, learner.gradient),
        )

    return jax.jit(update, inline=True)
