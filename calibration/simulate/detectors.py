"""The simulated detectors: geometry, amplifiers and noise."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AmpModel:
    """An amplifier's truth: e-/DN, e-, DN, DN per row."""

    gain: float
    read_noise: float
    level: float
    slope: float = 0.0


@dataclass(frozen=True)
class ChipModel:
    """A chip: CCDCHIP, its amplifiers from left to right, and which overscan rows are cut."""

    chip: int
    amps: str
    trim_y: tuple[int, int]


@dataclass(frozen=True)
class Model:
    """A detector as the simulator knows it; sizes are those of the science area of one chip."""

    instrument: str
    detector: str
    dataset: str
    width: int
    height: int
    trim_x: int
    gap: int
    chips: tuple[ChipModel, ...]
    amps: dict[str, AmpModel]
    read_out: str
    gain: int
    scale: float
    filters: dict[str, str] = field(default_factory=dict)
    saturation: float = 80000.0
    photometry: dict[str, tuple[str, float, float, float]] = field(default_factory=dict)
    #: PHTFLAM1 / PHTFLAM2: how much less chip 2 sees.
    efficiency: float = 1.0
    #: True step / digital step above the knee, which ATODTAB corrects.
    step: float = 1.0
    #: Post-flash (e-/s) and its duration.
    flash: float = 0.0
    flash_time: float = 0.0

    @property
    def raw_width(self) -> int:
        """Columns of the raw frame."""
        return self.width + 2 * self.trim_x + self.gap

    @property
    def knee(self) -> float:
        """DN from which on the converter's steps are `step` wide: above all bias levels."""
        return max(amp.level for amp in self.amps.values()) + 100.0

    def raw_height(self, chip: ChipModel) -> int:
        """Rows of a chip's raw frame."""
        return self.height + sum(chip.trim_y)

    def columns(self, chip: ChipModel, amp: str) -> tuple[slice, slice]:
        """Return an amplifier's columns in the raw frame, overscan included, and in the product."""
        if len(chip.amps) == 1:
            return slice(0, self.raw_width), slice(0, self.width)
        half, middle = self.width // 2, self.raw_width // 2
        if chip.amps.index(amp) == 0:
            return slice(0, middle), slice(0, half)
        return slice(middle, self.raw_width), slice(half, self.width)

    def science(self, chip: ChipModel, amp: str) -> slice:
        """Return an amplifier's science columns in the raw frame."""
        _, out = self.columns(chip, amp)
        shift = self.trim_x + (self.gap if out.start else 0)
        return slice(out.start + shift, out.stop + shift)


_F606W = (7.8e-20, 5920.0, 672.0)
_WFC_AMPS = {
    "A": AmpModel(2.00, 3.9, 2301.4, 1.1e-3), "B": AmpModel(1.90, 4.3, 2457.8, -8e-4),
    "C": AmpModel(2.05, 4.7, 2188.3, 2.0e-3), "D": AmpModel(1.95, 4.1, 2566.1, 4e-4),
}  # fmt: skip
_UVIS_AMPS = {
    "A": AmpModel(1.56, 3.0, 2560.2, 6e-4), "B": AmpModel(1.55, 3.1, 2571.7, -5e-4),
    "C": AmpModel(1.57, 2.9, 2492.9, 9e-4), "D": AmpModel(1.54, 3.2, 2610.3, 3e-4),
}  # fmt: skip


def _two_chips(overscan: int) -> tuple[ChipModel, ...]:
    return ChipModel(2, "CD", (0, overscan)), ChipModel(1, "AB", (overscan, 0))


def model(name: str, small: bool = False) -> Model:
    """Return a detector by ``INSTRUMENT/DETECTOR``; KeyError when it is not simulated."""
    wide, high = (256, 128) if small else (4096, 2048)
    side = 128 if small else 1024
    acs_filters = {"FILTER1": "F606W", "FILTER2": "CLEAR2S"}
    models = (
        Model(
            "ACS", "HRC", "jsimh1a1q", side, side, 19, 0, (ChipModel(1, "C", (0, 20)),),
            {"C": AmpModel(2.216, 4.74, 2500.0, 2e-4)}, "C", 2, 7.5e-6, acs_filters, 155000.0,
            {"acs,hrc,f606w": ("PHOTFLAM", *_F606W)},
        ),
        Model(
            "ACS", "WFC", "jsimw1a1q", wide, high, 24, 0, _two_chips(20), _WFC_AMPS, "ABCD", 2,
            1.4e-5, acs_filters, 80000.0, {"acs,wfc1,f606w": ("PHOTFLAM", *_F606W)},
        ),
        Model(
            "WFC3", "UVIS", "isimu1a1q", wide, high + (0 if small else 3), 25, 60, _two_chips(19),
            _UVIS_AMPS, "ABCD", 1, 1.1e-5, {"FILTER": "F606W"}, 72000.0,
            {f"wfc3,uvis{n},f606w": ("PHOTFLAM", 1.16e-19, 5889.0, 657.0) for n in (1, 2)},
            efficiency=0.98, step=1.02, flash=3.0, flash_time=2.0,
        ),
        Model(
            "STIS", "CCD", "osims1a1q", 1024, 1024, 19, 0, (ChipModel(1, "D", (20, 0)),),
            {"D": AmpModel(1.0, 5.4, 1510.0, 1e-4)}, "D", 1, 1.41e-5, {"FILTER": "Clear"}, 33000.0,
            {"stis,50ccd,mirror,ccd": ("PHOTFLAM", 9.9e-20, 5733.0, 1830.0)}, step=1.02,
        ),
    )  # fmt: skip
    return {f"{m.instrument}/{m.detector}": m for m in models}[name]


NAMES = ("ACS/HRC", "ACS/WFC", "WFC3/UVIS", "STIS/CCD", "COS/FUV")
