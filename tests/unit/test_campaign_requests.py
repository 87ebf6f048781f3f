from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.queue.campaigns.requests import Request, read_request
from htcondor_operator.vocabulary import OwlError


def test_yaml_and_csv() -> None:
    text = b"type: drill\ndatasets: [x1, x2]\npriority: -5\nreason: mail\nparams: {sleep_s: 2}\n"
    assert read_request("night7.yaml", text) == Request(
        "night7", "drill", ("x1", "x2"), None, -5, "mail", {"sleep_s": 2}
    )
    text = b"name: n8\ntype: drill\nwhere: instrument=ACS from=2026-01-01\n"
    assert read_request("any.yml", text).where == "instrument=ACS from=2026-01-01"
    text = b"\xef\xbb\xbfdataset,type,priority,reason\r\nx1,drill,7,why\r\nx2,drill,7,\r\n\r\n"
    assert read_request("n9.csv", text) == Request("n9", "drill", ("x1", "x2"), None, 7, "why")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "does not end in"),
        ("a.yaml", "name: [", "no YAML"),
        ("a.yaml", "- 1", "must be a mapping"),
        ("a.yaml", "type: drill\nfiles: []", "'files' is not known"),
        ("a.yaml", "type: drill", "one of datasets .* and where"),
        ("a.yaml", "type: drill\ndatasets: [x1]\nwhere: a=1", "one of datasets"),
        ("a.yaml", "type: drill\ndatasets: []", "not a list of names"),
        ("a.yaml", "type: drill\ndatasets: ['../x']", "datasets '../x' is not valid"),
        ("a.yaml", "type: drill\nwhere: colour=red", "no field 'colour'"),
        ("a.yaml", "datasets: [x1]", "type None is not valid"),
        ("a.yaml", "type: drill\ndatasets: [x1]\npriority: high", "priority 'high'"),
        ("a b.yaml", "type: drill\ndatasets: [x1]", "name 'a b' is not valid"),
        ("a.csv", "x1\nx2\n", "heading"),
        ("a.csv", "dataset,type\nx1\n", "more or fewer columns"),
        ("a.csv", "dataset,type\nx1,a\nx2,b\n", "several values: a, b"),
        ("a.csv", "dataset,type,priority\nx1,a,high\n", "not a whole number"),
        ("a.csv", "dataset,type\n", "not a list of names"),
        ("a.csv", "dataset,type," + "x" * 200_000, "first line is no CSV"),
        ("a.yaml", "type: drill\ndatasets: [x1]\nparams: {day: 2026-13-45}", "no YAML"),
        ("a.yaml", "[" * 5000, "no YAML"),
        ("a.yaml", "priority: " + "1" * 5000, "no YAML"),
        ("a.yaml", "type: &a [drill]\ndatasets: [*a, *a]", "aliases are not allowed"),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(OwlError, match=words):
        read_request(name, text.encode())


@given(st.sampled_from(["a.yaml", "a.csv", "a.json"]), st.binary(max_size=80))
def test_anything_is_read_or_refused(name: str, content: bytes) -> None:
    with contextlib.suppress(OwlError):
        assert read_request(name, content).type
