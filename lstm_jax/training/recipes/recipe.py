"""Recipes: named sets of overrides of a task's hyperparameters.

The recipe `paper` changes nothing. Every other recipe consists of a named set of overrides
(`lstm_jax.training.recipes.overrides`) and further ones, separated by "+", with values after "=":

    paper+linear-output+input-gate-bias=-3,-6
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from lstm_jax.tasks.very_long_lags import ROWS as VERY_LONG_LAGS
from lstm_jax.training.recipes.overrides import OVERRIDES, LSTMTask, Value

MAX_NAME_LENGTH = 200  # of a recipe, whose name is part of file names

_LINEAR = "cross-entropy+g=centred_1+h=identity"
_SWAPPED = "cross-entropy+g=centred_1+h=centred_2"
# Gers, Schmidhuber & Cummins 2000 start forget gates at 5 for long lags (their experiment 6b).
_MODERN = "cross-entropy+g=tanh+h=tanh+recurrent=cells+forget-gates+forget-gate-bias=5"
_NEGATIVE = "biases=all+input-gate-bias=-1,-2,-3,-4"
_ADAM = "optimiser=adam-inverse-sqrt+learning-rate=0.01"

# The named sets of overrides.
NAMED = {
    "paper": "",
    "cross-entropy": "cross-entropy",
    "swapped": _SWAPPED,
    "linear": "g=centred_1+h=identity",
    "gate-bias": f"{_LINEAR}+input-gate-bias=-2",
    "end-error": "cross-entropy+error-at-end",
    "adam": f"{_LINEAR}+{_ADAM}",
    "adam-gate-bias": f"{_LINEAR}+biases=all+input-gate-bias=-3+{_ADAM}",
    "adam-swapped": f"{_SWAPPED}+{_NEGATIVE}+optimiser=adam+learning-rate=0.02",
    "adam-full-gradient": f"{_SWAPPED}+{_NEGATIVE}+optimiser=adam+learning-rate=0.01+full-gradient",
    "full-gradient": "full-gradient",
    "modern": f"{_MODERN}+biases=all+{_ADAM}+full-gradient",
}

# Overrides that a named set adds or replaces in some rows.
NAMED_IN_ROWS = {
    "swapped": dict.fromkeys(VERY_LONG_LAGS, "learning-rate=0.005"),
    "adam": {"2a": "learning-rate=0.03"},
    "adam-gate-bias": {"2a": "learning-rate=0.03"},
}


class Override(NamedTuple):
    """An override, by its key in `OVERRIDES`, and its value; the text is "" if it takes none."""

    name: str
    text: str
    value: Value

    @property
    def description(self) -> str:
        """Its effect in words."""
        return OVERRIDES[self.name].description.format(self.text)

    @property
    def group(self) -> str:
        """The thing that it changes; a recipe has at most one override of each."""
        return OVERRIDES[self.name].group or self.name.replace("-", " ")

    def __str__(self) -> str:
        return f"{self.name}={self.text}" if self.text else self.name


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named set of overrides of the paper's hyperparameters.

    Attributes:
      name: the label of results and of their files.
      overrides: the overrides, in the order in which they are applied.
      overrides_in_rows: a further override for some rows, which replaces one of the same group.
    """

    name: str
    overrides: tuple[Override, ...]
    overrides_in_rows: Mapping[str, Override]

    @property
    def changes(self) -> str:
        """The differences from the paper, in words; "" if there are none."""
        rows_of: dict[str, list[str]] = {}
        for row, override in self.overrides_in_rows.items():
            rows_of.setdefault(override.description, []).append(row)
        in_rows = [f"{change} for {', '.join(rows)}" for change, rows in rows_of.items()]
        return "; ".join([override.description for override in self.overrides] + in_rows)

    def apply(self, task: LSTMTask) -> LSTMTask:
        """Return the task with this recipe's overrides.

        >>> from lstm_jax.tasks import make_task
        >>> make_recipe("adam").apply(make_task("6a")).hyperparameters.optimiser
        'adam_inverse_sqrt'
        """
        overrides, further = self.overrides, self.overrides_in_rows.get(task.name)
        if further is not None:
            overrides = (*(o for o in overrides if o.group != further.group), further)
        for override in overrides:
            task = OVERRIDES[override.name].apply(task, override.value)
        return task


def make_recipe(text: str) -> Recipe:
    """Make a recipe from a named set and further overrides.

    >>> recipe = make_recipe("paper+input-gate-bias=-3.0,-6+linear-output")
    >>> recipe.name
    'paper+linear-output+input-gate-bias=-3,-6'
    >>> recipe.changes
    'linear output units; initial input gate biases -3,-6'

    Args:
      text: such as "paper" or "adam+tolerance=0.1"; the overrides may be in any order.

    Raises:
      ValueError: if a name or a value is not allowed, or two overrides change the same thing.
    """
    base, *further = text.split("+") if isinstance(text, str) else (None,)
    if base not in NAMED:
        raise ValueError(f"recipe must begin with one of {', '.join(NAMED)}, got {text!r}")
    named = [_parse(override) for override in NAMED[base].split("+") if override]
    position = lambda override: list(OVERRIDES).index(override.name)
    added = sorted(map(_parse, further), key=position)
    name = "+".join([base, *map(str, added)])
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"recipe must have at most {MAX_NAME_LENGTH} characters, got {len(name)}")
    seen: dict[str, Override] = {}
    for override in (*named, *added):
        other = seen.setdefault(override.group, override)
        if other is not override:
            found = f"{other} and {override}"
            raise ValueError(f"recipe must change the {override.group} once, got {found}")
    in_rows = {row: _parse(override) for row, override in NAMED_IN_ROWS.get(base, {}).items()}
    return Recipe(name, tuple(sorted([*named, *added], key=position)), in_rows)


def _parse(text: str) -> Override:
    name, equals, value = text.partition("=")
    if name not in OVERRIDES:
        raise ValueError(f"override must be one of {', '.join(OVERRIDES)}, got {name!r}")
    parse = OVERRIDES[name].parse
    if parse is None and equals:
        raise ValueError(f"override {name} takes no value, got {value!r}")
    if parse is None:
        return Override(name, "", None)
    try:
        parsed = parse(value)
    except ValueError as allowed:
        raise ValueError(f"override {name} must be {allowed}, got {value!r}") from None
    return Override(name, _spelled(parsed), parsed)


def _spelled(value: object) -> str:
    """Return the text of a value; equal values have the same text."""
    if isinstance(value, tuple):
        return ",".join(map(_spelled, value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)
    return str(value)
