"""The tables of results in README and BUILD_NOTES are what the committed result files say."""

import json

import pytest

from experiments import tables


@pytest.mark.parametrize("name", tables.PLACES)
def test_the_text_agrees_with_the_results(name: str):
    text = (tables.ROOT / name).read_text()
    table = tables.PLACES[name](tables.read_results())
    assert tables.with_table(text, table) == text


@pytest.mark.parametrize("make_table", tables.PLACES.values())
def test_a_changed_result_changes_the_table(make_table, tmp_path):
    path = next(tables.RESULTS.glob("6a.json"))
    document = json.loads(path.read_text())
    document["summary"]["mean_sequences"] = 12345.0
    (tmp_path / path.name).write_text(json.dumps(document))
    table = make_table(tables.read_results(tmp_path))
    assert "| 12,345 |" in table and "| 31,390 |" in table
    assert "Not run yet: 1-1," in table


def test_results_are_in_the_paper_s_order_and_its_recipe_comes_first(tmp_path):
    document = json.loads(next(tables.RESULTS.glob("6a.json")).read_text())
    for i, (row, recipe) in enumerate(
        [("6a", "a"), ("6a", "paper"), ("1-5", "z"), ("3c-100-1", "b")]
    ):
        (tmp_path / f"{i}.json").write_text(json.dumps(document | {"task": row, "recipe": recipe}))
    found = [(d["task"], d["recipe"]) for d in tables.read_results(tmp_path)]
    assert found == [("1-5", "z"), ("3c-100-1", "b"), ("6a", "paper"), ("6a", "a")]


def test_rivals_stand_behind_the_lstm_s_rows_of_their_experiment():
    rows = tables.all_rows()
    assert rows[:7] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1.rtrl-3", "1.rtrl-12"]
    assert rows[rows.index("2a") + 1] == "2a-4.rtrl-1"
    assert rows[rows.index("2b") - 1 :][:3] == ["2a-100.chunker", "2b", "2b-100.rtrl"]
    assert rows[rows.index("3b-100-3") - 1] == "3a-100-1.guessing"
    assert len(set(rows)) == len(rows)


def test_of_each_row_the_paper_s_recipe_and_the_best_other_are_shown():
    document = json.loads((tables.RESULTS / "6a.json").read_text())

    def made(row, recipe, rate, mean):
        summary = document["summary"] | {"success_rate": rate, "mean_sequences": mean}
        return document | {"task": row, "recipe": recipe, "summary": summary}

    documents = [
        made("6a", "paper", 50.0, 10.0),
        made("6a", "slow", 90.0, 20.0),
        made("6a", "best", 90.0, 15.0),
        made("6a", "worst", 0.0, None),
        made("6b", "alone", 0.0, None),
    ]
    assert [d["recipe"] for d in tables.best_of_each(documents)] == ["paper", "best", "alone"]


def test_the_minutes_are_the_sum_of_the_lstm_s_rows():
    document = json.loads((tables.RESULTS / "6a.json").read_text())
    documents = [
        document | {"task": row, "recipe": recipe, "wall_seconds": seconds}
        for row, recipe, seconds in (
            ("6a", "paper", 60.0),
            ("6b", "paper", 120.0),
            ("6b", "other", 240.0),
            ("2a-100.bptt", "paper", 6000.0),
        )
    ]
    found = tables.short_table(documents)
    assert "`paper`: 2 in 3 minutes; each by its best recipe: 2 in 3 minutes." in found
    documents[2]["summary"] = document["summary"] | {"mean_sequences": 1.0}
    assert "each by its best recipe: 2 in 5 minutes." in tables.short_table(documents)


def test_missing_markers_are_an_error():
    with pytest.raises(ValueError, match="<!-- results -->"):
        tables.with_table("no markers", "table")
