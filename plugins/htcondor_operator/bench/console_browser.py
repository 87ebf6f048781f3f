"""What somebody sees who opens the data flow in a browser: Airflow's own server, a real Chromium.

Playwright is no dependency of OWL: without it, or without a Chromium, nothing is measured.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from htcondor_operator.bench.scratch_database import airflow_environment
from htcondor_operator.bench.watch import Say
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.launcher.ports import any_free
from htcondor_operator.vocabulary import ErrorKind, OwlError

LOADS = 5
REFRESHES = 8
START_SECONDS = 120.0
ROWS = 500
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_PASSWORD = "bench"  # noqa: S105 - of a server that lives for a minute, on the loopback

# When the first row, or what a parsed answer changed, has been painted: the frame after the one
# in which it came into the document has begun. A refresh counts when nearly all rows of the answer
# differ from the answer before, and when it is painted every row in view says something new.
_WATCH = """
(() => {
  const painted = (then) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => then(performance.now());
    channel.port2.postMessage(null);
  });
  const inView = () => {
    const box = document.querySelector("table.owl-rows")?.parentElement.getBoundingClientRect();
    return box === undefined ? [] : [...document.querySelectorAll("tr.owl-row")].filter((row) => {
      const { top, bottom } = row.getBoundingClientRect();
      return bottom > box.top && top < box.bottom;
    });
  };
  window.owlBench = { firstRow: null, refreshes: [], inView: 0, drawn: 0, asked: null };
  const bench = window.owlBench;
  let answered = new Map();
  new MutationObserver((changes) => {
    if (bench.firstRow === null) {
      if (document.querySelector("tr.owl-row")) {
        bench.firstRow = 0;
        painted((at) => { bench.firstRow = at; });
      }
      return;
    }
    const asked = bench.asked;
    if (asked === null) return;
    for (const { target } of changes) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      asked.changed.add(element?.closest("tr.owl-row"));
    }
    if (![...asked.before.keys()].every((row) => asked.changed.has(row))) return;
    bench.asked = null;
    painted((at) => {
      const rows = inView();
      if (rows.some((row) => asked.before.get(row) === row.textContent)) return;
      bench.inView = rows.length;
      bench.drawn = document.querySelectorAll("tr.owl-row").length;
      bench.refreshes.push(at - asked.at);
    });
  }).observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
  const json = Response.prototype.json;
  Response.prototype.json = async function () {
    const body = await json.call(this);
    if (!/\\/owl\\/api\\/flow\\?/.test(this.url)) return body;
    const texts = new Map(body.rows.map((row) => [row.run_key, JSON.stringify(row)]));
    const differ = [...texts].filter(([key, text]) => answered.get(key) !== text).length;
    const enough = answered.size > 0 && differ >= %(rows)d;
    answered = texts;
    const before = new Map(enough ? inView().map((row) => [row, row.textContent]) : []);
    bench.asked = before.size ? { at: performance.now(), before, changed: new Set() } : null;
    return body;
  };
})();
"""


def browse(url: str, say: Say) -> dict[str, Any]:
    """Return ``first_row_s`` and ``refresh_500_ms`` (None: cannot be measured here) and detail."""
    nothing: dict[str, Any] = {"first_row_s": None, "refresh_500_ms": None}
    chromium = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        return {**nothing, "detail": {"why_not": "there is no Chromium"}}
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError:
        return {
            **nothing,
            "detail": {"why_not": "Playwright is missing: uv pip install playwright"},
        }
    with _server(url, say) as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        try:
            return _look(browser, address, url, say)
        finally:
            browser.close()


def _look(browser: Any, address: str, url: str, say: Say) -> dict[str, Any]:
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    context.add_cookies([{"name": "_token", "value": _token(address), "url": address}])
    page = context.new_page()
    context.add_init_script(_WATCH % {"rows": ROWS * 9 // 10})
    loads = []
    for _ in range(LOADS + 1):
        page.goto(f"{address}/plugin/owl/flow")
        page.wait_for_function("window.owlBench?.firstRow > 0", timeout=60_000)
        loads.append(page.evaluate("window.owlBench.firstRow"))
    say(f"first row: {[round(each) for each in loads]} ms")
    page.goto(f"{address}/plugin/owl/flow?limit={ROWS}")
    # Not all of them are drawn; the table says how many it has, and its head is one more.
    page.wait_for_function(
        f"document.querySelector('table.owl-rows')?.ariaRowCount > {ROWS}", timeout=60_000
    )
    times = _refreshes(page, url)
    say(f"refreshes of {ROWS} rows: {[round(each) for each in times]} ms")
    return {
        "first_row_s": round(median(loads[1:]) / 1000, 3),
        "refresh_500_ms": round(median(times), 1) if times else None,
        "detail": {
            "first_load_s": round(loads[0] / 1000, 3),
            "loads_ms": [round(each) for each in loads[1:]],
            "refreshes_ms": [round(each, 1) for each in times],
            "rows_in_view": page.evaluate("window.owlBench.inView"),
            "rows_drawn": page.evaluate("window.owlBench.drawn"),
            "version": browser.version,
        },
    }


def _token(address: str) -> str:
    """Log in, and return what Airflow's UI keeps as a cookie."""
    body = json.dumps({"username": "admin", "password": _PASSWORD}).encode()
    request = urllib.request.Request(  # noqa: S310 - http, ours
        f"{address}/auth/token", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return str(json.load(answer)["access_token"])


def _refreshes(page: Any, url: str) -> list[float]:
    """Change every listed row between two looks of the page; return milliseconds to paint."""
    with closing(connect_url(url, application="bench")) as connection:
        end = time.monotonic() + 15 * REFRESHES
        seen: list[float] = []
        while len(seen) < REFRESHES and time.monotonic() < end:
            with connection, connection.cursor() as cur:
                cur.execute(
                    """
                    UPDATE owl_flow SET nodes_done = 1 + nodes_done %% 8, priority = priority + 1,
                           host = 'exec' || nodes_done, updated_at = now(), lag_s = random()
                     WHERE run_key IN (SELECT run_key FROM owl_flow WHERE latest
                                        ORDER BY created_at DESC, run_key DESC LIMIT %(rows)s)
                    """,
                    {"rows": ROWS},
                )
            page.wait_for_timeout(1_000)
            seen = page.evaluate("window.owlBench.refreshes")
    return seen


@contextmanager
def _server(url: str, say: Say) -> Iterator[str]:
    """Run Airflow's web server on a free port, with one user."""
    port = any_free()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="owl-bench-") as folder:
        passwords = Path(folder) / "passwords.json"
        passwords.write_text(json.dumps({"admin": _PASSWORD}))
        environment = {
            **airflow_environment(url, folder),
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API__SECRET_KEY": "bench",
            "AIRFLOW__API_AUTH__JWT_SECRET": "bench" * 16,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }
        say(f"Airflow's web server on {address}")
        log = Path(folder) / "api-server.log"
        command = [sys.executable, "-m", "airflow", "api-server", "--port", str(port)]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [*command, "--apps", "core", "--workers", "1"],
                env=environment,
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _await(f"{address}/owl/static/main.js", lambda: server.poll() is None, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await(address: str, lives: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while lives() and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - http, ours
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.5)
    raise OwlError(ErrorKind.INTERNAL, f"airflow api-server: {log.read_text()[-800:]}")
