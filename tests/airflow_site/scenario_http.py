"""What the console's answers tell browsers and proxies, and whose writes it takes.

Run by tests/integration/test_console_api.py with scenario_console.py, in one process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_site.scenario_console import bearer, cookie, get, shelf, sql

__all__ = ["shelf"]

STATIC = Path(__file__).resolve().parents[2] / "plugins/htcondor_operator/console/static"
WRITE = "/owl/api/runs/actions"


def bundle_address(web: Any) -> str:
    plugins = web.get("/api/v2/plugins", headers=bearer("admin")).json()["plugins"]
    (owl,) = (one for one in plugins if one["name"] == "owl")
    (address,) = {app["bundle_url"] for app in owl["react_apps"]}
    return str(address)


def test_the_bundle_is_found_from_any_host_and_kept_for_ever(web: Any) -> None:
    address = bundle_address(web)
    # Without a host and without a path: it comes from where the page came from.
    assert address.startswith("owl/static/main.js?v=")
    answer = web.get(f"/{address}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["content-encoding"] == "gzip"
    again = web.get(f"/{address}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_bundle_of_another_version_is_not_kept(web: Any) -> None:
    for query in ("", "?v=", "?v=0123456789ab"):
        answer = web.get(f"/owl/static/main.js{query}")
        assert answer.headers["cache-control"] == "no-cache", query


@pytest.mark.parametrize(
    "path",
    ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "%2fetc%2fpasswd", "....//app.py", "..%5capp.py"],
)
def test_only_the_bundle_is_served_as_a_file(web: Any, path: str) -> None:
    assert (STATIC / "../app.py").is_file()
    answer = web.get(f"/owl/static/{path}")
    # The first one is no path of the console's any more when it arrives.
    assert answer.status_code == 404 or "<base href" in answer.text
    assert "def make_app" not in answer.text


def test_every_answer_is_for_its_asker_only(web: Any) -> None:
    for path, headers, status in (
        ("/owl/api/me", bearer("viewer"), 200),
        ("/owl/api/me", {}, 401),
        ("/owl/api/nothing", bearer("viewer"), 404),
        ("/owl/api/runs/find", bearer("viewer"), 422),
        ("/owl/static/nothing.js", {}, 404),
    ):
        web.cookies.clear()
        answer = web.get(path, headers=headers)
        assert answer.status_code == status, path
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "sandbox" in answer.headers["content-security-policy"]


def test_products_are_downloads_and_nothing_else(web: Any, shelf: Path) -> None:
    rows = {r["dataset"]: r for r in get(web, "/products")["rows"]}
    size = 3_000_000
    (shelf / "d0" / "d0_flt.fits").write_bytes(b"\0" * size)
    number = rows["d0"]["id"]
    # What a manifest says of the type is somebody else's word.
    sql("UPDATE owl_product SET access_format = 'text/html' WHERE id = %s", number)
    address = f"/owl/api/products/{number}/file"
    taken = web.get(address, headers={**bearer("viewer"), "Accept-Encoding": "gzip"})
    assert taken.headers["content-disposition"] == 'attachment; filename="d0_flt.fits"'
    assert taken.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in taken.headers["content-security-policy"]
    assert taken.headers["cache-control"] == "private, no-cache"
    # Not compressed: its size is known, and the server has other things to do.
    assert taken.headers["content-length"] == str(size)
    part = web.get(address, headers={**bearer("viewer"), "Range": "bytes=10-19"})
    assert (part.status_code, len(part.content)) == (206, 10)


def test_a_picture_is_sent_again_only_when_it_has_changed(web: Any, shelf: Path) -> None:
    rows = {r["dataset"]: r for r in get(web, "/products")["rows"]}
    address = f"/owl/api/products/{rows['d0']['preview']}/file"
    first = web.get(address, headers=bearer("viewer"))
    assert first.headers["content-type"] == "image/png"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "private, max-age=60"
    assert "content-disposition" not in first.headers
    known = {**bearer("viewer"), "If-None-Match": first.headers["etag"]}
    same = web.get(address, headers=known)
    assert (same.status_code, same.content) == (304, b"")
    picture = shelf / "d0" / "d0_preview.png"
    picture.write_bytes(b"ANOTHER")
    os.utime(picture, (1, 1))
    changed = web.get(address, headers=known)
    assert (changed.status_code, changed.content) == (200, b"ANOTHER")


def test_a_link_out_of_the_shelf_leads_nowhere(web: Any, shelf: Path) -> None:
    rows = {r["dataset"]: r for r in get(web, "/products")["rows"]}
    (shelf / "secret").write_text("s")
    inside = shelf / "d0" / "d0_flt.fits"
    inside.unlink()
    inside.symlink_to(shelf / "secret")
    answer = web.get(f"/owl/api/products/{rows['d0']['id']}/file", headers=bearer("viewer"))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("page", "ours", "same"),
    [
        ("https://owl.example", "https://owl.example/some/prefix", True),
        ("https://owl.example", "https://OWL.example:443/some/prefix", True),
        ("https://owl.example:443", "https://owl.example", True),
        ("http://owl.example:8080", "http://owl.example:8080/", True),
        ("http://[::1]:8080", "http://[::1]:8080/", True),
        # Behind a proxy that ends TLS, the server may know itself as http.
        ("https://owl.example", "http://owl.example", True),
        ("https://owl.example", "http://owl.example:443", True),
        ("https://owl.example:8443", "http://owl.example:8443", True),
        ("https://owl.example:8443", "http://owl.example", False),
        # The other way round somebody on the way may be the author of the page.
        ("http://owl.example", "https://owl.example", False),
        ("http://owl.example:443", "https://owl.example", False),
        ("https://owl.example.evil.example", "https://owl.example", False),
        ("https://evil.example/owl.example", "https://owl.example", False),
        ("https://owl.example@evil.example", "https://owl.example", False),
        ("https://owl.example:8443", "https://owl.example", False),
        ("null", "https://owl.example", False),
        ("", "", False),
        ("file://", "", False),
        ("http://owl.example:port", "http://owl.example", False),
        ("http://[owl.example", "http://owl.example", False),
    ],
)
def test_origins(page: str, ours: str, same: bool) -> None:
    from htcondor_operator.console.access import same_origin

    assert same_origin(page, ours) is same


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        # By another name than base_url's, straight to the server or through a proxy with TLS.
        ({"Host": "owl.example", "Origin": "http://owl.example"}, True),
        ({"Host": "owl.example", "Origin": "https://owl.example"}, True),
        ({"Host": "owl.example", "Origin": "https://evil.example"}, False),
        # A proxy that does not hand the name on: base_url says who the server is.
        ({"Host": "127.0.0.1:8080", "Origin": "http://testserver"}, True),
        # Anybody can say that.
        ({"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}, False),
        ({"Origin": "http://[bad"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "", "Referer": "http://testserver/plugin/owl/flow"}, True),
    ],
)  # fmt: skip
def test_writes_are_taken_from_our_own_pages(web: Any, sent: dict[str, str], taken: bool) -> None:
    headers = {**cookie("admin"), **sent}
    answer = web.post(WRITE, json={}, headers={k: v for k, v in headers.items() if v})
    assert answer.status_code == (422 if taken else 403), answer.text
