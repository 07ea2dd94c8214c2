"""How much each axis varies."""

from dataclasses import dataclass
from typing import Literal, get_args

from sim.errors import InvalidSetting

Level = Literal["none", "easy", "hard"]
LEVELS: tuple[Level, ...] = get_args(Level)
AXES = ("camera", "light", "shadows", "textures", "robot", "noise", "words", "start", "physics")


@dataclass(frozen=True)
class Variation:
    """The level of every axis: "none", "easy" or "hard".

    Attributes:
        camera: Every camera is moved and turned (`sim.variation.camera`).
        light: Direction, strength and colour of the light (`sim.variation.light`).
        shadows: Whether shadows are drawn: easy in half of the episodes, hard in all.
        textures: Table top and wall (`sim.variation.textures`).
        robot: Paint of the arm, and how finely it is drawn (`sim.variation.robot`).
        noise: Of the cameras' sensors (`sim.variation.noise`).
        words: Of the instruction (`sim.variation.words`).
        start: Of the arm's pose (`sim.variation.start`).
        physics: Mass and friction of what can be moved (`sim.variation.physics`).
    """

    camera: Level = "none"
    light: Level = "none"
    shadows: Level = "none"
    textures: Level = "none"
    robot: Level = "none"
    noise: Level = "none"
    words: Level = "none"
    start: Level = "none"
    physics: Level = "none"

    def __post_init__(self) -> None:
        """Refuse levels that do not exist: InvalidSetting."""
        for axis in AXES:
            if getattr(self, axis) not in LEVELS:
                raise InvalidSetting(f"variation {axis} {getattr(self, axis)!r}: expected none, easy or hard")

    def levels(self) -> dict[str, Level]:
        """The axes that are on, and how much they vary."""
        return {axis: getattr(self, axis) for axis in AXES if getattr(self, axis) != "none"}
