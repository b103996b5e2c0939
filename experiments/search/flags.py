"""What commands that search for settings share: where they look, by their flags."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from absl.flags import FlagValues
from lstm_jax.training.recipes.random_search import SearchSpace

from experiments.cli.flag_set import FlagSet
from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.recipes.recipe import make_recipe


def define_flags(flags: FlagSet) -> None:
    """What is learned, and where settings are looked for."""
    flags.choice("task", "6a", row_names(), "Whose task is learned.")
    flags.items("blocks", ["own"], "Shapes of blocks, such as 2x2,1x4, or 'own'.")
    flags.items("learning_rate", ["0.1", "10"], "LOWEST,HIGHEST or 'own'; log-uniform.")
    flags.items("init_range", ["0.05", "2"], "LOWEST,HIGHEST or 'own'; log-uniform.")
    told = "LOWEST,HIGHEST or 'own'; uniform, each block by itself."
    flags.items("input_gate_bias", ["-6", "2"], told)
    flags.items("output_gate_bias", ["own"], told)


def space_of(values: FlagValues) -> SearchSpace:
    """The space of the flags, less the biases of gates that have none, unless they were asked for.

    Raises:
      ValueError: if they were, or bounds are none.
    """
    names = [field.name for field in dataclasses.fields(SearchSpace)]
    space = SearchSpace(**{name: _bounds(name, getattr(values, name)) for name in names})
    net = _network(values)
    for kind in ("input", "output"):
        flag, has_bias = f"{kind}_gate_bias", f"{kind}_gate" in net.biased
        has_bias &= bool(getattr(net, f"{kind}_gates"))
        if has_bias or getattr(space, flag) is None:
            continue
        if values[flag].present:
            raise ValueError(
                f"--{flag} must be 'own' for {values.task}, whose {kind} gates have no biases, got "
                f"{','.join(getattr(values, flag))!r}"
            )
        space = dataclasses.replace(space, **{flag: None})
    return space


def shapes_of(values: FlagValues) -> list[str]:
    """The shapes of blocks of the flags.

    Raises:
      ValueError: if one is none, or is there twice.
    """
    if not values.blocks:
        raise ValueError("--blocks must be shapes such as 2x2, or 'own', got none")
    own = shape_of(_network(values).blocks)
    shapes = [own if shape == "own" else shape for shape in values.blocks]
    for shape in shapes:
        if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", shape):
            raise ValueError(f"--blocks must be shapes such as 2x2, or 'own', got {shape!r}")
    if len(set(shapes)) < len(shapes):
        raise ValueError(f"--blocks must be distinct, got {','.join(shapes)}")
    return shapes


def blocks_of(shape: str) -> tuple[int, ...]:
    """The sizes of the blocks of a shape.

    >>> blocks_of("3x2")
    (2, 2, 2)
    """
    number, size = map(int, shape.split("x"))
    return (size,) * number


def shape_of(blocks: tuple[int, ...]) -> str:
    """Undoes `blocks_of`, for blocks of one size."""
    return f"{len(blocks)}x{blocks[0]}"


def _network(values: FlagValues) -> Architecture:
    return make_recipe(values.recipe).adapt(make_task(values.task)).architecture


def _bounds(name: str, values: list[str]) -> Any:
    """The bounds of a flag, None for 'own'.

    Raises:
      ValueError: if they are not numbers.
    """
    if values == ["own"]:
        return None
    try:
        return tuple(map(float, values))
    except ValueError:
        raise ValueError(
            f"--{name} must be LOWEST,HIGHEST or 'own', got {','.join(values)!r}"
        ) from None
