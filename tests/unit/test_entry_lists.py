from __future__ import annotations

from pathlib import Path

import pytest

from htcondor_operator.blackboard.new_entries import NewEntry
from htcondor_operator.queue.entry_lists import Defaults, EntryReader
from htcondor_operator.vocabulary import OwlError

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"


def read(text: str, **defaults: object) -> list[NewEntry]:
    reader = EntryReader(TEMPLATES, Defaults(**defaults))  # type: ignore[arg-type]
    return reader.entries(text.splitlines(keepends=True), "night.csv")


def refusal(text: str, **defaults: object) -> str:
    with pytest.raises(OwlError) as caught:
        read(text, **defaults)
    return caught.value.message


def test_columns_in_any_order() -> None:
    (entry,) = read(
        "\ufeffPriority,dataset,type,payload,reason\n"
        '7,d1,drill,"{""sleep_s"": 2}","bad flats, again"\n',
        requested_by="ann",
    )
    assert entry == NewEntry(
        "d1", "drill", 7, {"sleep_s": 2}, reason="bad flats, again", requested_by="ann"
    )


def test_a_list_of_names_and_defaults() -> None:
    entries = read(
        "# tonight\nib1f23qeq\n\nib1f23qfq,,12\n",
        type="sdp_prearch_wf3",
        priority=3,
        reason="night 7",
    )
    assert [(e.fileset, e.priority, e.reason, e.instrument) for e in entries] == [
        ("ib1f23qeq", 3, "night 7", "WF3"),
        ("ib1f23qfq", 12, "night 7", "WF3"),
    ]


def test_the_workflows_own_priority_is_the_default() -> None:
    (entry,) = read("ib1f23qeq", type="sdp_prearch_wf3")
    assert isinstance(entry.priority, int)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("../x,drill", "fileset '../x' is not valid"),
        ("d1,unknown", "type 'unknown' is not a workflow. Take one of: "),
        ("d1", "type '' is not valid"),
        ("d1,collecting_eng", "type 'collecting_eng' is not a workflow"),
        ("d1,drill,high", "priority 'high' is not valid: a whole number"),
        ("d1,drill,10001", "priority 10001 is not valid"),
        ('d1,drill,1,,"{""sleep_s"": -1}"', "payload.sleep_s does not fit workflow drill"),
        ('d1,drill,1,,"{""no"": -1}"', "payload.no is not a parameter of workflow drill"),
        ("d1,drill,1,,{sleep", "payload '{sleep' is not JSON"),
        ("d1,drill,1,,[1]", "payload '[1]' must be a JSON object"),
        ("d1,sdp_prearch_acs_asn", "payload.members is missing"),
        ("d1,drill,1,,{},more", "has 6 fields, the columns are fileset, type"),
        ('d1,"drill', "is not CSV in UTF-8"),
    ],
)
def test_a_bad_line_is_named(line: str, words: str) -> None:
    message = refusal(f"d0,drill\n\n{line}\n")
    assert message.startswith("night.csv, line 3: ")
    assert words in message


def test_all_bad_lines_are_told_at_once() -> None:
    message = refusal("a b,drill\nd1,drill\nc d,drill\n" + "e f,drill\n" * 30)
    lines = message.splitlines()
    assert lines[0].startswith("night.csv, line 1: fileset 'a b'")
    assert lines[1].startswith("night.csv, line 3: fileset 'c d'")
    assert lines[-2:] == ["... and 12 more lines.", "Nothing was added."]


def test_a_column_that_there_is_not() -> None:
    assert "night.csv, line 1: the columns fileset, prio must be" in refusal("fileset,prio\nd1,2\n")
