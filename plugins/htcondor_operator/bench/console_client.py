"""Asks the console's API of one database, inside Airflow's web application, and prints times.

A process of its own (``python -m htcondor_operator.bench.console_client ROUNDS``), because Airflow
reads its configuration when it is imported. Each page's queries are asked as a browser asks them,
login included; what is measured is the server's time from request to the last byte.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

from htcondor_operator.bench.console_data import FLOWS
from htcondor_operator.bench.console_site import LARGE

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
        {"sort": "created"}, {"sort": "-updated"}, {"sort": "-ended"}, {"sort": "dataset"},
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
    """Print one JSON line per answer: page, path, query, milliseconds, bytes."""
    logging.disable(logging.INFO)
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    rounds = int(sys.argv[1])
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
                        line = {"page": name, "path": path, "query": query, **answer}
                        sys.stdout.write(json.dumps(line) + "\n")


def _pages(
    web: Any, headers: dict[str, str], path: str, query: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    cursor = None
    for _ in range(PAGES):
        asked = {**query, "cursor": cursor} if cursor else query
        began = time.perf_counter()
        answer = web.get(f"/owl/api{path}", params=asked, headers=headers)
        elapsed = 1000 * (time.perf_counter() - began)
        if answer.status_code != 200:
            raise SystemExit(f"{path} {query}: {answer.status_code} {answer.text[:400]}")
        yield {"ms": round(elapsed, 2), "bytes": len(answer.content)}
        cursor = answer.json().get("next") if isinstance(answer.json(), dict) else None
        if not cursor:
            return


if __name__ == "__main__":
    main()
