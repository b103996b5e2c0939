"""Checks of what the functions of a task return.

Shapes and dtypes are checked when a task is made, by abstract evaluation, which does not start a
backend of JAX; with `Task.prepare`, which has to be run, before the first trial. There, values are
checked on a few sequences of each generator.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from lstm_jax.cell.architecture import Architecture, check_outputs
from lstm_jax.cell.stack import Stack
from lstm_jax.cell.validation import check_symbols, require

if TYPE_CHECKING:
    from lstm_jax.tasks.task import Example, Task

EXAMPLE_FIELDS = ("inputs", "targets", "true_targets", "length", "legal")
DRAWN = 8  # sequences of a generator whose values are checked
T = TypeVar("T")
Shapes = object  # a pytree of `jax.ShapeDtypeStruct`


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Let functions be traced whose promotions of types or ranks JAX is set to refuse.

    They may be run under other settings than those under which they are checked.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def result_shapes(function: Callable[..., T], *arguments: Shapes) -> T:
    """Return what a function returns, with shapes in place of arrays.

    What `jax.eval_shape` caches at every call lives as long as the function that it is given.
    """
    return jax.eval_shape(lambda *given: function(*given), *arguments)


@lenient()
def check_functions(task: Task) -> Example:
    """Check the shapes and dtypes that a task's functions return; return those of a sequence.

    Raises:
      ValueError: that names the function and the field.
    """
    for name in ("sample", "is_correct"):
        require(callable(getattr(task, name)), name, "a function", getattr(task, name))
    for name in ("prepare", "training_set", "sample_test", "test_set"):
        value = getattr(task, name)
        require(value is None or callable(value), name, "a function or None", value)
    key, data = key_shape(), data_shapes(task.prepare)
    example = result_shapes(task.sample, key, data)
    _check_example(task, "sample", example)
    if task.sample_test is not None:
        _check_like("sample_test", result_shapes(task.sample_test, key, data), example)
    for name in ("training_set", "test_set"):
        generate = getattr(task, name)
        if generate is not None:
            _check_set(name, result_shapes(generate, data), example)
    correct = result_shapes(task.is_correct, example.targets, example)
    is_bool = _is_array(correct, bool, 0)
    require(is_bool, "is_correct", "a function that returns one bool", described(correct))
    return example


@lenient()
def check_values(task: Task) -> None:
    """Draw a few sequences of each generator, and check their values.

    A warning is logged if all end before the arrays do, at one length: the rest is never seen.

    Raises:
      ValueError: that names the function and the field.
    """
    key = jax.random.key(0)
    data = task.prepare(key, 0) if task.prepare is not None else None
    draws = {"sample": task.sample, "sample_test": task.sample_test}
    for name, draw in draws.items():
        if draw is not None:
            compiled = jax.jit(draw)
            sequences = [jax.device_get(compiled(jax.random.key(i), data)) for i in range(DRAWN)]
            for sequence in sequences:
                _check_sequence(task, name, sequence)
            _warn_of_unseen_steps(name, sequences)
    for name in ("training_set", "test_set"):
        generate = getattr(task, name)
        if generate is not None:
            sequences = jax.device_get(jax.jit(generate)(data))
            for i in range(len(sequences.length)):
                one = jax.tree.map(lambda array, i=i: array[i], sequences)
                _check_sequence(task, name, one)


def key_shape() -> Shapes:
    """Return the shape and dtype of a PRNG key, without starting a backend of JAX."""
    return jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))


def data_shapes(prepare: Callable | None) -> Shapes:
    """Return the shapes and dtypes of the data that `Task.prepare` makes."""
    if prepare is None:
        return None
    return _shapes_of(prepare) if isinstance(prepare, Hashable) else _shapes_of.__wrapped__(prepare)


@functools.lru_cache(maxsize=64)  # tasks that differ in numbers alone share their functions
def _shapes_of(prepare: Callable) -> Shapes:
    return jax.eval_shape(lambda data: data, prepare(jax.random.key(0), 0))


def _check_example(task: Task, name: str, example: Example) -> None:
    """Check the shapes and dtypes of the fields of a sequence."""
    is_example = getattr(example, "_fields", None) == EXAMPLE_FIELDS
    require(is_example, name, "a function that returns an Example", example)
    inputs, targets, true_targets, length, legal = example
    num_inputs = task.architecture.num_inputs
    is_symbols = _is_array(inputs, jnp.integer, 1)
    is_vectors = _is_array(inputs, jnp.floating, 2) and inputs.shape[1] == num_inputs
    wanted = f"[T] integers or [T, {num_inputs}] floating"
    require(is_symbols or is_vectors, f"{name}: inputs", wanted, described(inputs))
    steps = inputs.shape[0]
    is_longest = task.max_length in (0, steps)
    require(is_longest, "max_length", f"{steps}, as the inputs of {name}", task.max_length)
    shape = (steps,) if task.error_at == "every_step" else ()
    if isinstance(task.architecture, (Architecture, Stack)):
        check_outputs(task.architecture)
        shape = (*shape, task.architecture.num_outputs)
    else:
        shape = (*shape, *jnp.shape(targets)[-1:])  # a baseline's rule knows its outputs
    for field, array in (("targets", targets), ("true_targets", true_targets)):
        is_met = _is_array(array, jnp.floating, len(shape)) and array.shape == shape
        wanted = f'floating of shape {shape} for error_at="{task.error_at}"'
        require(is_met, f"{name}: {field}", wanted, described(array))
    require(_is_array(length, jnp.integer, 0), f"{name}: length", "an integer", described(length))
    is_legal = legal is None or (_is_array(legal, jnp.number, 2) and legal.shape[0] == steps)
    require(is_legal, f"{name}: legal", f"[{steps}, K] or None", described(legal))


def _check_like(name: str, found: Shapes, example: Example) -> None:
    """Check that a sequence has the shapes and dtypes of one of `sample`."""
    is_like = jax.tree.map(described, found) == jax.tree.map(described, example)
    require(is_like, name, "a function that returns sequences as sample does", described(found))


def _check_set(name: str, found: Shapes, example: Example) -> None:
    """Check that sequences with the batch axis first have the shapes and dtypes of `sample`'s."""
    sizes = {array.shape[:1] for array in jax.tree.leaves(found)}
    is_set = len(sizes) == 1 and 0 not in min(sizes, default=(0,)) and sizes != {()}
    require(is_set, name, "a function that returns sequences, the batch axis first", found)
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), found)
    _check_like(name, one, example)


