"""README's examples run as they stand there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent


def test_every_example_runs_in_turn_and_does_what_it_says():
    code, own_task = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code.split("sgd = ")[0], names)
    before = names["loss"](names["parameters"])
    exec(code, names)
    learned = names["loss"](names["parameters"])
    assert learned < before
    assert names["loss"](names["learner"].parameters) < learned
    exec(own_task, names)
    assert all(trial.solved and trial.test_wrong == 0 for trial in names["trials"])


def test_every_package_is_on_the_map():
    text = (ROOT / "README.md").read_text()
    packages = {path.parent.name for path in (ROOT / "lstm_jax").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}`" not in text} == {"cell"}
