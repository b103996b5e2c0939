"""Every public name says what it takes, gives and refuses, and the reference shows it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import pkgutil
import textwrap
import types
from typing import Any

import pytest
from binaries import run_forks

import lstm_jax

PUBLIC = ("lstm_jax", "lstm_jax.tasks", "lstm_jax.baselines", "lstm_jax.plots")


def public_names() -> dict[str, Any]:
    """All that the packages list, but for their modules and data."""
    packages = [importlib.import_module(name) for name in PUBLIC]
    found = {f"{p.__name__}.{name}": getattr(p, name) for p in packages for name in p.__all__}
    displayed = lambda value: inspect.isroutine(value) or inspect.isclass(value)
    return {name: value for name, value in found.items() if displayed(value)}


NAMES = public_names()
FUNCTIONS = [name for name, value in NAMES.items() if inspect.isroutine(value)]


def modules() -> list[types.ModuleType]:
    found = pkgutil.walk_packages(lstm_jax.__path__, "lstm_jax.")
    return [importlib.import_module(module.name) for module in found]


def refuses(function: Any) -> bool:
    """Whether its own lines raise an error, or call a check."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    checks = {name for name in called if name.split(".")[-1].lstrip("_").startswith("check")}
    return bool(checks) or any(isinstance(node, ast.Raise) for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_a_docstring_of_its_own(name: str):
    text = inspect.getdoc(NAMES[name]) or ""
    assert len(text.split()) > 3 and not text.startswith(f"{name.split('.')[-1]}(")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_tells_its_arguments_its_errors_and_an_example(name: str):
    function = NAMES[name]
    text = inspect.getdoc(function) or ""
    assert ">>> " in text
    parameters = list(inspect.signature(function).parameters.values())
    assert not parameters or "Args:\n" in text
    described = text.partition("Args:\n")[2]
    assert [p.name for p in parameters if p.name not in described] == []
    assert "Raises:\n" in text or not refuses(function)
    takes_arrays = any("Array" in str(parameter.annotation) for parameter in parameters)
    assert "[" in text or not takes_arrays


@pytest.mark.parametrize(
    "name", [n for n, c in NAMES.items() if inspect.isclass(c) and not hasattr(c, "_fields")]
)
def test_a_public_class_documents_its_methods(name: str):
    for method, value in vars(NAMES[name]).items():
        if not method.startswith("_") and inspect.isroutine(value):
            assert inspect.getdoc(value), method


def fields_without_words(module: types.ModuleType) -> list[str]:
    """Fields of the module's classes that neither a string below nor the docstring tells."""
    found = []
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        told = ast.get_docstring(node) or ""
        for this, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name):
                name = this.target.id
                is_told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                is_shared = "ClassVar" in ast.unparse(this.annotation)
                if not (is_told or is_shared or name.startswith("_") or name in told):
                    found.append(f"{node.name}.{name}")
    return found


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_fields_are_described(module: types.ModuleType):
    assert fields_without_words(module) == []


def test_the_reference_has_a_page_for_every_module_and_a_place_for_every_name(
    tmp_path: pathlib.Path,
):
    pytest.importorskip("pdoc")
    ((status, printed, trouble), again) = run_forks([["reference", f"--out={tmp_path}"]] * 2)
    assert (status, trouble) == (0, "")
    assert f"open {tmp_path / 'index.html'}" in printed
    displayed = [name for name in lstm_jax.__all__ if f"lstm_jax.{name}" in NAMES]
    page = (tmp_path / "lstm_jax.html").read_text()
    assert [name for name in displayed if f'id="{name}"' not in page] == []
    for wing in ("network", "tasks", "training", "rivals", "plots"):
        assert (tmp_path / "lstm_jax" / f"{wing}.html").exists()
    pages = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
    assert "Alias for field number" not in pages and "Create new instance of" not in pages
    assert again[0] == 2 and "exists; --overwrite replaces it" in again[2]
