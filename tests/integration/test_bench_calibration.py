"""The payload's bench at a small size, as ``./owl bench calibration`` calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from calibration.bench.figures import AT_LEAST, AT_MOST, OF_PEERS, TOLD, missed

ROOT = Path(__file__).parents[2]
PEERS = find_spec("ccdproc") is not None
OWL = "from htcondor_operator.cli import main; main()"


def bench(*words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OWL, "bench", "calibration", *words],
        env={**os.environ, "PYTHONPATH": f"{path}{ROOT / 'plugins'}:{ROOT}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_every_figure_is_measured(tmp_path: Path) -> None:
    """Without ccdproc, which only the extra `bench` has, its two figures are null and missed."""
    words = ["--small", "--pairs", "1", "--json", "--scratch", str(tmp_path)]
    done = bench(*words, *([] if PEERS else ["--no-peers"]))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for name in (*AT_LEAST, *AT_MOST, *TOLD):
        if name not in told["not_measured"]:
            assert told[name] > 0, name
    absent = set() if PEERS else set(OF_PEERS)
    assert set(told["not_measured"]) == absent
    assert absent <= set(told["missed"]) <= set(told["expected"])
    assert told["pixmap_max_error_px"] <= 1e-4
    if PEERS:
        # The same job: what is left is the bias level, which calacs rounds in its own way.
        assert told["detail"]["agreement"]["sci_median_e"] < 1.5
        assert told["detail"]["agreement"]["err_p99_relative"] < 0.05
    assert told["machine"]["usable_cores"] >= 1
    assert "md_2x2chip_s" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_absent_peers_are_named(tmp_path: Path) -> None:
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'ccdproc' else find(n, *a)\n"
    )
    done = bench("--json", path=f"{tmp_path}:")
    assert done.returncode == 2
    assert "ccdproc not installed" in done.stderr
    assert "./owl bench calibration" in done.stderr


def test_the_limits() -> None:
    good: dict[str, float | None] = {**AT_LEAST, **AT_MOST}
    assert missed(good) == []
    assert missed({**good, "ca_kernel_vs_ccdproc": 19.9, "peak_rss_mb": 451.0}) == [
        "ca_kernel_vs_ccdproc", "peak_rss_mb",
    ]  # fmt: skip
    assert missed({**good, "median4_vs_numpy": None}) == ["median4_vs_numpy"]
