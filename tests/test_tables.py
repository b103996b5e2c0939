"""README's table of results is what the committed result files say."""

import json

import pytest

from experiments import tables


def test_readme_agrees_with_the_results():
    text = (tables.ROOT / "README.md").read_text()
    assert tables.with_table(text, tables.markdown_table()) == text


def test_a_changed_result_changes_the_table(tmp_path):
    path = next(tables.RESULTS.glob("6a.json"))
    document = json.loads(path.read_text())
    document["summary"]["mean_sequences"] = 12345.0
    (tmp_path / path.name).write_text(json.dumps(document))
    table = tables.markdown_table(tmp_path)
    assert "| 12,345 | 31,390 |" in table
    assert "Not run yet: 1-1," in table


def test_rivals_stand_behind_the_lstm_s_rows_of_their_experiment():
    rows = tables.all_rows()
    assert rows[:7] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1.rtrl-3", "1.rtrl-12"]
    assert (
        rows[rows.index("2a") + 1] == "2a-4.rtrl-1" and rows[rows.index("2b") - 1] == "2a-100.bptt"
    )
    assert len(set(rows)) == len(rows)


def test_missing_markers_are_an_error():
    with pytest.raises(ValueError, match="<!-- results -->"):
        tables.with_table("no markers", "table")
