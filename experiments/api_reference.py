"""The API reference: a page for every module of the library, from its docstrings.

    python -m experiments.api_reference --out=reference
    python -m experiments.api_reference --out=reference --overwrite
    python -m experiments.api_reference --out=~/lstm_jax_reference

Open DIR/index.html in a browser; nothing is fetched from anywhere. Needs the extra `reference`.
"""

from __future__ import annotations

import pathlib
import re
import tempfile
import warnings

from experiments.cli.command import Command, FlagSet, FlagValues, import_extra
from experiments.cli.files import check_free, make_folder

# Omit the constructors of NamedTuples, which have no docstrings.
TEMPLATE = """
{% extends "default/module.html.jinja2" %}
{% macro is_public(doc) %}
  {% if not doc.docstring.startswith("Create new instance of") %}
    {{ default_is_public(doc) }}
  {% endif %}
{% endmacro %}
"""


def define(flags: FlagSet) -> None:
    flags.output("the pages")


def main(values: FlagValues) -> None:
    """Write the pages."""
    pdoc = import_extra("pdoc", "reference", "the reference")
    render = import_extra("pdoc.render", "reference", "the reference")
    out = values.out
    if out.is_dir() and any(out.iterdir()):
        check_free(out, values.overwrite)
    make_folder(out)
    with tempfile.TemporaryDirectory() as templates, warnings.catch_warnings():
        # The types of omitted constructors.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        pathlib.Path(templates, "module.html.jinja2").write_text(TEMPLATE)
        render.configure(docformat="google", template_directory=pathlib.Path(templates))
        pdoc.pdoc("lstm_jax", output_directory=out)
    for page in out.rglob("*.html"):  # the docstrings that Python gives to a NamedTuple's fields
        text = re.sub(r"<p>Alias for field number \d+</p>", "", page.read_text())
        page.write_text(text)
    print(f"wrote {len(list(out.rglob('*.html')))} pages: open {out / 'index.html'}")


COMMAND = Command("api_reference", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
