from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.queue.campaigns.mapping_files import (
    current_context,
    mapping_folder,
    missing_mappings,
    read_mapping,
    read_names,
)
from htcondor_operator.queue.pollers.fits_header import Unreadable

BROKEN = {
    "hst-bad-xsum.rmap": "its checksum is",
    "hst_acs_0491.imap": "its checksum is",
    "hst_acs_atodtab_0251.rmap": "its checksum is",
    "hst_acs_darkfile_missing_key.rmap": "its header has no",
    "hst_cos_dup.rmap": "its checksum is",
    "hst_cos_tdstab_duplicate.rmap": "its checksum is",
    "hst_missing_parkey.rmap": "its header has no parkey",
}


def test_real_mappings_are_good_or_say_why(shared_data: Path) -> None:
    faults = {}
    for path in sorted((shared_data / "hst" / "crds_mappings").iterdir()):
        try:
            read_mapping(path.name, path.read_bytes())
        except Unreadable as fault:
            faults[path.name] = str(fault)
    assert {name: faults.pop(name)[: len(words)] for name, words in BROKEN.items()} == BROKEN
    assert not faults


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("hst.txt", b"", "its name is not that of a mapping"),
        ("../hst.pmap", b"", "its name is not that of a mapping"),
        ("hst.pmap", b"\xff\xfe", "no text"),
        ("hst.pmap", b"header = {", "it is no mapping"),
        ("hst.pmap", b"x = 1", "it has no header"),
        ("hst.pmap", b"header = __import__('os')", "not a literal"),
    ],
)
def test_what_is_no_mapping(name: str, content: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read_mapping(name, content)


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read_mapping("hst_0001.pmap", content)


def test_a_context_names_what_it_needs(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "hst" / "crds_mappings"
    context = read_names(source / "hst_0002.pmap")
    assert "hst_acs_0002.imap" in context.names
    (tmp_path / "hst_acs_0002.imap").write_bytes((source / "hst_acs_0002.imap").read_bytes())
    missing = missing_mappings(tmp_path, context)
    assert "hst_acs_biasfile_0002.rmap" in missing
    assert "hst_cos.imap" in missing
    assert "hst_acs_0002.imap" not in missing


def test_the_context_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    assert mapping_folder(tmp_path) == tmp_path / "mappings" / "hst"
    for name in ("hst_0001.pmap", "hst_0010.pmap"):
        (folder / name).touch()
    assert mapping_folder(tmp_path) == folder
    assert current_context(folder) == "hst_0010.pmap"
    (folder / "hst.pmap").touch()
    assert current_context(folder) == "hst.pmap"
