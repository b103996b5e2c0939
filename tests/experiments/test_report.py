"""The report of a folder is one page of all its results, and CSV files of their curves."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import pathlib

import numpy as np
import pytest
from small_tasks import LATCH

from experiments.report import COMMAND
from experiments.rows.collection import read_result
from lstm_jax.training.runs.result_file import make_document, write_json
from lstm_jax.training.trials.runner import TrialResult

CURVE = np.array([[1000, 0.5, 1.0], [2000, 0.25, np.nan]])
TRIALS = [
    TrialResult(0, True, 2000, True, None, 3, 64, 0.0625, 0.01, CURVE, None),
    TrialResult(1, False, 1000, True, None, 50, 64, 0.5, 0.25, CURVE[:1], None),
]

ABOUT = {"changes": "", "wall_seconds": 1.0, "seed": 0, "command": "python -m x"}


class Page(html.parser.HTMLParser):
    """The tags of a page with what they point to, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def write_results(folder: pathlib.Path, title: str = "a title") -> None:
    for name, recipe in (("6b", "paper"), ("6a", "paper"), ("own", "paper")):
        task = dataclasses.replace(LATCH, name=name, title=f"{title} of {name}")
        write_json(folder / f"{name}.json", make_document(task, TRIALS, recipe=recipe, **ABOUT))


def test_the_page_shows_every_result_and_needs_no_other_file(tmp_path: pathlib.Path):
    write_results(tmp_path)
    COMMAND.call([f"--out={tmp_path}"])
    page = Page((tmp_path / "report.html").read_text())
    assert page.tags.count("img") == 3
    assert all(target.startswith("data:image/png;base64,iVBOR") for target in page.targets)
    assert not {"script", "link", "iframe"} & {*page.tags}
    titles = ["6a: temporal order, 2", "6b: temporal order, 3", "own: a title of own"]
    for text in (*titles, "python -m x", "64 tests", "2,000", "0.0625"):
        assert text in page.text
    assert sorted(titles, key=page.text.index) == titles


@pytest.mark.parametrize(
    ("title", "displayed"),
    [
        ("<script>alert('a & b')</script>", "<script>alert('a & b')</script>"),
        ("_ $x$ | `a` {{ b }} &amp;  end", "_ $x$ | `a` {{ b }} &amp;  end"),
        ("two\nlines, \x1b[31mred", r"two\nlines, \x1b[31mred"),
    ],
)
def test_the_content_of_a_result_is_displayed_as_written(
    title: str, displayed: str, tmp_path: pathlib.Path
):
    write_results(tmp_path, title=title)
    COMMAND.call([f"--out={tmp_path}"])
    page = Page((tmp_path / "report.html").read_text())
    assert not {"script", "b"} & {*page.tags} and f"{displayed} of own" in page.text


def test_a_csv_holds_the_curves(tmp_path: pathlib.Path):
    write_results(tmp_path)
    COMMAND.call([f"--out={tmp_path}"])
    with (tmp_path / "6a.csv").open() as file:
        rows = list(csv.DictReader(file))
    document = read_result(tmp_path / "6a.json")
    points = [(trial["index"], *point) for trial in document["trials"] for point in trial["curve"]]
    found = [tuple(None if v == "" else float(v) for v in row.values()) for row in rows]
    assert found == points and list(rows[0])[:2] == ["trial", "sequences"]


def test_nothing_is_replaced_without_overwrite(tmp_path: pathlib.Path):
    write_results(tmp_path)
    (tmp_path / "6b.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"6b\.csv exists; --overwrite replaces it"):
        COMMAND.call([f"--out={tmp_path}"])
    assert not (tmp_path / "report.html").exists() and (tmp_path / "6b.csv").read_text() == "mine"
    COMMAND.call([f"--out={tmp_path}", f"--into={tmp_path / 'new'}"])
    assert len(list((tmp_path / "new").iterdir())) == 4
    COMMAND.call([f"--out={tmp_path}", "--overwrite"])
    assert (tmp_path / "6b.csv").read_text().startswith("trial,")


def test_other_files_are_named_and_left_out(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(ValueError, match=f"a folder with result files of rows, got {tmp_path}"):
        COMMAND.call([f"--out={tmp_path}"])
    write_results(tmp_path)
    COMMAND.call([f"--out={tmp_path}"])
    assert f"skipped: {tmp_path / 'sweep.json'}" in capsys.readouterr().out
