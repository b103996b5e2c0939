"""Every snippet of the how-to page runs after the page's preamble."""

from __future__ import annotations

import pathlib
import re

import jax
import pytest

PAGE = pathlib.Path(__file__).parents[1] / "experiments" / "how_to.md"
SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
PREAMBLE = CODE.search(PAGE.read_text())[1]
SNIPPETS = {title: "".join(CODE.findall(body)) for title, body in SECTION.findall(PAGE.read_text())}


@pytest.mark.parametrize("title", [title for title, code in SNIPPETS.items() if code])
def test_a_snippet_runs(title: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "snippet"}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as users have
        for code in (PREAMBLE, SNIPPETS[title]):
            exec(compile(code, title, "exec"), namespace)


def test_every_section_has_its_snippet():
    sections = re.split("^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) >= 40 and all("```" in section for section in sections)
