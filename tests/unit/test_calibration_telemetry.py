"""Telemetry: there and back to the byte, and faults on exactly the pixels they hit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calibration.context import Context
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read, write
from calibration.nodes import to_fits
from calibration.simulate.detectors import model
from calibration.simulate.frames import Scene, raw_file
from calibration.telemetry import from_raw
from calibration.telemetry.from_raw import encode
from calibration.telemetry.packets import Encoder, Kind, Packet, Stamp, walk

NAME = "jsimw1a1q"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "in").mkdir()
    folders = [tmp_path / n for n in ("in", "work", "arc", "ref")]
    return Context("2FITS", NAME, *folders)


@pytest.fixture
def sent(tmp_path: Path) -> tuple[Path, list[bytes]]:
    detector = model("ACS/WFC", small=True)
    path = tmp_path / f"{NAME}_raw.fits"
    write(path, raw_file(detector, NAME, Scene(seconds=20, stars=5)), checksum=False)
    return path, encode(read(path), path.name)


def receive(context: Context, packets: list[bytes]) -> Path:
    (context.incoming / f"{NAME}.tlm").write_bytes(b"".join(packets))
    to_fits.run(context)
    return context.product("raw")


def kinds(packets: list[bytes]) -> list[int]:
    return [next(walk(memoryview(p), "")).kind for p in packets]


def chip_packet(packets: list[bytes], chip: int, line: int) -> int:
    return [i for i, k in enumerate(kinds(packets)) if k == Kind.CHIP + chip][line]


def test_rebuilt_to_the_byte(context: Context, sent: tuple[Path, list[bytes]]) -> None:
    raw, packets = sent
    assert receive(context, packets).read_bytes() == raw.read_bytes()
    spt = fits.open(context.product("spt"))
    assert spt[0].header["ENGSIM"] is True
    assert len(spt["ENG"].data) == 21


def test_order_and_duplicates_do_not_matter(
    context: Context, sent: tuple[Path, list[bytes]]
) -> None:
    raw, packets = sent
    order = np.random.default_rng(1).permutation(len(packets))
    shuffled = [packets[i] for i in order] + packets[10:40]
    assert receive(context, shuffled).read_bytes() == raw.read_bytes()


def test_lost_and_damaged_lines(context: Context, sent: tuple[Path, list[bytes]]) -> None:
    raw, packets = sent
    lost, damaged = chip_packet(packets, 0, 17), chip_packet(packets, 1, 90)
    content = bytearray(packets[damaged])
    content[40] ^= 1
    packets[damaged] = bytes(content)
    del packets[lost]
    before = fits.open(raw)
    after = fits.open(receive(context, packets))
    after.verify("exception")
    expected = np.zeros(before["SCI", 1].shape, np.int16)
    expected[17] = 2
    np.testing.assert_array_equal(after["DQ", 1].data, expected)
    expected[17], expected[90] = 0, 1
    np.testing.assert_array_equal(after["DQ", 2].data, expected)
    assert (after["SCI", 1].data[17] == 0x5569).all()
    others = np.arange(before["SCI", 1].shape[0]) != 17
    np.testing.assert_array_equal(after["SCI", 1].data[others], before["SCI", 1].data[others])
    assert (after["SCI", 1].header["FILLCNT"], after["SCI", 2].header["ERRCNT"]) == (1, 1)


def test_a_good_copy_replaces_a_damaged_one(
    context: Context, sent: tuple[Path, list[bytes]]
) -> None:
    raw, packets = sent
    index = chip_packet(packets, 0, 3)
    content = bytearray(packets[index])
    content[50] ^= 8
    again = [
        *packets[:index],
        bytes(content),
        packets[index],
        bytes(content),
        *packets[index + 1 :],
    ]
    assert receive(context, again).read_bytes() == raw.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda p: [*p[:-1], p[-1][:10]], ExitCode.TELEMETRY_TRUNCATED),
        (lambda p: p[:60], ExitCode.TELEMETRY_TRUNCATED),
        (lambda p: [], ExitCode.TELEMETRY_TRUNCATED),
        (lambda p: p[1:], ExitCode.TELEMETRY_BAD),
        (lambda p: [p[0], *p[2:]], ExitCode.TELEMETRY_BAD),
        (lambda p: [b"\0" * 64, *p], ExitCode.TELEMETRY_BAD),
    ],
    ids=["cut", "half", "empty", "no exposure", "no keywords", "garbage"],
)
def test_hopeless_streams_are_named(
    context: Context, sent: tuple[Path, list[bytes]], spoil: object, code: ExitCode
) -> None:
    with pytest.raises(CalibrationError) as caught:
        receive(context, spoil(sent[1]))  # type: ignore[operator]
    assert caught.value.code == code
    assert not context.product("raw").exists()


def test_another_exposure_is_refused(context: Context, sent: tuple[Path, list[bytes]]) -> None:
    other = Context("2FITS", "jother01q", context.incoming, context.work, *[context.work] * 2)
    (context.incoming / "jother01q.tlm").write_bytes(b"".join(sent[1]))
    with pytest.raises(CalibrationError, match="jsimw1a1q"):
        to_fits.run(other)


def test_sequence_count_wraps_at_14_bits() -> None:
    encoder = Encoder({int(Kind.CHIP): 16383})
    packets = [encoder.packet(Kind.CHIP, Stamp(1, 2), b"ab") for _ in range(2)]
    found = [p.sequence for p in walk(memoryview(b"".join(packets)), "")]
    assert found == [16383, 0]


def test_a_wrap_in_the_middle_of_a_chip_changes_nothing(
    context: Context, sent: tuple[Path, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, _ = sent
    near = dict.fromkeys(range(16), 16384 - 5)
    monkeypatch.setattr(from_raw, "Encoder", lambda: Encoder(dict(near)))
    packets = encode(read(raw), raw.name)
    sequence = [p.sequence for p in map(first, packets) if p.kind == Kind.CHIP]
    assert sequence[:6] == [16379, 16380, 16381, 16382, 16383, 0]
    assert receive(context, packets).read_bytes() == raw.read_bytes()


def first(packet: bytes) -> Packet:
    return next(walk(memoryview(packet), ""))


def test_ccsdspy_reads_the_same_packets(sent: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    ccsdspy = pytest.importorskip("ccsdspy")
    _, packets = sent
    lines = [p for p, k in zip(packets, kinds(packets), strict=True) if k == Kind.CHIP]
    path = tmp_path / "one.tlm"
    path.write_bytes(b"".join(lines))
    from ccsdspy import PacketArray, PacketField

    width = read(sent[0])[1].shape[1]
    fields = [
        PacketField("day", "uint", 16), PacketField("ms", "uint", 32),
        PacketField("us", "uint", 16),
        PacketField("line", "uint", 16), PacketField("column", "uint", 16),
        PacketField("number", "uint", 16), PacketField("chip", "uint", 8),
        PacketField("flags", "uint", 8),
        PacketArray(name="pixels", data_type="uint", bit_length=16, array_shape=width),
        PacketField("crc", "uint", 16),
    ]  # fmt: skip
    table = ccsdspy.FixedLength(fields).load(str(path), include_primary_header=True)
    np.testing.assert_array_equal(table["pixels"], read(sent[0])[1].image())
    np.testing.assert_array_equal(table["line"], np.arange(len(lines)))
    assert set(table["CCSDS_APID"]) == {0x321}
