"""README's example runs as it stands there, and says what it does."""

import pathlib
import re

import jax

ROOT = pathlib.Path(__file__).parent.parent


def test_the_example_lowers_its_error():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code.split("gradient = ")[0], names)
    before = names["error"](names["parameters"])
    exec(code, names)
    assert names["error"](names["parameters"]) < before
    assert jax.tree.structure(names["gradient"]) == jax.tree.structure(names["parameters"])


def test_every_wing_is_on_the_map():
    text = (ROOT / "README.md").read_text()
    wings = {path.parent.name for path in (ROOT / "lstm_jax").glob("*/__init__.py")}
    assert {wing for wing in wings if f"`lstm_jax/{wing}/`" not in text} == set()
