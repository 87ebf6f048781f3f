"""Asks the console's API of one database, inside Airflow's web application, and prints times.

A process of its own (``python -m htcondor_operator.bench.console_client ROUNDS EVERY``), because
Airflow reads its configuration when it is imported. Each page's queries are asked as a browser asks
them, login included; what is measured is the server's time from request to the last byte.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from htcondor_operator.bench import console_sweep
from htcondor_operator.bench.console_data import FLOWS
from htcondor_operator.bench.console_site import LARGE

SLOW_MS = 100.0
"""A corner that took longer is asked again: it may have been a hiccup of the machine."""

PAGES = 4
"""Pages taken of each list: the later ones go by their cursors."""

Ask = tuple[str, str, dict[str, Any]]


def asks() -> Iterator[Ask]:
    """Yield (page, path, query) of everything that the pages ask for."""
    flow: tuple[dict[str, Any], ...] = (
        {}, {"limit": 500}, {"status": "failed"}, {"status": ["failed", "held"]},
        {"status": "running"}, {"workflow": FLOWS[0]}, {"workflow": FLOWS[3], "status": "failed"},
        {"instrument": "ACS"}, {"instrument": "COS", "status": "held"}, {"node": "CA"},
        {"node": "CA", "status": "failed"}, {"error": "reference_missing"}, {"error": "held"},
        {"exit_code": 27}, {"search": "j00"}, {"search": "j0000"}, {"history": True},
        {"history": True, "search": "i000"}, {"campaign": "none"},
        {"since": "2026-01-01T00:00:00Z", "status": "failed"}, {"until": "2025-12-01T00:00:00Z"},
        {"sort": "created"}, {"sort": "-started"}, {"sort": "-updated"}, {"sort": "-ended"},
        {"sort": "dataset"},
        {"sort": "-dataset", "status": "failed"}, {"sort": "status"}, {"sort": "-workflow"},
        {"sort": "dataset", "workflow": FLOWS[2]}, {"sort": "-ended", "instrument": "STIS"},
    )  # fmt: skip
    for query in flow:
        yield "flow", "/flow", query
    some: tuple[dict[str, Any], ...] = (
        {}, {"status": "failed"}, {"workflow": FLOWS[0]}, {"search": "j00"},
    )  # fmt: skip
    for query in some:
        yield "flow", "/flow/totals", query
    for query in ({}, {"workflow": FLOWS[1]}, {"instrument": "WFC3"}):
        yield "errors", "/errors", query
    yield "queue", "/queue", {}
    yield "queue", "/queue/totals", {}
    yield "history", "/history", {}
    yield "pollers", "/pollers", {}
    yield "pollers", "/pollers/arrivals", {"state": "quarantined"}
    yield "history", "/history", {"fileset": "j00*"}
    yield "campaigns", "/campaigns", {}
    yield "campaign", f"/campaigns/{LARGE}", {}
    yield "campaign", f"/campaigns/{LARGE}/members", {}
    for state in ("done", "failed", "refused"):
        yield "campaign", f"/campaigns/{LARGE}/members", {"state": state}
    yield "pool", "/pool", {}
    yield "pool", "/pool/health", {}
    yield "archive", "/products", {}
    for query in (
        {"target": "ngc"}, {"target": "NGC-17"}, {"target": "nothing"}, {"dataset": "i0001"},
        {"instrument": "STIS", "sort": "-observed"}, {"ra": 83.6, "dec": 22, "radius": 1},
    ):  # fmt: skip
        yield "archive", "/products", query
    yield "pool", "/pool/machines/exec3", {}


def main() -> None:
    """Print one JSON line per answer: page, path, query, milliseconds, bytes, cursor."""
    logging.disable(logging.INFO)
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    rounds, every = (int(word) for word in sys.argv[1:3])
    with TestClient(create_app(apps="core"), base_url="http://testserver") as web:
        user = SimpleAuthManagerUser(username="bench", role="admin")
        headers = {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}
        page = web.get("/owl/api/flow", headers=headers).json()
        keys = [row["run_key"] for row in page["rows"][:: max(1, len(page["rows"]) // 10)]]
        everything = [*asks(), *(("run", f"/runs/{key}", {}) for key in keys)]
        for number in range(rounds):
            for name, path, query in everything:
                for answer in _pages(web, headers, path, query):
                    if number:  # the first round fills the caches, as the first visitor does
                        _tell({"page": name, "path": path, "query": query, **answer})
        for line in _corners(web, headers, every):
            _tell(line)


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def _corners(web: Any, headers: dict[str, str], every: int) -> Iterator[dict[str, Any]]:
    """Ask what ``console_sweep`` has once, and what was slow twice more: the middle counts."""

    def rows(path: str, **query: Any) -> list[dict[str, Any]]:
        return list(_answer(web, headers, path, query).json()["rows"])

    first, last = (rows("/flow", sort=sort, limit=1)[0] for sort in ("created", "-created"))
    named = [row["fingerprint"] for row in rows("/errors") if row["fingerprint"]]
    began, ended = (datetime.fromisoformat(row["created_at"]) for row in (first, last))
    span = console_sweep.Span(began, ended, named[0])
    middles = {
        # A small database has no products of that time.
        path: (rows(path, sort=sort, limit=1, since=span.at(share)) or rows(path, limit=1))[0]
        for path, sort, share in (("/flow", "created", 0.5), ("/products", "archived", 0.1))
    }
    for question in islice(console_sweep.questions(span), 0, None, every):
        query = dict(question.query)
        if question.deep:
            query["cursor"] = console_sweep.cursor(question, middles[question.path])
        answers = [_timed(web, headers, question.path, query)]
        if answers[0]["ms"] > SLOW_MS:
            answers += [_timed(web, headers, question.path, query) for _ in range(2)]
        shown = {**question.query, "deep": True} if question.deep else question.query
        line = {"page": question.page, "path": question.path, "query": shown}
        yield {**line, **sorted(answers, key=lambda answer: answer["ms"])[len(answers) // 2]}


def _answer(web: Any, headers: dict[str, str], path: str, query: dict[str, Any]) -> Any:
    answer = web.get(f"/owl/api{path}", params=query, headers=headers)
    if answer.status_code != 200:
        raise SystemExit(f"{path} {query}: {answer.status_code} {answer.text[:400]}")
    return answer


def _timed(web: Any, headers: dict[str, str], path: str, query: dict[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    answer = _answer(web, headers, path, query)
    elapsed = 1000 * (time.perf_counter() - began)
    return {"ms": round(elapsed, 2), "bytes": len(answer.content), "next": _next(answer)}


def _next(answer: Any) -> str | None:
    found = answer.json()
    return found.get("next") if isinstance(found, dict) else None


def _pages(
    web: Any, headers: dict[str, str], path: str, query: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    cursor = None
    for _ in range(PAGES):
        answer = _timed(web, headers, path, {**query, "cursor": cursor} if cursor else query)
        cursor = answer["next"]
        yield answer
        if not cursor:
            return


if __name__ == "__main__":
    main()
