"""What is expected of the calibration's figures, and the arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

AT_LEAST: Mapping[str, float] = {
    "ca_kernel_vs_ccdproc": 20.0,
    "pixmap_vs_drizzle_utils": 15.0,
    "median4_vs_numpy": 5.0,
}
AT_MOST: Mapping[str, float] = {
    "ca_kernel_memory_vs_ccdproc": 0.34,
    "pixmap_max_error_px": 1e-4,
    "peak_rss_mb": 450.0,
    "md_2x2chip_s": 20.0,
    "md_2x2chip_peak_mb": 1000.0,
    "kernel_vs_roofline": 4.0,
}
TOLD: Sequence[str] = ("file_to_file_ca_s", "ca_kernel_s", "roofline_s", "memory_gb_s")
"""Figures without a limit of their own."""

OF_PEERS: Sequence[str] = ("ca_kernel_vs_ccdproc", "ca_kernel_memory_vs_ccdproc")
"""Figures that need the packages of the extra `bench`."""


def expected() -> dict[str, str]:
    """Return every limit in words."""
    return {
        **{name: f">= {value:g}" for name, value in AT_LEAST.items()},
        **{name: f"<= {value:g}" for name, value in AT_MOST.items()},
    }


def missed(figures: Mapping[str, float | None]) -> list[str]:
    """Return the names of the figures that are not as good as expected, or were not measured."""
    out = []
    for limits, sign in ((AT_LEAST, 1), (AT_MOST, -1)):
        for name, limit in limits.items():
            value = figures.get(name)
            if value is None or sign * value < sign * limit:
                out.append(name)
    return out


def digits(value: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{value:.4g}")
