from __future__ import annotations

import pytest

from htcondor_operator.blackboard.connection import libpq_url
from htcondor_operator.vocabulary import OwlError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgres://u:p%40@h:5433/d", "postgresql://u:p%40@h:5433/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql://u@h/d"),
        ("postgresql+asyncpg://u@h/d?ssl=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?command_timeout=5", "postgresql://h/d"),
        ("postgresql+psycopg2://u@/d?host=/run/pg", "postgresql://u@/d?host=/run/pg"),
        ("postgresql:///d?host=%2Frun%2Fpg", "postgresql:///d?host=/run/pg"),
        ("postgresql://%2Frun%2Fpg/d", "postgresql://%2Frun%2Fpg/d"),
    ],
)
def test_url(url: str, expected: str) -> None:
    assert libpq_url(url) == expected


@pytest.mark.parametrize("url", ["", "sqlite:////x.db", "mysql://u:secret@h/d"])
def test_other_databases_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(OwlError, match="OWL_DATABASE_URL") as caught:
        libpq_url(url)
    assert "secret" not in caught.value.message
