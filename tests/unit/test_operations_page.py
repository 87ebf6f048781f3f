"""The operations page knows every error, and shows the settings that the code uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from htcondor_operator.condor.pool import DAGMAN_SETTINGS, EVENT_LOG_SETTINGS, _text
from htcondor_operator.vocabulary import ErrorKind

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text()


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_has_its_line(kind: ErrorKind) -> None:
    assert re.search(rf"^\| `{kind}` \|[^|]+\|[^|]+\|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("settings", [EVENT_LOG_SETTINGS, DAGMAN_SETTINGS])
def test_settings_are_those_of_the_code(settings: dict[str, object]) -> None:
    block = "".join(f"{key} = {_text(value)}\n" for key, value in settings.items())
    assert f"```\n{block}```" in PAGE


@pytest.mark.parametrize(
    "page", [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
