"""The console of an Airflow behind a reverse proxy that ends TLS and has it below a path."""

from __future__ import annotations

import re
import subprocess
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

from htcondor_operator.launcher.ports import any_free
from tests.e2e.browser import Console, console, log_in
from tests.e2e.conftest import beside
from tests.e2e.drills import Drill
from tests.e2e.live_stack import Stack, until
from tests.e2e.prefix_proxy import proxy

PREFIX = "/some/prefix"
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63f8cf"
    "c0f01f0005000201ff0a7e3d0000000049454e44ae426082"
)


@beside
def test_console_works_below_a_path(stack: Stack) -> None:
    drill = Drill(stack, "prefix")
    drill.will_fail("C", code=28)
    drill.start()
    dataset = product(stack)
    with behind_a_proxy(stack) as address:
        drill.until_ended("failed", 1)
        with console(stack, address=address) as seen:
            page = seen.page
            cookie = next(c for c in page.context.cookies() if c["name"] == "_token")
            assert (cookie["path"], cookie["secure"]) == (f"{PREFIX}/", True)

            # From Airflow's start page by its menu, with the icon and the bundle.
            icon = page.get_by_role("link", name="OWL", exact=True).locator("img").first
            until("the icon is there", lambda: icon.evaluate("one => one.naturalWidth"))
            page.get_by_role("link", name="OWL", exact=True).click()
            expect(page).to_have_url(re.compile(rf"{address}/plugin/owl/flow"))
            page.get_by_label("Dataset begins with").fill(drill.dataset)
            expect(page).to_have_url(re.compile(rf"search={drill.dataset}"))
            expect(seen.row(drill.dataset)).to_contain_text("failed")
            seen.row(drill.dataset).get_by_role("link", name=drill.dataset, exact=True).click()
            expect(page).to_have_url(re.compile(rf"{address}/plugin/owl/run/\d+"))

            takes_writes_of_its_own_page_only(seen)
            goes_from_airflows_page_to_the_log(seen, drill)
            shows_and_downloads_products(seen, dataset)
            comes_back_after_a_login(seen, stack)


def takes_writes_of_its_own_page_only(seen: Console) -> None:
    page = seen.page
    page.get_by_role("button", name="Rescue", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("runs again C, D, E; kept as done: A, B")
    page.keyboard.press("Escape")
    site = urlsplit(seen.address)
    for origin, status in (
        (f"https://{site.netloc}", 422),
        (f"http://{site.netloc}", 403),
        ("https://127.0.0.1:1", 403),
    ):
        assert seen.ask("POST", "runs/actions", {}, origin=origin)[0] == status, origin


def goes_from_airflows_page_to_the_log(seen: Console, drill: Drill) -> None:
    page = seen.page
    page.goto(f"{seen.address}/dags/drill/runs/{drill.dataset}/tasks/C/details")
    link = page.get_by_role("link", name="OWL node log")
    assert str(link.get_attribute("href")).startswith(f"{PREFIX}/plugin/owl/")
    link.click()
    expect(page.get_by_role("log")).to_contain_text("C was told to fail")
    expect(page).to_have_url(re.compile(rf"{seen.address}/plugin/owl/run/\d+\?.*node=C"))
    page.reload()
    expect(page.get_by_role("log")).to_contain_text("C was told to fail")
    page.get_by_role("link", name=drill.dataset, exact=True).first.click()
    expect(page).to_have_url(re.compile(rf"{seen.address}/plugin/owl/dataset/{drill.dataset}"))


def shows_and_downloads_products(seen: Console, dataset: str) -> None:
    page = seen.page
    page.get_by_role("link", name="Archive", exact=True).click()
    page.get_by_label("Dataset begins with").fill(dataset)
    card = page.get_by_role("listitem").filter(has_text=f"{dataset}_flt.fits")
    picture = card.locator("img")
    until("the picture is there", lambda: picture.evaluate("one => one.naturalWidth"))
    with page.expect_download() as taken:
        card.locator("a[download]").click()
    assert taken.value.suggested_filename == f"{dataset}_flt.fits"
    assert Path(taken.value.path()).read_bytes() == b"SIMPLE"


def comes_back_after_a_login(seen: Console, stack: Stack) -> None:
    page = seen.page
    page.get_by_role("link", name="Queue", exact=True).click()
    expect(page.get_by_text(re.compile("^as of"))).to_be_visible()
    assert not seen.complaints
    page.context.clear_cookies()
    log_in(page, stack, "operator")
    expect(page).to_have_url(f"{seen.address}/plugin/owl/queue")
    expect(page.get_by_role("navigation", name="OWL")).to_be_visible()
    # The 401 that sent it to the login, and nothing else.
    seen.complaints[:] = [one for one in seen.complaints if "401" not in one]


def product(stack: Stack) -> str:
    """Put a product with a preview into the archive; return its dataset."""
    dataset = f"jp{uuid.uuid4().hex[:6]}q"
    shelf = Path(stack.environment["OWL_ARCHIVE"]) / dataset
    shelf.mkdir(parents=True)
    for name, subtype, content in (
        ("flt.fits", "flt", b"SIMPLE"),
        ("flt_preview.png", "preview", PICTURE),
    ):
        (shelf / f"{dataset}_{name}").write_bytes(content)
        stack.sql(
            """
            INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
                dataproduct_type, dataproduct_subtype, calib_level, access_url, access_format,
                access_estsize, bytes, sha256, instrument_name, workflow)
            VALUES (%(d)s, %(d)s, %(n)s, 'HST', 'ivo://x', 'image', %(s)s, 2, 'file:x',
                'application/fits', 1, %(b)s, 'x', 'ACS', 'drill')
            RETURNING id
            """,
            d=dataset,
            n=f"{dataset}_{name}",
            s=subtype,
            b=len(content),
        )
    return dataset


@contextmanager
def behind_a_proxy(stack: Stack) -> Iterator[str]:
    """Run another API server on the stack's database, behind a proxy; give the proxy's address."""
    port = any_free()
    with (
        tempfile.TemporaryDirectory() as folder,
        proxy(Path(folder), PREFIX, port) as address,
        (Path(folder) / "log").open("w") as log,
    ):
        server = subprocess.Popen(
            ["airflow", "api-server", "--port", str(port), "--proxy-headers"],
            env={
                **stack.environment,
                "AIRFLOW__API__PORT": str(port),
                "AIRFLOW__API__BASE_URL": address,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            health = f"http://127.0.0.1:{port}{PREFIX}/api/v2/monitor/health"
            until("the API server answers", lambda: answers(health) or server.poll() is not None)
            assert server.poll() is None, (Path(folder) / "log").read_text()[-3000:]
            yield address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
