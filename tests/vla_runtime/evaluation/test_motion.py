"""How far and how smoothly a tool moved."""

import numpy as np
import pytest

from vla_runtime.evaluation.motion import path_length, sparc, speeds

HZ = 50.0


def bell(seconds: float = 1.0) -> np.ndarray:
    """The speed of a minimum-jerk movement, T. Flash, N. Hogan (1985)."""
    s = np.linspace(0.0, 1.0, int(seconds * HZ))
    return 30.0 * s**2 * (1.0 - s) ** 2


def test_length_and_speeds() -> None:
    positions = [(0.0, 0.0, 0.0), (0.3, 0.4, 0.0), (0.3, 0.4, 0.5)]
    assert path_length(positions) == pytest.approx(1.0)
    assert speeds(positions, 10.0) == pytest.approx([5.0, 5.0])
    assert path_length([]) == 0.0


def test_a_minimum_jerk_movement_has_the_published_smoothness() -> None:
    """About -1.4 for one smooth movement (Balasubramanian et al. 2015), whatever its height and length."""
    assert sparc(bell().tolist(), HZ) == pytest.approx(-1.41, abs=0.02)
    assert sparc((3.0 * bell(2.0)).tolist(), HZ) == pytest.approx(-1.41, abs=0.02)


def test_a_movement_in_pieces_is_less_smooth() -> None:
    whole, halves = bell(2.0), np.concatenate([bell(), np.zeros(20), bell()])
    shaken = whole + 0.3 * np.sin(np.arange(len(whole)) * 2 * np.pi * 3.0 / HZ) ** 2
    values = [sparc(profile.tolist(), HZ) or 0.0 for profile in (whole, shaken, halves)]
    assert values[0] > values[1]
    assert values[0] > values[2]


def test_what_does_not_move_has_no_smoothness() -> None:
    assert sparc([0.0] * 10, HZ) is None
    assert sparc([1.0, 1.0], HZ) is None
