"""Recipes: by which conditions the trials of a task are run.

`paper` has the paper's conditions to the letter. Every other recipe is a list of named departures
from them (`lstm_jax.training.recipes.overrides`), joined by "+", values behind "=":

    paper+linear-output+input-gate-bias=-3,-6

Some lists have a short name, which may be followed by further departures. A recipe says in
`changes` exactly what it changes; its results are never shown without that label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks.task import Task, TestRule
from lstm_jax.tasks.very_long_lags import ROWS as VERY_LONG_LAGS
from lstm_jax.training.recipes.overrides import DEPARTURES, Departure, Value
from lstm_jax.training.update_rules.per_sequence import GradientLearning, Update
from lstm_jax.training.trials.training_loop import Learning
from lstm_jax.training.update_rules.base import Lanes
from lstm_jax.training.recipes.setup import Setup
from lstm_jax.training.update_rules.per_step import StepLearning

# Training sequences between two words to the host, where the task does not say.
CHUNK = 1000

# Further than this, a file system may not follow.
LONGEST_NAME = 200

_LINEAR = "cross-entropy+g=centred_1+h=identity"
_SWAPPED = "cross-entropy+g=centred_1+h=centred_2"
# Gers, Schmidhuber & Cummins 2000 start forget gates at 5 where what they keep is far back (6b).
_MODERN = "cross-entropy+g=tanh+h=tanh+recurrence=cells+forget-gates+forget-gate-bias=5"
_NEGATIVE = "biases=all+input-gate-bias=-1,-2,-3,-4"

# Lists of departures that have a name of their own.
SHORT_NAMES = {
    "paper": "",
    "cross-entropy": "cross-entropy",
    "swapped": _SWAPPED,
    "linear": "g=centred_1+h=identity",
    "gate-bias": f"{_LINEAR}+input-gate-bias=-2",
    "end-error": "cross-entropy+error-at-end",
    "adam": f"{_LINEAR}+falling-adam+rate=0.01",
    "adam-gate-bias": f"{_LINEAR}+biases=all+input-gate-bias=-3+falling-adam+rate=0.01",
    "adam-swapped": f"{_SWAPPED}+{_NEGATIVE}+steady-adam+rate=0.02",
    "adam-full-gradient": f"{_SWAPPED}+{_NEGATIVE}+steady-adam+rate=0.01+full-gradient",
    "full-gradient": "full-gradient",
    "modern": f"{_MODERN}+biases=all+falling-adam+rate=0.01+full-gradient",
}

# What a short name means in some rows beside, or instead of, its list.
IN_ROWS = {
    "swapped": dict.fromkeys(VERY_LONG_LAGS, "rate=0.005"),
    "adam": {"2a": "rate=0.03"},
    "adam-gate-bias": {"2a": "rate=0.03"},
}


class Choice(NamedTuple):
    """A departure and its value."""

    name: str
    """A key of `DEPARTURES`."""
    text: str
    """The value as it is written; "" where there is none."""
    value: Value
    """The value."""

    @property
    def departure(self) -> Departure:
        """What it is."""
        return DEPARTURES[self.name]

    @property
    def words(self) -> str:
        """What it changes."""
        return self.departure.words.format(self.text)

    def __str__(self) -> str:
        return f"{self.name}={self.text}" if self.text else self.name


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a task's trials are run."""

    name: str
    """What results are labelled with, and their files called: letters, digits and "+-=_.,"."""
    choices: tuple[Choice, ...]
    """The departures from the printed conditions."""
    in_rows: Mapping[str, Choice]
    """What else holds, in the rows of these names; replaces what decides the same."""

    @property
    def changes(self) -> str:
        """What differs from the paper's conditions, in a sentence; "" if nothing does."""
        rows = [f"{choice.words} for {row}" for row, choice in self.in_rows.items()]
        return "; ".join([choice.words for choice in self.choices] + rows)

    def setup(self, task: Task[Architecture]) -> Setup:
        """The task and how it is learned under this recipe.

        Raises:
          ValueError: if a departure asks for what the task has not.
        """
        setup = Setup(task)
        for choice in self._choices_for(task.name):
            setup = choice.departure.change(setup, choice.value)
        return setup

    def adapt(self, task: Task[Architecture]) -> Task[Architecture]:
        """The task under this recipe."""
        return self.setup(task).task

    @property
    def gradient(self) -> Gradient:
        """What `jax.grad` computes: "truncated" unless a departure says "full"."""
        return "full" if any(c.name == "full-gradient" for c in self.choices) else "truncated"

    def learning(self, task: Task[Architecture]) -> Learning:
        """The compiled functions' source for `task` under this recipe."""
        setup = self.setup(task)
        method = learn_by(setup)
        return Learning(setup.task, method, chunk_of(setup.task))

    def _choices_for(self, row: str) -> tuple[Choice, ...]:
        if row not in self.in_rows:
            return self.choices
        further = self.in_rows[row]
        kept = (c for c in self.choices if c.departure.decides != further.departure.decides)
        return (*kept, further)


