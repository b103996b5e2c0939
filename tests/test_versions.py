"""The versions that the library needs, where they are promised and where they are checked."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = {
    re.split("[^a-z-]", line)[0]: line.split(">=")[1]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
}
# An older JAX, of which nothing but the version is there.
OLDER = """
import sys, types
jax = types.ModuleType("jax")
jax.__version__, jax.__version_info__ = "0.9.2", (0, 9, 2)
sys.modules["jax"] = jax
import lstm_jax
"""


def test_an_older_jax_is_refused_before_anything_else_is_imported():
    command = [sys.executable, "-c", OLDER]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: lstm_jax needs jax 0.10 or newer, but 0.9.2 is loaded: pip"
    )


def test_the_version_that_is_checked_is_the_one_that_is_promised():
    tree = ast.parse((ROOT / "lstm_jax" / "__init__.py").read_text())
    (guard,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert isinstance(guard.test, ast.Compare)
    (least,) = map(ast.literal_eval, guard.test.comparators)
    assert ".".join(map(str, least)) == FLOORS["jax"] == FLOORS["jaxlib"]
