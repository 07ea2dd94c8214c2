"""Laws of the image augmentation; there are no golden values of it."""

import colorsys

import numpy as np
import pytest

from vla_runtime.finetuning.augmentation import BRIGHTNESS, HUE, Change, ImageAugmentation, changed
from vla_runtime.models.openvla.images import centre_crop

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
WHOLE = np.repeat(np.repeat(IMAGE[:4, :4], 10, axis=0), 10, axis=1)  # patches of one colour


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((8, 8, 3), (red, green, blue), np.uint8)


def test_without_a_change_it_is_the_evaluation_paths_centre_crop() -> None:
    """What the model sees at evaluation is the middle of what it may see in training."""
    difference = changed(IMAGE, Change()).astype(int) - centre_crop(IMAGE)
    assert np.abs(difference).max() <= 1


def test_the_same_number_gives_the_same_picture_and_another_another() -> None:
    augmentation = ImageAugmentation(40, seed=5)
    assert np.array_equal(augmentation.apply(IMAGE, 7), augmentation.apply(IMAGE, 7))
    assert not np.array_equal(augmentation.apply(IMAGE, 7), augmentation.apply(IMAGE, 8))
    assert not np.array_equal(augmentation.apply(IMAGE, 7), ImageAugmentation(40, seed=6).apply(IMAGE, 7))


def test_draws_fill_their_ranges_and_stay_inside() -> None:
    draws = [Change.draw(0, number) for number in range(2000)]
    for name, low, high in (
        ("top", 0, 1),
        ("left", 0, 1),
        ("brightness", -BRIGHTNESS, BRIGHTNESS),
        ("contrast", 0.8, 1.2),
        ("saturation", 0.8, 1.2),
        ("hue", -HUE, HUE),
    ):
        values = np.array([getattr(draw, name) for draw in draws])
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_the_crop_keeps_corners_in_reach() -> None:
    """At offset 0 the first row and column are kept, at 1 the last."""
    assert np.array_equal(changed(WHOLE, Change(top=0, left=0))[0, 0], WHOLE[0, 0])
    assert np.array_equal(changed(WHOLE, Change(top=1, left=1))[-1, -1], WHOLE[-1, -1])
    assert changed(IMAGE, Change(top=0.2, left=0.9)).shape == IMAGE.shape


@pytest.mark.parametrize("saturation", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("hue", [-0.05, 0.0, 0.05])
def test_colours_change_as_in_hsv(saturation: float, hue: float) -> None:
    for pixel in ((200, 40, 90), (10, 250, 3), (5, 5, 250), (90, 90, 90), (0, 0, 0), (255, 255, 255)):
        h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in pixel))
        wanted = np.array(colorsys.hsv_to_rgb((h + hue) % 1, min(s * saturation, 1), v)) * 255.5
        found = changed(flat(*pixel), Change(saturation=saturation, hue=hue))[0, 0].astype(float)
        assert np.abs(found - np.minimum(wanted, 255)).max() <= 1.01


def test_brightness_adds_and_contrast_spreads_about_the_mean() -> None:
    assert changed(flat(100, 100, 100), Change(brightness=0.1))[0, 0, 0] == pytest.approx(125, abs=1)
    assert changed(flat(250, 250, 250), Change(brightness=0.2))[0, 0, 0] == 255
    assert np.array_equal(changed(flat(60, 90, 30), Change(contrast=1.2))[0, 0], [60, 90, 30])
    assert changed(WHOLE, Change(contrast=1.2)).std() > changed(WHOLE, Change()).std()