def _check_sequence(task: Task, name: str, example: Example) -> None:
    """Check the values of a sequence up to its length."""
    length, steps = int(example.length), len(example.inputs)
    is_met = length == steps if task.fixed_length else 1 <= length <= steps
    wanted = f"{steps}, as fixed_length says" if task.fixed_length else f"in [1, {steps}]"
    require(is_met, f"{name}: length", wanted, length)
    inputs = np.asarray(example.inputs)[:length]
    check_symbols(f"{name}: inputs", inputs, task.architecture.num_inputs)
    for field in ("inputs", "targets", "true_targets"):
        array = np.asarray(getattr(example, field))
        array = array[:length] if array.ndim == 2 or field == "inputs" else array
        require(np.isfinite(array).all(), f"{name}: {field}", "finite", array)


def _warn_of_unseen_steps(name: str, sequences: list[Example]) -> None:
    """Log a warning if no sequence reaches the end of its array, and all have one length."""
    lengths, steps = {int(sequence.length) for sequence in sequences}, len(sequences[0].inputs)
    if len(lengths) == 1 and max(lengths) < steps:
        logging.warning(
            "%s: length is %d in all of %d sequences, but inputs has %d steps; "
            "the rest is never seen.",
            *(name, max(lengths), len(sequences), steps),
        )


def _is_array(value: object, dtype: type, ndim: int) -> bool:
    """Return whether a value is an array of such a dtype and rank."""
    has_dtype = jnp.issubdtype(getattr(value, "dtype", object), dtype)
    return has_dtype and getattr(value, "ndim", None) == ndim


def described(tree: Shapes) -> object:
    """Return a pytree as a message displays it, arrays by their dtype and shape."""
    return jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)
