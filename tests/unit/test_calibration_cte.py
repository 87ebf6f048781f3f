"""CTE: the model of charge traps against its plain loops, its inverse, and what must hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.arrays.cte import read_out
from calibration.arrays.cte_restore import Quadrant, Recipe, correct, over_subtracted, restore
from calibration.arrays.cte_smooth import smooth
from calibration.arrays.cte_traps import Traps, density, fraction_at
from calibration.instruments.read_out import as_read, as_shifted
from calibration.simulate.charge_transfer import traps as simulated_traps

RECIPE = Recipe(iterations=5, threshold=-10.0, guard=False)


def few_traps() -> Traps:
    """Return traps that a plain loop can follow; what a trail lacks stays in them."""
    level = np.geomspace(1.5, 3000.0, 25)
    age = np.arange(1, 13)[:, None]
    release = 0.25 * np.exp(-age / 4.0) * np.linspace(0.8, 1.0, 25)
    return Traps(level, np.diff(0.9 * level**0.6, prepend=0.0), release,
                 1 - np.cumsum(release, axis=0), 3)  # fmt: skip


def plain_read_out(charge: Any, dense: Any, traps: Traps) -> Any:
    """Trap by trap, from the highest level down, and packet by packet, as the papers say it."""
    out = np.array(charge, dtype=np.float64)
    for column, where in zip(out.T, np.asarray(dense, dtype=np.float64).T, strict=True):
        for _ in range(traps.shifts):
            for trap in range(traps.level.size - 1, -1, -1):
                age, held = traps.length, 0.0
                for row in range(column.size):
                    if row and where[row] < where[row - 1]:
                        held *= where[row] / where[row - 1]
                    packet, gained = column[row], 0.0
                    if age < traps.length:
                        gained = held * traps.release[age, trap]
                        if packet >= traps.level[trap]:
                            gained += held * traps.refill[age, trap]
                        age += 1
                    if packet >= traps.level[trap]:
                        held = traps.depth[trap] / traps.shifts * where[row]
                        gained, age = gained - held, 0
                    column[row] += gained
    return out


def star_field(
    rows: int, columns: int, count: int, sky: float = 40.0, seed: int = 3
) -> tuple[Any, Any]:
    """Return stars on sky, electrons, and their places (row, column)."""
    random = np.random.default_rng(seed)
    image = np.full((rows, columns), sky)
    y, x = np.mgrid[:rows, :columns]
    places = np.column_stack(
        [random.uniform(8, rows - 16, count), random.uniform(6, columns - 6, count)]
    )
    fluxes = 10 ** random.uniform(3.0, 4.0, count)
    for (row, column), flux in zip(places, fluxes, strict=True):
        stamp = np.exp(-0.5 * (((y - row) ** 2 + (x - column) ** 2) / 1.1**2))
        image += flux * stamp / stamp.sum()
    return image, places


def field_density(rows: int, columns: int, fraction: float = 1.0) -> Any:
    """Return a density that makes a short column lose as much as a long one."""
    return density(np.full((columns, 4), 2048.0 / rows), rows, fraction)


@pytest.mark.parametrize("uneven", [False, True])
def test_bands_of_traps_give_what_the_plain_loops_give(uneven: bool) -> None:
    random = np.random.default_rng(5)
    charge = random.normal(30, 15, (50, 6))
    charge[random.integers(0, 50, 12), random.integers(0, 6, 12)] += random.uniform(50, 3500, 12)
    dense = field_density(50, 6) * random.uniform(0.5, 1.5, 6).astype(np.float32)
    if uneven:  # as over-subtraction leaves it: the density falls here and there
        dense = dense * np.where(random.random(dense.shape) < 0.15, 0.75, 1).astype(np.float32)
    traps = few_traps()
    found, expected = read_out(charge, dense, traps), plain_read_out(charge, dense, traps)
    assert np.abs(expected - charge).max() > 40
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_a_packet_that_releases_into_itself_fills_one_trap_more() -> None:
    """The level of a trap is compared with the packet and what the higher traps gave it."""
    traps = Traps(np.array([10.0, 50.0]), np.array([4.0, 8.0]), np.full((3, 2), 0.25),
                  np.full((3, 2), 0.5), 1)  # fmt: skip
    charge = np.array([[60.0], [9.0], [9.0], [7.5]])
    found = read_out(charge, np.ones((4, 1)), traps)
    # Row 1: 9 + 2 from the upper trap reach 10: the lower trap gives 3, and takes 4.
    np.testing.assert_allclose(found[:, 0], [48.0, 9 + 2 + 3 - 4, 9 + 2 + 3 - 4, 7.5 + 2 + 1])


def test_charge_is_moved_and_never_made() -> None:
    """Everything that is missing in the frame is still in the traps behind it."""
    traps = simulated_traps()
    image = np.zeros((200, 3))
    image[60] = 30000.0
    dense = field_density(200, 3)
    out = read_out(image, dense, traps)
    assert out[60, 0] < 29900.0
    np.testing.assert_allclose(out.sum(axis=0), image.sum(axis=0), rtol=1e-12)
    # Near the last row the trail leaves the frame: that is all that is lost.
    near_end = np.zeros((200, 3))
    near_end[190] = 30000.0
    longer = np.vstack([near_end, np.zeros((traps.length * traps.shifts, 3))])
    dense_longer = np.vstack([dense, np.repeat(dense[-1:], len(longer) - 200, axis=0)])
    whole, cut = read_out(longer, dense_longer, traps), read_out(near_end, dense, traps)
    np.testing.assert_allclose(whole[:200], cut, atol=1e-9)
    assert cut[:, 0].sum() < near_end[:, 0].sum() - 10
    np.testing.assert_allclose(whole.sum(axis=0), near_end.sum(axis=0), rtol=1e-12)


def test_trails_point_away_from_the_amplifier() -> None:
    dense, traps = field_density(120, 40), simulated_traps()
    image = np.full((120, 40), 10.0)
    image[60, 15] = 5000.0
    below, above, across = np.s_[50:60, 15], np.s_[61:71, 15], np.s_[60, 16:]
    for amp in "ABCD":
        change = as_read(read_out(as_read(image, amp), dense, traps), amp) - image
        behind, before = (above, below) if amp in "CD" else (below, above)
        assert change[60, 15] < -50
        assert change[behind].sum() > 30
        assert (change[before] < 0).all()
        assert (change[across] < 0).all()


@pytest.mark.parametrize("amp", "ABCD")
def test_a_quadrant_is_turned_to_its_amplifier_and_back(amp: str) -> None:
    quadrant = np.arange(12).reshape(3, 4)
    corner = {"A": quadrant[2, 0], "B": quadrant[2, 3], "C": quadrant[0, 0], "D": quadrant[0, 3]}
    assert as_read(quadrant, amp)[0, 0] == corner[amp]
    np.testing.assert_array_equal(as_read(as_read(quadrant, amp), amp), quadrant)
    turned = as_shifted(as_read(quadrant, amp))
    assert turned.shape == (4, 3)
    assert turned[0, -1] == corner[amp]


def test_round_trip_without_noise() -> None:
    image, places = star_field(300, 60, 40)
    dense, traps = field_density(300, 60), simulated_traps()
    measured = read_out(image, dense, traps)
    (restored,) = restore([measured.astype(np.float32)], [dense], [0.0], traps, RECIPE)
    assert np.abs(measured - image).max() > 20
    assert np.abs(restored - image).max() < 1.0
    assert float((restored - image).std()) < 0.02 * float((measured - image).std())
    lost, left = (aperture(found - image, places) for found in (measured, restored))
    assert np.median(lost[places[:, 0] > 200]) < -40
    assert np.abs(left).max() < 0.02 * np.abs(lost).max()


def aperture(image: Any, places: Any) -> Any:
    """Return the sum of 7 x 7 pixels around each place."""
    corners = np.rint(places).astype(int) - 3
    return np.array([image[y : y + 7, x : x + 7].sum() for y, x in corners])


@pytest.fixture(scope="module")
def noisy() -> dict[str, Any]:
    """Return a noisy field before and after read-out and correction."""
    image, places = star_field(300, 160, 100)
    dense, traps = field_density(300, 160), simulated_traps()
    random = np.random.default_rng(11)
    light = random.poisson(image).astype(np.float64)
    noise = random.normal(0, 4.0, image.shape)
    measured = (read_out(light, dense, traps) + noise).astype(np.float32)
    err = np.sqrt(np.maximum(measured, 0) + 16).astype(np.float32)
    quadrant = Quadrant(measured, err, dense, 4.0)
    ((sci, new_err),) = correct([quadrant], traps, Recipe(5, -10.0))
    return {
        "image": image, "places": places, "perfect": light + noise, "measured": measured,
        "sci": sci, "err": err, "new_err": new_err,
    }  # fmt: skip


def test_fluxes_of_far_stars_come_back_from_noise(noisy: dict[str, Any]) -> None:
    places = noisy["places"][noisy["places"][:, 0] > 150]
    fluxes = {k: aperture(noisy[k], places) for k in ("perfect", "measured", "sci")}
    lost = (fluxes["measured"] - fluxes["perfect"]).sum()
    left = (fluxes["sci"] - fluxes["perfect"]).sum()
    assert lost < -2000
    assert abs(left) < 0.05 * abs(lost)


def test_noise_is_not_amplified(noisy: dict[str, Any]) -> None:
    far = slice(200, 290)
    scatter = {k: float((noisy[k] - noisy["image"])[far].std()) for k in ("perfect", "sci")}
    assert scatter["sci"] < 1.03 * scatter["perfect"]


def test_a_tenth_of_the_correction_is_added_to_the_error(noisy: dict[str, Any]) -> None:
    change = noisy["sci"] - noisy["measured"]
    expected = np.sqrt(noisy["err"] ** 2 + (0.1 * change) ** 2)
    np.testing.assert_allclose(noisy["new_err"], expected, rtol=1e-4)
    assert np.abs(change).max() > 20
    assert (noisy["new_err"] > noisy["err"] * 1.001).any()


def test_read_out_from_the_wrong_side_does_not_correct() -> None:
    """The mutation: a chip taken for one that is read towards its other end."""
    image, places = star_field(300, 60, 40)
    dense, traps = field_density(300, 60), simulated_traps()
    measured = read_out(image, dense, traps).astype(np.float32)
    (right,) = restore([measured], [dense], [0.0], traps, RECIPE)
    (wrong,) = restore([measured[::-1]], [dense], [0.0], traps, RECIPE)
    lost, with_right, with_wrong = (
        np.abs(aperture(found - image, places)).sum() for found in (measured, right, wrong[::-1])
    )
    assert with_right < 0.02 * lost
    assert with_wrong > 0.7 * lost


def test_a_new_detector_loses_nothing() -> None:
    image, _ = star_field(80, 30, 6)
    dense = field_density(80, 30, fraction_at(52334.0, 52334.0, 53000.0))
    np.testing.assert_allclose(read_out(image, dense, simulated_traps()), image, atol=1e-6)
    quadrant = Quadrant(image.astype(np.float32), np.ones(image.shape, np.float32), dense, 4.0)
    ((sci, err),) = correct([quadrant], simulated_traps(), Recipe(3, -10.0))
    np.testing.assert_allclose(sci, image, atol=1e-3)
    np.testing.assert_allclose(err, 1.0, rtol=1e-6)


def test_losses_grow_with_time() -> None:
    fractions = [fraction_at(mjd, 52000.0, 53000.0) for mjd in (52250.0, 52500.0, 53000.0)]
    assert fractions == [0.25, 0.5, 1.0]
    image = np.zeros((100, 2))
    image[80] = 5000.0
    lost = [
        float((image - read_out(image, field_density(100, 2, f), simulated_traps()))[80, 0])
        for f in fractions
    ]
    np.testing.assert_allclose(lost[1] / lost[0], 2.0, rtol=0.02)
    np.testing.assert_allclose(lost[2] / lost[1], 2.0, rtol=0.04)


def test_the_density_follows_row_and_column() -> None:
    sensitivity = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]])
    dense = density(sensitivity, 2048, 0.5)
    np.testing.assert_allclose(dense[[0, 511, 2047], 1], [0.5 / 2048, 0.125, 0.5], rtol=1e-6)
    rows = np.array([0, 256, 512, 1024, 1280])
    along = np.array([1.0, 1.5, 2.0, 3.0, 3.5])
    np.testing.assert_allclose(dense[rows, 0], along * (rows + 1) / 4096, rtol=1e-6)
    assert dense[2047, 0] == pytest.approx(0.5 * 3.999, rel=1e-5)


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_smoothing_takes_away_no_more_than_read_noise(noise: float) -> None:
    image, _ = star_field(90, 70, 12)
    random = np.random.default_rng(2)
    seen = (random.poisson(image) + random.normal(0, 4.0, image.shape)).astype(np.float32)
    flat = smooth(seen, noise)
    taken = float((seen - flat).std())
    assert taken == pytest.approx(noise, rel=0.05, abs=1e-6)
    bright = image > 200
    assert bright.sum() > 20
    if noise:
        assert np.abs(seen - flat)[bright].mean() < 0.6 * np.abs(seen - flat)[~bright].mean()
        rough = np.diff(seen, axis=0)[image[1:] < 45].std()
        assert np.diff(flat, axis=0)[image[1:] < 45].std() < 0.9 * rough


def test_smoothing_is_that_of_one_pixel_at_a_time() -> None:
    """The passes, written for a single pixel: what calacs does for each."""
    random = np.random.default_rng(8)
    seen = random.normal(50, 8, (20, 9)).astype(np.float32)
    model = seen
    for passes in range(1, 13):
        model = one_pass(seen, 3.0, model)
        if passes in (1, 12):
            np.testing.assert_allclose(smooth_passes(seen, 3.0, passes), model, atol=1e-4)


def smooth_passes(seen: Any, noise: float, passes: int) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calibration.arrays.cte_smooth.PASSES", passes)
        return smooth(seen, noise)


def one_pass(seen: Any, noise: float, model: Any) -> Any:
    old = model.astype(np.float64)
    taken, out = seen - old, old.copy()
    limit, four = 0.33 * noise, 4 * noise**2

    def clipped(value: float, bound: float) -> float:
        return max(-bound, min(bound, value))

    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            own, pull = taken[row, column], 0.0
            pull += clipped(own, 1.0) * own**2 / (own**2 + four)
            if 0 < row < seen.shape[0] - 1 and 0 < column < seen.shape[1] - 1:
                nine = taken[row - 1 : row + 2, column - 1 : column + 2].mean()
                pull += clipped(nine, limit) * nine**2 / (nine**2 + 18 * noise**2)
            for other in (row - 1, row + 1):
                if 0 <= other < seen.shape[0]:
                    step = old[other, column] - old[row, column]
                    pull += clipped(step, limit) * four / (step**2 + four)
            out[row, column] += 0.75 * 0.25 * pull
    return out


def test_over_subtraction_weakens_the_traps_from_its_cause() -> None:
    measured = np.full((40, 3), 5.0)
    model = measured.copy()
    model[20, 0], model[23, 0] = 400.0, -11.0  # a cosmic ray that gained, and its trail
    model[30:32, 1] = -6.5  # two that are below -12 together
    model[8, 2] = -50.0  # within the first ten rows nothing is done
    weaker = over_subtracted(model, measured, -10.0)
    assert list(np.flatnonzero(weaker[:, 0])) == [20, 21, 22, 23]
    assert set(weaker[:, 0]) == {0, 1}
    assert weaker[:, 1].sum() > 0
    assert weaker[30, 1] == 1
    assert not weaker[:, 2].any()


def test_a_ray_that_hit_during_read_out_is_not_dug_into() -> None:
    """A packet without a trail, as it was moved over few traps: the guard finds it."""
    traps, dense = simulated_traps(), field_density(200, 4)
    image = read_out(np.full((200, 4), 2.0), dense, traps).astype(np.float32)
    image[150, 1] += 3000.0
    unguarded, guarded = (
        restore([image], [dense], [4.0], traps, replace(RECIPE, guard=guard))[0]
        for guard in (False, True)
    )
    assert unguarded[151:160, 1].min() < -10
    assert guarded[151:160, 1].min() >= -10
    untouched = np.arange(4) != 1
    np.testing.assert_array_equal(guarded[:, untouched], unguarded[:, untouched])


def test_quadrants_together_are_as_one_by_one() -> None:
    traps, dense = simulated_traps(), field_density(120, 20)
    images = [star_field(120, 20, 5, sky=3.0, seed=s)[0].astype(np.float32) for s in (1, 2)]
    recipe = Recipe(2, -10.0)
    both = restore(images, [dense, dense], [4.0, 5.0], traps, recipe)
    for image, noise, found in zip(images, (4.0, 5.0), both, strict=True):
        (alone,) = restore([image], [dense], [noise], traps, recipe)
        np.testing.assert_array_equal(found, alone)
