"""Figures for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print the figures beside what is expected of them, then one line per half."""
    values = {
        **figures,
        "mirror_lag_p99_s": (figures["mirror_lag_s"] or {}).get("p99"),
        "task_instance_lag_p99_s": (figures["task_instance_lag_s"] or {}).get("p99"),
    }
    table = Table("figure", "measured", "at most", title="campaign")
    for name, most in figures["expected"].items():
        style = "red" if name in figures["missed"] else "green"
        table.add_row(name, f"[{style}]{values[name]}[/]", f"{most:g}")
    console.print(table)
    parts = Table("component", "CPU ms per node")
    for name, value in figures["cpu_ms_per_node"].items():
        parts.add_row(name, f"{value:.1f}")
    console.print(parts)
    halves = Table("pair", "side", "wall s", "launches s", "CPU ms/node", "load", "other cores")
    for number, pair in enumerate(figures["per_pair"], 1):
        for side in pair["order"]:
            half = pair[side]
            halves.add_row(
                f"{number} ({pair['wall_ratio']})",
                side,
                f"{half['wall_s']:.1f}",
                f"{half['launches_s']:.1f}",
                f"{half['airflow_cpu_ms_per_node']:.1f}",
                "/".join(f"{x:.1f}" for x in half["load_average"]),
                f"{half['other_busy_cores']:.1f}",
            )
    console.print(halves)
    machine = figures["machine"]
    console.print(f"{machine['usable_cores']} cores, {machine['memory_gb']} GB")


def show_queue(figures: Mapping[str, Any], console: Console) -> None:
    """Print the queue's figures beside what is expected of them."""
    title = f"{figures['queue']:,} in the queue, {figures['history']:,} in the history"
    show_expected(figures, title, console)


def show_expected(figures: Mapping[str, Any], title: str, console: Console) -> None:
    """Print every figure of which something is expected."""
    table = Table("figure", "measured", "expected", title=title)
    for name, expected in figures["expected"].items():
        style = "red" if name in figures["missed"] else "green"
        table.add_row(name, f"[{style}]{figures[name]}[/]", expected)
    console.print(table)


def show_memory(figures: Mapping[str, Any], console: Console) -> None:
    """Print the nodes' peaks and what jobs ask for."""
    peaks = figures["peak_mb"]
    nodes = list(dict.fromkeys(node for found in peaks.values() for node in found))
    title = f"peak memory in MB, associations of {figures['members']}"
    table = Table("node", *peaks, title=title)
    for node in nodes:
        table.add_row(node, *(str(found.get(node, "")) for found in peaks.values()))
    console.print(table)
