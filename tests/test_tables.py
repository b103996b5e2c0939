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


def test_missing_markers_are_an_error():
    with pytest.raises(ValueError, match="<!-- results -->"):
        tables.with_table("no markers", "table")
