"""The tables of results agree with the committed result files."""

import json
import pathlib
import re

import pytest

from experiments import tables
from experiments.rows import collection
from experiments.rows.text import text_table
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


def test_a_table_on_a_terminal_has_80_columns(documents):
    for kind in (lambda d: d["task"] in row_names(), lambda d: d["task"] not in row_names()):
        table = text_table(list(filter(kind, documents)))
        assert max(map(len, table.splitlines())) <= 80
    assert "paper+input-gat..." in text_table(
        [documents[0] | {"recipe": "paper+input-gate-bias=1"}]
    )


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
