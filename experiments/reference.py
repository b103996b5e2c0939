"""The reference: a page for every module of the library, made from its docstrings.

    python -m experiments.reference --out=reference
    python -m experiments.reference --out=reference --overwrite
    python -m experiments.reference --out=~/lstm_jax_reference

Open DIR/index.html in a browser; nothing is fetched from anywhere. Needs the extra `reference`.
"""

from __future__ import annotations

import pathlib
import tempfile
import warnings

from absl.flags import FlagValues

from experiments.cli.command import Command
from experiments.cli.files import check_free, make_folder, write_file
from experiments.cli.flag_set import FlagSet

LIBRARY = "lstm_jax"
PAGE = f"{LIBRARY}.html"
# A NamedTuple's constructor has no words of its own: its fields follow.
TEMPLATE = """
{% extends "default/module.html.jinja2" %}
{% macro is_public(doc) %}
  {% if not doc.docstring.startswith("Create new instance of") %}
    {{ default_is_public(doc) }}
  {% endif %}
{% endmacro %}
"""


def write_reference(out: pathlib.Path) -> list[pathlib.Path]:
    """Writes the pages into a folder; returns their paths."""
    import pdoc
    import pdoc.render

    with tempfile.TemporaryDirectory() as templates, warnings.catch_warnings():
        # The types of constructors that are not shown.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        pathlib.Path(templates, "module.html.jinja2").write_text(TEMPLATE)
        pdoc.render.configure(docformat="google", template_directory=pathlib.Path(templates))
        pdoc.pdoc(LIBRARY, output_directory=out)
    return sorted(out.rglob("*.html"))


def define(flags: FlagSet) -> None:
    """Where to write."""
    flags.folder("out", "Folder for the pages; must be given.", required=True)
    flags.switch("overwrite", False, "Replace pages that exist.")


def main(values: FlagValues) -> None:
    """Writes the pages.

    Raises:
      ValueError: if there are pages already that may not be replaced.
    """
    out: pathlib.Path = values.out
    check_free(out / PAGE, values.overwrite)
    make_folder(out)
    with tempfile.TemporaryDirectory() as folder:
        pages = write_reference(pathlib.Path(folder))
        found = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
        places = {path: out / path.relative_to(folder) for path in found}
        for place in places.values():
            check_free(place, values.overwrite)
        for path, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, path.read_bytes(), values.overwrite)
    print(f"wrote {len(pages)} pages: open {out / 'index.html'}")


COMMAND = Command("reference", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
