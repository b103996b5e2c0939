"""The tables of results agree with the committed result files."""

import json
import pathlib
import re
import string
import sys

import pytest

from experiments import tables
from experiments.benchmark import __main__ as benchmark
from experiments.rows import collection
from experiments.rows.text import markdown_table, text_table
from experiments.search import random_sampler
from lstm_jax.tasks import row_names

COMMITTED = collection.RESULTS / "6a" / "6a.json"


@pytest.fixture(scope="module")
def documents() -> list[dict]:
    return collection.read_results()


@pytest.fixture(scope="module")
def row() -> dict:
    return collection.read_result(COMMITTED)


def test_the_texts_agree_with_the_results(documents):
    for path, wanted in tables.texts(documents).items():
        assert path.read_text() == wanted, path


@pytest.mark.parametrize("make", [tables.readme_table, tables.page])
def test_a_changed_result_changes_the_text(make, tmp_path):
    document = json.loads(COMMITTED.read_text())
    for trial in document["trials"]:
        trial["sequences"] = 12345
    (tmp_path / "6a.json").write_text(json.dumps(document))
    text = make(collection.read_results(tmp_path))
    assert " 12,345 |" in text and "| 31,390 |" in text


def test_a_row_that_was_not_run_is_named(row):
    assert "Not run yet: 1-1," in tables.page([row])


def test_readme_has_one_row_of_each_task_in_four_columns(documents):
    lines = tables.readme_table(documents).split("\n\n")[0].splitlines()
    assert all(line.count(" | ") == 3 for line in lines)
    assert [re.search(r"#task-(\w+)", line)[1] for line in lines[2:]] == list(tables.TITLES)
    tasks = {collection.task_of(name) for name in row_names()}
    assert tables.TITLES.keys() == tables.FIRST_ROWS.keys() == tasks


def test_every_picture_is_on_the_page_once_and_small(documents):
    displayed = re.findall(r"!\[.*?\]\((.*?)\)", tables.page(documents))
    assert len(displayed) == len(set(displayed))
    assert all((collection.RESULTS / path).exists() for path in displayed)
    places = ("*.png", "[0-9]*/*.png", "claims/claim.*.png")
    found = {path.name: path for place in places for path in collection.RESULTS.glob(place)}
    assert found.keys() == {pathlib.Path(path).name for path in displayed}
    assert all(path.stat().st_size <= 150_000 for path in collection.RESULTS.rglob("*.png"))


LONG_RECIPE = "paper+blocks=2,2,2+input-gate-bias=-1,-2,-3+learning-rate=0.5"
BIASES = {f"input gate bias {j}": -1.2345 for j in range(1, 9)}
TRIAL = {"trial": 1, "solved": 1, "sequences": 1234, "error": 0.012345, **BIASES}
FOUND = {"task": "6a", "blocks": "8x1", "solved": 1, "columns": [*TRIAL]}
BENCHMARK = collection.RESULTS / "benchmark" / "benchmark.b.json"


