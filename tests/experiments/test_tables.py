"""The tables of results are what the committed result files say."""

import json
import pathlib
import re

import pytest

from experiments import tables
from experiments.rows import collection
from lstm_jax.tasks import row_names


@pytest.fixture(scope="module")
def row() -> dict:
    return json.loads((collection.RESULTS / "6a" / "6a.json").read_text())


def test_the_texts_agree_with_the_results():
    for path, wanted in tables.texts(collection.read_results()).items():
        assert path.read_text() == wanted, path


@pytest.mark.parametrize("make", [tables.readme_table, tables.page])
def test_a_changed_result_changes_the_text(make, row, tmp_path):
    row = row | {"summary": row["summary"] | {"mean_sequences": 12345.0}}
    (tmp_path / "6a.json").write_text(json.dumps(row))
    text = make(collection.read_results(tmp_path))
    assert " 12,345 |" in text and "| 31,390 |" in text


def test_a_row_that_was_not_run_is_named(row):
    assert "Not run yet: 1-1," in tables.page([row])


def test_readme_has_one_row_of_each_task():
    lines = tables.readme_table(collection.read_results()).split("\n\n")[0].splitlines()[2:]
    assert [line.split()[1] for line in lines] == list(tables.TITLES)
    tasks = {collection.task_of(name) for name in row_names()}
    assert tables.TITLES.keys() == tables.SHOWN.keys() == tasks


def test_every_picture_of_the_page_is_there_and_shown_once():
    displayed = re.findall(r"!\[.*?\]\((.*?)\)", tables.page(collection.read_results()))
    assert len(displayed) == len(set(displayed)) and all(
        (collection.RESULTS / p).exists() for p in displayed
    )
    places = ("[0-9]*/*.png", "claims/claim.*.png")
    found = {p.name for place in places for p in collection.RESULTS.glob(place)}
    assert found == {pathlib.Path(p).name for p in displayed} - {"overview.png"}


def test_results_are_in_the_paper_s_order_and_its_recipe_comes_first(row, tmp_path):
    """Those of the folder itself and those in the folders of their tasks."""
    for i, (name, recipe) in enumerate(
        [("6a", "a"), ("6a", "paper"), ("1-5", "z"), ("3c-100-1", "b")]
    ):
        folder = tmp_path / (collection.task_of(name) if i % 2 else "")
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.json").write_text(json.dumps(row | {"task": name, "recipe": recipe}))
    found = [(d["task"], d["recipe"]) for d in collection.read_results(tmp_path)]
    assert found == [("1-5", "z"), ("3c-100-1", "b"), ("6a", "paper"), ("6a", "a")]


def test_rivals_stand_behind_the_lstm_s_rows_of_their_experiment():
    rows = collection.all_rows()
    assert rows[:7] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1.rtrl-3", "1.rtrl-12"]
    assert rows[rows.index("2a") + 1] == "2a-4.rtrl-1"
    assert rows[rows.index("2b") - 1 :][:3] == ["2a-100.chunker", "2b", "2b-100.rtrl"]
    assert rows[rows.index("3b-100-3") - 1] == "3a-100-1.guessing"
    assert len(set(rows)) == len(rows)


def test_of_each_row_the_paper_s_recipe_and_the_best_other_are_shown(row):
    def made(name, recipe, rate, mean):
        summary = row["summary"] | {"success_rate": rate, "mean_sequences": mean}
        return row | {"task": name, "recipe": recipe, "summary": summary}

    documents = [
        made("6a", "paper", 50.0, 10.0),
        made("6a", "slow", 90.0, 20.0),
        made("6a", "best", 90.0, 15.0),
        made("6a", "worst", 0.0, None),
        made("6b", "alone", 0.0, None),
    ]
    assert [d["recipe"] for d in collection.best_of_each(documents)] == ["paper", "best", "alone"]


def test_the_minutes_are_the_sum_of_the_lstm_s_rows(row):
    documents = [
        row | {"task": name, "recipe": recipe, "wall_seconds": seconds}
        for name, recipe, seconds in (
            ("6a", "paper", 60.0),
            ("6b", "paper", 120.0),
            ("6b", "other", 240.0),
            ("2a-100.bptt", "paper", 6000.0),
        )
    ]
    found = tables.readme_table(documents)
    assert "`paper`: 2 in 3 minutes; each by its best recipe: 2 in 3 minutes." in found
    documents[2]["summary"] = row["summary"] | {"mean_sequences": 1.0}
    assert "each by its best recipe: 2 in 5 minutes." in tables.readme_table(documents)


def test_missing_markers_are_an_error():
    with pytest.raises(ValueError, match="<!-- results -->"):
        tables.with_table("no markers", "table")
