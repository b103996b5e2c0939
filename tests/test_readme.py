"""README's example runs as it stands there, and says what it does."""

import pathlib
import re

import jax

ROOT = pathlib.Path(__file__).parent.parent


def test_every_example_runs_in_turn_and_does_what_it_says():
    code, own_task = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code.split("sgd = ")[0], names)
    assert jax.tree.structure(names["gradient"]) == jax.tree.structure(names["parameters"])
    before = names["error"](names["parameters"])
    exec(code, names)
    learned = names["error"](names["parameters"])
    assert learned < before
    assert names["error"](names["learner"].parameters) < learned
    exec(own_task, names)
    assert all(trial.solved and trial.test_wrong == 0 for trial in names["trials"])


def test_every_wing_is_on_the_map():
    text = (ROOT / "README.md").read_text()
    wings = {path.parent.name for path in (ROOT / "lstm_jax").glob("*/__init__.py")}
    assert {wing for wing in wings if f"`lstm_jax/{wing}/`" not in text} == set()