@pytest.mark.parametrize("width", [80, 60])
def test_no_line_of_a_table_is_longer_than_the_terminal(documents, width: int, monkeypatch):
    """...of rows with any recipe, of baselines, of a random search and of a benchmark."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = text_table([*documents, documents[0] | {"recipe": LONG_RECIPE}])
    assert max(map(len, rows.splitlines())) <= width
    assert " 6a " in rows
    trials = random_sampler.best(FOUND | {"trials": [[*TRIAL.values()]]}).partition("\n")[2]
    assert max(map(len, trials.splitlines())) <= width
    assert "1234" in trials and "input gate bias 8" in " ".join(trials.split())
    measured = benchmark.table(json.loads(BENCHMARK.read_text())).splitlines()
    below = measured.index("answers checked, and notes:")
    assert max(map(len, measured[:below])) <= width


def test_all_of_a_name_is_in_a_narrow_table(documents):
    """...on several lines, and the columns left out are named."""
    table = text_table([documents[0] | {"recipe": LONG_RECIPE}], width=60)
    lines = table.splitlines()
    column = slice(lines[1].index(" ") + 1, lines[1].index(" ", lines[1].index(" ") + 1))
    assert "".join(line[column].strip() for line in lines[2:-1]) == LONG_RECIPE
    assert lines[-1] == "left out: minutes"


def test_a_file_gets_every_column_and_a_line_per_row(documents):
    table = text_table([documents[0] | {"recipe": LONG_RECIPE}, *documents])
    assert len(table.splitlines()) == len(documents) + 3
    assert LONG_RECIPE in table and "minutes" in table and "left out" not in table


PUNCTUATION = rf"\\([{re.escape(string.punctuation)}])"  # escaped
NAMES = ["_", "$x$", "<b>bold</b>", "a|b", "`code`", "*a*", "[a](b)", "&amp;", "a\\", "~~a~~"]
CONTROLS = {
    "a\nb": r"a\nb",
    "\x1b[31mred": r"\x1b[31mred",
    "a\rb\tc": r"a\rb\tc",
    "\x9b2J": r"\x9b2J",
}


def test_names_are_displayed_on_a_terminal_as_written():
    """...with control characters as escape sequences, in a line each."""
    names = [*NAMES, *CONTROLS]
    lines = text_table(names, [("name", str)]).splitlines()
    assert [line.strip() for line in lines[2:]] == [*NAMES, *CONTROLS.values()]


def test_names_are_displayed_in_markdown_as_written():
    """...once the backslashes before punctuation are taken away, as Markdown does."""
    lines = markdown_table([*NAMES, *CONTROLS], [("name", str)]).splitlines()
    cells = [line.removeprefix("| ").removesuffix(" |") for line in lines[2:]]
    assert [re.sub(PUNCTUATION, r"\1", cell) for cell in cells] == [*NAMES, *CONTROLS.values()]
    for cell in cells:
        assert not re.search(r"[*_<>|$`\[\]&~]", re.sub(r"\\.", "", cell))


def test_results_are_in_the_paper_s_order_with_its_recipe_first(tmp_path):
    """Those of the folder itself and those in the folders of their tasks."""
    document = json.loads(COMMITTED.read_text())
    made = [("6a", "a"), ("6a", "paper"), ("1-5", "z"), ("3c-100-1", "b")]
    for i, (name, recipe) in enumerate(made):
        folder = tmp_path / (collection.task_of(name) if i % 2 else "")
        folder.mkdir(exist_ok=True)
        content = document | {"task": name, "recipe": recipe}
        (folder / f"{i}.json").write_text(json.dumps(content))
    found = [(d["task"], d["recipe"]) for d in collection.read_results(tmp_path)]
    assert found == [("1-5", "z"), ("3c-100-1", "b"), ("6a", "paper"), ("6a", "a")]


def test_baselines_come_after_the_lstm_s_rows_of_their_task():
    rows = collection.all_rows()
    assert rows[:7] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1.rtrl-3", "1.rtrl-12"]
    assert rows[rows.index("2a") + 1] == "2a-4.rtrl-1"
    assert rows[rows.index("2b") - 1 :][:3] == ["2a-100.chunker", "2b", "2b-100.rtrl"]
    assert rows[rows.index("3b-100-3") - 1] == "3a-100-1.guessing"
    assert len(set(rows)) == len(rows)


def made(row: dict, name: str, recipe: str, rate: float, mean: float | None, seconds=0.0) -> dict:
    summary = row["summary"] | {"success_rate": rate, "mean_sequences": mean}
    return row | {"task": name, "recipe": recipe, "summary": summary, "wall_seconds": seconds}


def test_of_each_row_the_paper_s_recipe_and_the_best_other_are_shown(row):
    recipes = [("paper", 50.0, 10.0), ("slow", 90.0, 20.0), ("best", 90.0, 15.0), ("no", 0.0, None)]
    documents = [made(row, "6a", *recipe) for recipe in recipes]
    documents.append(made(row, "6b", "alone", 0.0, None))
    assert [d["recipe"] for d in collection.best_of_each(documents)] == ["paper", "best", "alone"]


def test_the_minutes_are_the_sum_of_the_lstm_s_rows(row):
    rows = [("6a", 60.0), ("6b", 120.0), ("2a-100.bptt", 6000.0)]
    documents = [made(row, name, "paper", 50.0, 10.0, seconds) for name, seconds in rows]
    documents.append(made(row, "6b", "other", 50.0, 9.0, 240.0))
    found = tables.page(documents)
    assert "`paper`: 2 rows in 3 minutes; by their best recipes: 2 rows in 5 minutes." in found


def test_missing_markers_are_an_error(row, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("no markers")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="<!-- results -->"):
        tables.texts([row])