def learn_by(setup: Setup) -> GradientLearning | Lanes:
    """The method that learns a task as `setup` says."""
    task, optimiser, error = setup.task, setup.make_optimiser(), setup.error
    if setup.update == "step":
        if setup.gradient != "truncated":
            raise ValueError("update=step needs the truncated gradient")
        return Lanes(StepLearning(task, optimiser, error))
    update: Update = "after_sequence"
    if setup.update == "next-first-step":
        update = "after_next_first_step"
    return GradientLearning(task, optimiser, setup.gradient, error, update)


def chunk_of(task: Task) -> int:
    """Training sequences a chunk: what the task's rule or its construction says, or `CHUNK`."""
    if isinstance(task.rule, TestRule):
        return task.rule.interval
    return task.construction_interval if task.sequential_construction else CHUNK


def make_recipe(text: str) -> Recipe:
    """Makes a recipe: a short name, and departures behind it.

    >>> make_recipe("paper").changes
    ''
    >>> recipe = make_recipe("paper+input-gate-bias=-3.0,-6+linear-output")
    >>> recipe.name
    'paper+linear-output+input-gate-bias=-3,-6'
    >>> recipe.changes
    'linear output units; biases of the input gates start at -3,-6'

    Args:
      text: such as "paper" or "adam+tolerance=0.1"; the order of departures does not matter.

    Raises:
      ValueError: if a name is unknown, a value not allowed, or two departures decide the same.
    """
    short, *further = text.split("+") if isinstance(text, str) else (None,)
    if short not in SHORT_NAMES:
        raise ValueError(f"recipe must begin with one of {', '.join(SHORT_NAMES)}, got {text!r}")
    meant = [_parse(choice) for choice in SHORT_NAMES[short].split("+") if choice]
    added = _in_order(_parse(choice) for choice in further)
    name = "+".join([short, *map(str, added)])
    if len(name) > LONGEST_NAME:
        raise ValueError(f"recipe must have at most {LONGEST_NAME} characters, got {len(name)}")
    _check_decided_once([*meant, *added])
    in_rows = {row: _parse(choice) for row, choice in IN_ROWS.get(short, {}).items()}
    return Recipe(name, _in_order([*meant, *added]), in_rows)


def _parse(text: str) -> Choice:
    name, equals, value = text.partition("=")
    if name not in DEPARTURES:
        raise ValueError(f"departure must be one of {', '.join(DEPARTURES)}, got {name!r}")
    parse = DEPARTURES[name].parse
    if parse is None:
        if equals:
            raise ValueError(f"departure {name} takes no value, got {value!r}")
        return Choice(name, "", None)
    try:
        parsed = parse(value)
    except ValueError as allowed:
        raise ValueError(f"departure {name} must be {allowed}, got {value!r}") from None
    return Choice(name, _spelled(parsed), parsed)


def _spelled(value: object) -> str:
    """One way to write a value, so that one recipe has one name."""
    if isinstance(value, tuple):
        return ",".join(map(_spelled, value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)
    return str(value)


def _in_order(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """In the order of the table of departures, in which they are also made."""
    places = list(DEPARTURES)
    return tuple(sorted(choices, key=lambda choice: places.index(choice.name)))


def _check_decided_once(choices: list[Choice]) -> None:
    decided: dict[str, Choice] = {}
    for choice in choices:
        other = decided.setdefault(choice.departure.decides, choice)
        if other is not choice:
            raise ValueError(
                f"recipe must decide the {choice.departure.decides} once, got {other} and {choice}"
            )
