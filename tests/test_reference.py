"""Every public name documents its arguments, results and errors, and is in the reference."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
import textwrap

import pytest
from binaries import run_forks

import lstm_jax

PUBLIC = tuple(
    f"lstm_jax{wing}"
    for wing in ("", ".network.streaming", ".data", ".tasks", ".baselines", ".plots")
)


def public_names() -> dict:
    """The functions and classes that the packages list."""
    packages = [importlib.import_module(name) for name in PUBLIC]
    found = {f"{p.__name__}.{name}": getattr(p, name) for p in packages for name in p.__all__}
    displayed = lambda value: inspect.isroutine(value) or inspect.isclass(value)
    return {name: value for name, value in found.items() if displayed(value)}


NAMES = public_names()
FUNCTIONS = [name for name, value in NAMES.items() if inspect.isroutine(value)]


def refuses(function) -> bool:
    """Whether its body raises an error or calls a check."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    checks = {name for name in called if name.split(".")[-1].lstrip("_").startswith("check")}
    return bool(checks) or any(isinstance(node, ast.Raise) for node in nodes)


def test_every_public_name_has_a_docstring():
    for name, value in NAMES.items():
        text = inspect.getdoc(value) or ""
        assert len(text.split()) > 3 and not text.startswith(f"{name.split('.')[-1]}("), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_documents_arguments_errors_and_an_example(name: str):
    function = NAMES[name]
    text = inspect.getdoc(function) or ""
    assert ">>> " in text
    parameters = list(inspect.signature(function).parameters.values())
    refers = re.search(r"rguments (and errors )?are those of `\w+`", " ".join(text.split()))
    described = text.partition("Args:\n")[2]
    assert refers or [p.name for p in parameters if p.name not in described] == []
    assert "Raises:\n" in text or refers or not refuses(function)
    takes_arrays = any("Array" in str(parameter.annotation) for parameter in parameters)
    assert "[" in text or not takes_arrays


def test_every_public_class_documents_its_methods():
    for name, value in NAMES.items():
        if inspect.isclass(value) and not hasattr(value, "_fields"):
            methods = {k: v for k, v in vars(value).items() if inspect.isroutine(v)}
            public = [method for method in methods if not method.startswith("_")]
            assert all(inspect.getdoc(methods[method]) for method in public), name


def test_help_describes_every_field_of_a_public_class():
    for name, value in NAMES.items():
        fields = vars(value).get("_fields") or vars(value).get("__dataclass_fields__", ())
        described = re.findall(r"^ +([\w, ]+): ", inspect.getdoc(value) or "", re.MULTILINE)
        assert {*fields} - {*", ".join(described).split(", ")} == set(), name


def test_the_reference_has_every_module_and_every_name(tmp_path: pathlib.Path):
    pytest.importorskip("pdoc")
    ((status, printed, errors), again) = run_forks([["api_reference", f"--out={tmp_path}"]] * 2)
    assert (status, errors) == (0, "")
    assert f"open {tmp_path / 'index.html'}" in printed
    displayed = [name for name in lstm_jax.__all__ if f"lstm_jax.{name}" in NAMES]
    page = (tmp_path / "lstm_jax.html").read_text()
    assert [name for name in displayed if f'id="{name}"' not in page] == []
    for package in ("network", "data", "tasks", "training", "baselines", "plots"):
        assert (tmp_path / "lstm_jax" / f"{package}.html").exists()
    pages = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
    assert "Alias for field number" not in pages and "Create new instance of" not in pages
    assert again[0] == 2 and "exists; --overwrite replaces it" in again[2]
