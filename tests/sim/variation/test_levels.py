"""Levels that do not exist are refused, and only axes that are on count."""

import pytest

from sim.errors import InvalidSetting
from sim.variation import AXES, Variation


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("level", ["medium", "", None, 1, ["easy"]])
def test_an_unknown_level_is_refused_in_one_line(axis: str, level: object) -> None:
    with pytest.raises(InvalidSetting, match=f"^variation {axis} .* expected none, easy or hard$") as refused:
        Variation(**{axis: level})  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_only_axes_that_are_on_are_listed() -> None:
    assert Variation().levels() == {}
    assert Variation(robot="hard", camera="easy").levels() == {"camera": "easy", "robot": "hard"}
