"""The look of an episode, and what else is drawn for it, put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sim.cameras import Camera, Light
from sim.robots.paint import PLAIN, Paint
from sim.scene import ROOM, Room
from sim.seeding import Streams
from sim.variation.camera import draw_nudge, nudged
from sim.variation.levels import Level, Variation
from sim.variation.light import draw_light
from sim.variation.noise import sigma
from sim.variation.robot import draw_paint
from sim.variation.shadows import draw_shadows
from sim.variation.start import draw_offsets
from sim.variation.textures import draw_variants, dressed


@dataclass(frozen=True)
class Look:
    """What an episode looks like.

    Attributes:
        cameras: By name.
        light: With or without shadows.
        room: Table and wall.
        paint: Of the arm.
        noise: Standard deviation of the cameras' noise [levels of 255].
        words: How the instruction is changed.
        start: Of each joint, how far off its home angle it begins [rad]; empty: at home.
        physics: How masses and frictions are changed.
        told: What was drawn, by axis, for the episode's record; plain values; only the axes that are on.
    """

    cameras: dict[str, Camera]
    light: Light
    room: Room = ROOM
    paint: Paint = PLAIN
    noise: float = 0.0
    words: Level = "none"
    start: tuple[float, ...] = ()
    physics: Level = "none"
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def draw_look(variation: Variation, streams: Streams, usual: Look) -> Look:
    """The look of an episode. Args: streams: of its seed; usual: the look that is varied."""
    look = usual
    for axis, level in variation.levels().items():
        look, told = _AXES[axis](look, level, lambda part="", axis=axis: streams(f"variation: {axis}{part}"))
        look = replace(look, told={**look.told, axis: {"level": level, **told}})
    return look


Stream = Callable[..., np.random.Generator]  # of an axis, or of a part of it
Drawn = tuple[Look, dict[str, Any]]


def _camera(look: Look, level: Level, stream: Stream) -> Drawn:
    """Each camera has a stream: one more moves no other."""
    nudges = {
        name: draw_nudge(level, stream(f" {name}"), on_wrist=camera.on_wrist)
        for name, camera in look.cameras.items()
    }
    cameras = {name: nudged(camera, nudges[name]) for name, camera in look.cameras.items()}
    told = {
        name: {"shift_m": list(nudge.shift_m), "turn_deg": list(nudge.turn_deg)}
        for name, nudge in nudges.items()
    }
    return replace(look, cameras=cameras), {"cameras": told}


def _light(look: Look, level: Level, stream: Stream) -> Drawn:
    light, kelvin = draw_light(level, stream(), look.light)
    told = {
        "direction": list(light.direction),
        "ambient": light.ambient,
        "diffuse": light.diffuse,
        "specular": light.specular,
        "colour_temperature_k": kelvin,
    }
    return replace(look, light=light), told


def _shadows(look: Look, level: Level, stream: Stream) -> Drawn:
    drawn = draw_shadows(level, stream())
    return replace(look, light=replace(look.light, shadows=drawn)), {"drawn": drawn}


def _textures(look: Look, level: Level, stream: Stream) -> Drawn:
    table, wall = draw_variants(stream())
    return replace(look, room=dressed(look.room, level, table, wall)), {"table": table, "wall": wall}


def _robot(look: Look, level: Level, stream: Stream) -> Drawn:
    paint = draw_paint(level, stream())
    told = {"light_rgb": list(paint.light or ()), "dark_rgb": list(paint.dark or ()), "hulls": paint.hulls}
    return replace(look, paint=paint), told


def _noise(look: Look, level: Level, stream: Stream) -> Drawn:
    deviation = sigma(level)
    return replace(look, noise=deviation), {"sigma": deviation}


def _words(look: Look, level: Level, stream: Stream) -> Drawn:
    """The instruction is not known yet here."""
    return replace(look, words=level), {}


def _start(look: Look, level: Level, stream: Stream) -> Drawn:
    offsets = draw_offsets(level, stream())
    return replace(look, start=offsets), {"offsets_rad": list(offsets)}


def _physics(look: Look, level: Level, stream: Stream) -> Drawn:
    """What lies on the table is not known yet here."""
    return replace(look, physics=level), {}


_AXES: dict[str, Callable[[Look, Level, Stream], Drawn]] = {
    "camera": _camera,
    "light": _light,
    "shadows": _shadows,
    "textures": _textures,
    "robot": _robot,
    "noise": _noise,
    "words": _words,
    "start": _start,
    "physics": _physics,
}
