from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.blackboard.dataset_filter import Condition, like, parse, where
from htcondor_operator.vocabulary import OwlError


def test_words_become_conditions() -> None:
    found = parse(
        "instrument=WF3 from=2026-01-01 to=2026-02-01T12:00 filters=F606W,F814W exptime>=10"
    )
    assert found == (
        Condition("instrument", "=", ("WFC3",)),
        Condition("from", ">=", (datetime(2026, 1, 1, tzinfo=UTC),)),
        Condition("to", "<", (datetime(2026, 2, 1, 12, tzinfo=UTC),)),
        Condition("filters", "=", ("F606W", "F814W")),
        Condition("exptime", ">=", (10.0,)),
    )


def test_values_never_become_sql() -> None:
    sql, parameters = where(parse("target='NGC 1; DROP TABLE x' dataset~ie*_"))
    assert sql == "p.target_name = ANY(%(value0)s) AND p.dataset ILIKE ANY(%(value1)s)"
    assert parameters == {"value0": ["NGC 1; DROP TABLE x"], "value1": ["ie%\\_"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("instrument", "FIELD=VALUE"),
        ("colour=red", "no field 'colour'"),
        ("instrument>ACS", "takes"),
        ("exptime=long", "not a number"),
        ("from=yesterday", "not an ISO date"),
        ("from=2026-01-01,2026-01-02", "one value"),
        ("proposal=1,,2", "a value is empty"),
        ("target='open", "No closing quotation"),
        ("1=1", "FIELD=VALUE"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(OwlError, match=words):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        sql, parameters = where(parse(text))
    except OwlError:
        return
    assert sql.count("%(") == len(parameters)


@given(st.text(alphabet="ab%_\\*", max_size=12))
def test_like_means_only_stars(pattern: str) -> None:
    assert like(pattern).replace("\\\\", "").replace("\\%", "").replace("\\_", "").count("%") == (
        pattern.count("*")
    )
