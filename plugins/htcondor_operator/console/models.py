"""What all nouns of the console's API share."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_KEYS = 100
"""Of one write: the pages send bigger selections in parts and show how far they are."""

MOST_DIGITS = 18
"""Of a number in a URL: a bigint has room for them."""

Number = Annotated[int, Field(ge=0, lt=10**MOST_DIGITS)]
"""A row's key in a body."""


class Strict(BaseModel):
    """A body whose unknown fields are errors, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and (bad := unprintable(each)):
                raise ValueError(f"it has the character {bad}, which cannot be kept; remove it")
        return value


def unprintable(text: str) -> str | None:
    """Return the first character that is no text, as it can be written; None if all are.

    Ends of lines and tabs are text.
    """
    for each in text:
        if each not in "\n\r\t" and unicodedata.category(each) in {"Cc", "Cs"}:
            return ascii(each)
    return None


def plain_request(request: Request) -> None:
    """Refuse filters and paths with characters or numbers that the database cannot take."""
    named = [*request.query_params.multi_items(), *request.path_params.items()]
    for name, value in named:
        bad = unprintable(str(value))
        if bad:
            words = f"it has the character {bad}, which is in no name; remove it."
        elif value.lstrip("+-").isdigit() and len(value) > MOST_DIGITS:
            words = "there are no numbers that large."
        else:
            continue
        raise HTTPException(422, {"kind": "bad_field", "message": f"{name}: {words}"})


class Listed(BaseModel):
    """A page of a list."""

    rows: list[dict[str, Any]]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")
    as_of: datetime | None = Field(description="Of when the rows are; null: nobody has looked yet.")


class Write(Strict):
    """What every write has."""

    reason: str | None = Field(None, max_length=500, description="Why; it is kept in the audit.")
    dry_run: bool = Field(False, description="Only say what would happen.")


class Item(BaseModel):
    """What happens, or has happened, to one thing."""

    key: int | str
    name: str
    will: str
    why_not: str | None = None


class Outcome(BaseModel):
    """The answer to a write, or to its dry run."""

    summary: str
    items: list[Item]
    done: int = Field(description="How many were changed; 0 for a dry run.")
    next: str | None = None
    """There is more: ask again with it as ``after``."""


Limit = Annotated[int, Query(ge=1, le=500, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="From the page before.")]
