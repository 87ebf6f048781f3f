from __future__ import annotations

from pathlib import Path

from htcondor_operator.blackboard.comments import COMMENTS
from htcondor_operator.blackboard.dictionary import dictionary
from htcondor_operator.blackboard.tables import metadata


def test_every_table_and_column_has_a_meaning_and_no_meaning_is_left_over() -> None:
    columns = {
        name: {"", *(column.name for column in table.columns)}
        for name, table in metadata.tables.items()
    }
    assert {name: set(words) for name, words in COMMENTS.items()} == columns
    assert all(text.endswith(".") for words in COMMENTS.values() for text in words.values())


def test_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "blackboard.md"
    assert page.read_text() == dictionary(), "owl blackboard dictionary > docs/blackboard.md"
