"""Distances of capsules, against points sampled on their segments."""

import numpy as np
import pytest

from vla_runtime.kinematics.capsules import Capsule, CollisionModel
from vla_runtime.kinematics.frames import BASE


def distance(first: np.ndarray, second: np.ndarray, radii: tuple[float, float] = (0.01, 0.02)) -> float:
    """Of two capsules with these ends; shape (2, 3) each."""
    capsules = tuple(
        Capsule(name, 0, tuple(ends[0].tolist()), tuple(ends[1].tolist()), radius)
        for name, ends, radius in zip("ab", (first, second), radii, strict=True)
    )
    return CollisionModel(capsules, ((0, 1),), (0,)).clearances((BASE,), 0.0).self_distance_m


def sampled(first: np.ndarray, second: np.ndarray) -> float:
    along = np.linspace(0.0, 1.0, 300)[:, None]
    points, others = (ends[0] + along * (ends[1] - ends[0]) for ends in (first, second))
    return float(np.linalg.norm(points[:, None] - others[None], axis=-1).min()) - 0.03


def test_like_the_nearest_of_many_points() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        first, second = random.uniform(-0.2, 0.2, (2, 2, 3))
        expected = sampled(first, second)
        assert expected - 2e-3 < distance(first, second) <= expected + 1e-12


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([[0, 0, 0], [1, 0, 0]], [[0, 0, 1], [1, 0, 1]], 1.0),  # parallel
        ([[0, 0, 0], [1, 0, 0]], [[3, 0, 0], [2, 0, 0]], 1.0),  # on one line
        ([[0, 0, 0], [1, 0, 0]], [[0.5, -1, 0.5], [0.5, 1, 0.5]], 0.5),  # crossing
        ([[0, 0, 0], [0, 0, 0]], [[-1, 1, 0], [1, 1, 0]], 1.0),  # a ball and a capsule
        ([[-1, 1, 0], [1, 1, 0]], [[0, 0, 0], [0, 0, 0]], 1.0),
        ([[0, 0, 0], [0, 0, 0]], [[0, 0, 2], [0, 0, 2]], 2.0),  # two balls
    ],
)
def test_special_cases(first: list, second: list, expected: float) -> None:
    assert distance(np.array(first, float), np.array(second, float)) == pytest.approx(expected - 0.03)


def test_the_nearest_is_named() -> None:
    ends = ((0.0, 0.0, 0.5), (0.0, 0.0, 1.0), (0.0, 0.1, 0.3))
    capsules = tuple(Capsule(name, 0, end, end, 0.05) for name, end in zip("abc", ends, strict=True))
    found = CollisionModel(capsules, ((0, 1), (0, 2), (1, 2)), (0, 1)).clearances((BASE,), 0.1)
    assert found.self_pair == ("a", "c")
    assert found.self_distance_m == pytest.approx(np.hypot(0.1, 0.2) - 0.1)
    assert (found.table_capsule, found.table_distance_m) == ("a", pytest.approx(0.35))
