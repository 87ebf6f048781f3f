"""All figures of ``python -m calibration bench``, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from calibration.bench.figures import digits
from calibration.bench.process import work
from calibration.bench.site import Site

Say = Callable[[str], None]
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Plan:
    """How often everything is measured, and whether at a small size (whose figures say little)."""

    pairs: int = 3
    small: bool = False
    peers: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of a chip."""
        return (256, 128) if self.small else (4096, 2048)


@dataclass
class Bench:
    """The figures so far, and what they come from."""

    root: Path
    plan: Plan
    say: Say
    figures: Figures = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    def tell(self, **figures: float | None) -> None:
        """Note figures and say them."""
        rounded = {k: None if v is None else digits(v) for k, v in figures.items()}
        self.figures.update(rounded)
        self.say("  ".join(f"{name} {value}" for name, value in rounded.items()))

    def run(self) -> None:
        """Measure everything."""
        self.arrays()
        self.exposure()
        self.dithered()

    def arrays(self) -> None:
        """Measure the pixel map and the median."""
        words = [*map(str, self.plan.shape), str(self.plan.pairs)]
        found = work("pixmap", self.root, *words)
        self.tell(
            pixmap_vs_drizzle_utils=min(found["drizzle"]) / min(found["ours"]),
            pixmap_max_error_px=found["max_error_px"],
        )
        self.detail["pixmap_s"] = found
        found = work("median", self.root, *words)
        self.detail["median4_s"] = found
        self.tell(median4_vs_numpy=min(found["numpy"]) / min(found["ours"]))

    def exposure(self) -> None:
        """Measure CA: from file to file, and its kernel against ccdproc and the memory."""
        site = Site.make(self.root / "single", "ACS/WFC", small=self.plan.small)
        (dataset,) = site.simulate("--dataset", "jsimw1a1q")
        for name in ("2FITS", "RF", "BC"):
            site.node(name, dataset)
        turns = [site.node("CA", dataset) for _ in range(self.plan.pairs)]
        self.detail["file_to_file"] = [
            {"s": digits(t.seconds), "cpu_s": digits(t.cpu), "peak_mb": digits(t.peak_mb)}
            for t in turns
        ]
        self.tell(
            file_to_file_ca_s=min(t.seconds for t in turns),
            peak_rss_mb=max(t.peak_mb for t in turns),
        )
        self._kernel(site, dataset)

    def _kernel(self, site: Site, dataset: str) -> None:
        sides = ("ours", "ccdproc") if self.plan.peers else ("ours",)
        repeats = {"ours": 5, "ccdproc": 2}
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        outs = {side: self.root / f"{side}.npy" for side in sides}
        for turn in range(self.plan.pairs):
            for side in sides if turn % 2 == 0 else sides[::-1]:
                words = (side, str(site.root), dataset, str(repeats[side]), str(outs[side]))
                found[side].append(work("kernel", self.root, *words))
        best = {side: min(s for turn in found[side] for s in turn["seconds"]) for side in sides}
        growth = {side: min(turn["growth_mb"] for turn in found[side]) for side in sides}
        self.detail["kernel"] = found
        self._roofline(best["ours"], found["ours"][0]["bytes_moved"])
        if not self.plan.peers:
            self.tell(ca_kernel_vs_ccdproc=None, ca_kernel_memory_vs_ccdproc=None)
            return
        self.detail["agreement"] = agreement(*(np.load(outs[side]) for side in sides))
        self.tell(
            ca_kernel_vs_ccdproc=best["ccdproc"] / best["ours"],
            ca_kernel_memory_vs_ccdproc=growth["ours"] / growth["ccdproc"],
        )

    def _roofline(self, seconds: float, moved: int) -> None:
        megabytes = "16" if self.plan.small else "400"
        found = work("roofline", self.root, megabytes, str(max(3, self.plan.pairs)))
        # Two arrays read for one written: the mix that is nearest to the kernel's.
        bandwidth = max(found["add"])
        self.detail["bandwidth_gb_s"] = {
            name: [digits(rate / 1e9) for rate in rates] for name, rates in found.items()
        }
        self.detail["kernel_bytes"] = moved
        self.tell(
            ca_kernel_s=seconds,
            memory_gb_s=bandwidth / 1e9,
            roofline_s=moved / bandwidth,
            kernel_vs_roofline=seconds * bandwidth / moved,
        )

    def dithered(self) -> None:
        """Measure MD: two dithered exposures, each of two chips, in one process."""
        site = Site.make(self.root / "dithered", "ACS/WFC", small=self.plan.small)
        name, *members = site.simulate("--dataset", "jsimw2010", "--members", "2")
        peaks = []
        for number, member in enumerate(members):
            for node in ("2FITS", "RF", "BC"):
                site.node(node, member)
            peaks.append(site.node("CA", member).peak_mb)
            if number:
                site.shift(member, (5.3, 3.7))
        done = site.node("MD", name, "--members", *members)
        self.detail["md_2x2chip"] = {"cpu_s": digits(done.cpu)}
        self.tell(md_2x2chip_s=done.seconds, md_2x2chip_peak_mb=done.peak_mb)
        # kept for CRCOMB: SCI, ERR and DQ of both chips before dark and flat
        self.detail["peak_rss_of_a_cr_split_exposure_mb"] = digits(max(peaks))


def agreement(ours: Any, theirs: Any) -> dict[str, float]:
    """Return how far two results (SCI, ERR) are apart: the job was the same."""
    finite = np.isfinite(theirs).all(axis=0)
    distance = np.abs(ours - theirs)[:, finite]
    return {
        "sci_median_e": digits(float(np.median(distance[0]))),
        "sci_p99_e": digits(float(np.percentile(distance[0], 99))),
        "err_p99_relative": digits(float(np.percentile(distance[1] / ours[1][finite], 99))),
        "pixels": int(finite.sum()),
    }


def versions() -> dict[str, str]:
    """Return the versions of everything that was compared."""
    names = ("numpy", "astropy", "drizzle", "ccdproc")
    out = {}
    for name in names:
        with suppress(PackageNotFoundError):
            out[name] = version(name)
    return out
