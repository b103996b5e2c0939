"""Checks of an update rule: its functions fit each other and the task, by abstract evaluation."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lstm_jax.cell.validation import displayed, require
from lstm_jax.tasks.checks import data_shapes, described, key_shape, lenient, result_shapes
from lstm_jax.tasks.task import Example, Task
from lstm_jax.training.trials.prepared_data import draw_sequences
from lstm_jax.training.update_rules.base import (
    AnyModel,
    BatchUpdateRule,
    Metrics,
    UpdateRule,
    Vmapped,
    with_fixed_settings,
)

TRIALS = 2


@lenient()
@with_fixed_settings
def check_update_rule(task: Task, rule: BatchUpdateRule[AnyModel]) -> None:
    """Raise ValueError, with the function's name, if an update rule cannot train a task."""
    is_for_one = UpdateRule in type(rule).__mro__
    require(not is_for_one, "update_rule", "for a batch of trials: Vmapped(rule)", rule)
    if isinstance(rule, Vmapped):
        example = result_shapes(task.sample, key_shape(), data_shapes(task.prepare))
        _check_functions(rule.rule, example, key_shape(), (), ())
        return
    keys = jax.ShapeDtypeStruct((2, TRIALS), jnp.uint32)
    draw = lambda keys, data: draw_sequences(task.sample, None, keys, None, data)(jnp.int32(0))
    example = jax.eval_shape(draw, keys, data_shapes(task.prepare))
    running = jax.ShapeDtypeStruct((TRIALS,), bool)
    model = _check_functions(rule, example, keys, (TRIALS,), (running,))
    is_batch = all(leaf.shape[-1:] == (TRIALS,) for leaf in jax.tree.leaves(model))
    require(is_batch, "update_rule.init", "a model with the batch axis last", described(model))


def _check_functions(
    rule: UpdateRule[AnyModel] | BatchUpdateRule[AnyModel],
    example: Example,
    key: object,
    batch: tuple[int, ...],
    running: tuple,
) -> AnyModel:
    """Check the functions of a rule on one example, or on a batch; return the model's shapes."""
    for name in ("init", "train_step", "outputs", "end_chunk"):
        function = getattr(rule, name, None)
        require(callable(function), f"update_rule.{name}", "a function", function)
    zeros = lambda dtype: jnp.zeros(batch, dtype)
    make_metrics = lambda: Metrics(zeros(jnp.int32), zeros(jnp.float32), zeros(jnp.int32))
    n, metrics = jax.ShapeDtypeStruct((), jnp.int32), jax.eval_shape(make_metrics)
    model = result_shapes(rule.init, key)
    trained = result_shapes(rule.train_step, model, example, n, *running)
    is_pair = isinstance(trained, tuple) and len(trained) == 2
    require(is_pair, "update_rule.train_step", "a function that returns a pair", described(trained))
    ended = result_shapes(rule.end_chunk, model, metrics, *running)
    outputs = result_shapes(rule.outputs, model, example)
    for name, found, kind, like in (
        ("train_step", trained[0], "a model as init does", model),
        ("end_chunk", ended, "a model as init does", model),
        ("train_step", trained[1], "outputs as the targets", example.targets),
        ("outputs", outputs, "outputs as the targets", example.targets),
    ):
        wanted = f"a function that returns {kind}, {displayed(described(like))}"
        is_like = described(found) == described(like)
        require(is_like, f"update_rule.{name}", wanted, described(found))
    return model
