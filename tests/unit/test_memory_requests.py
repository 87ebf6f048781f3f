"""What jobs ask for follows from the peaks that were measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from htcondor_operator.bench import memory
from htcondor_operator.dagman.workflows import load_workflows

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"
PEAKS = json.loads((TEMPLATES / memory.TABLE).read_text())["peak_mb"]
MEASURED = [
    pytest.param(workflow, id=name)
    for name, workflow in load_workflows(TEMPLATES).items()
    if workflow.instrument and memory.requests_of(workflow.instrument, PEAKS)
]


def megabytes(size: str) -> int:
    number, unit = int(size.rstrip("GMB ")), size.lstrip("0123456789 ")[0]
    return number * {"M": 1, "G": 1024}[unit]


def test_the_table_has_all_detectors_and_the_large_nodes() -> None:
    assert set(PEAKS) == set(memory.DETECTORS)
    assert all({"2FITS", "CA", "AC", "PVW", "REUSE"} <= set(nodes) for nodes in PEAKS.values())
    assert all("CRCOMB" in PEAKS[d] and "MD" in PEAKS[d] for d in ("ACS/HRC", "ACS/WFC"))
    assert "MD" in PEAKS["WFC3/UVIS"]


@pytest.mark.parametrize("workflow", MEASURED)
def test_every_node_asks_for_its_peak_and_a_quarter_more(workflow) -> None:  # type: ignore[no-untyped-def]
    used = memory.nodes_of(workflow.template.read_text())
    peaks: dict[str, int] = {}
    for detector, nodes in PEAKS.items():
        if detector.startswith(f"{workflow.instrument}/"):
            for node, peak in nodes.items():
                peaks[node] = max(peaks.get(node, 0), peak)
    asked = 0
    for node, peak in peaks.items():
        if node in used:
            size = megabytes(workflow.resources_of(node).memory)
            need = max(peak, peaks["CA"]) if node == "REUSE" else peak
            assert 1.25 * need <= size <= max(256, 1.25 * need + 128), node
            asked += 1
    assert asked >= 8
    assert ("REUSE" in used) == workflow.name.endswith(("_asn", "_asn_repro"))


def test_requests_are_steps_of_slots() -> None:
    assert [memory.request_mb(mb) for mb in (10, 204, 205, 820)] == [256, 256, 384, 1152]


def test_a_declaration_is_changed_in_place() -> None:
    text = (
        "description: x  # memory: 1GB\ntype: SCI\nresources:\n"
        "  default: {cpus: 1, memory: 512MB, disk: 512MB}\n"
        "  # Why.\n  CA: {cpus: 1, memory: 1GB, disk: 2GB}\n"
        "sample:\n  dataset: a  # CA: {memory: 1GB}\n"
    )
    changed = memory.rewritten(text, {"CA": 640, "PVW": 768, "RF": 256})
    document = yaml.safe_load(changed)
    assert document["resources"] == {
        "default": {"cpus": 1, "memory": "256MB", "disk": "512MB"},
        "CA": {"cpus": 1, "memory": "640MB", "disk": "2GB"},
        "PVW": {"memory": "768MB"},
    }
    assert "# Why.\n  CA" in changed
    assert changed.count("memory: 1GB") == 2
    assert memory.rewritten(changed, {"CA": 640, "PVW": 768, "RF": 256}) == changed


def test_the_command_measures_every_node() -> None:
    plan = memory.Plan(("ACS/HRC",), members=2, small=True)
    said: list[str] = []
    peaks = memory.measure(plan, said.append)["peak_mb"]["ACS/HRC"]
    assert set(peaks) == set(PEAKS["ACS/HRC"])
    # numpy alone takes some 30 MB; a small frame next to nothing more.
    assert all(15 < mb < 200 for mb in peaks.values()), peaks
    assert len(said) == len(peaks)
