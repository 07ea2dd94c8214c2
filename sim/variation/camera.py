"""The axis `camera`: a camera that stands a little elsewhere and looks a little aside."""

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.cameras import Camera, up_in_image
from sim.rotations import turn_about, vector, wrapped
from sim.variation.levels import Level
from sim.world import Vector

SHIFT_M = {"easy": 0.02, "hard": 0.05}  # [m] at most in each direction
TURN_DEG = {"easy": 2.0, "hard": 5.0}  # [deg] at most about each axis of the view
WRIST_SHARE = 0.1  # of the shift: a wrist camera stands a tenth as far from what it sees


@dataclass(frozen=True)
class Nudge:
    """How a camera is moved.

    Attributes:
        shift_m: Of its eye, along x, y, z of the frame the camera is given in [m].
        turn_deg: About the view's right, up and forward axes [deg]: up, to the left, clockwise.
    """

    shift_m: Vector
    turn_deg: Vector


def draw_nudge(level: Level, rng: np.random.Generator, *, on_wrist: bool) -> Nudge:
    """A nudge at a level other than none; each number is as likely as any other within its bounds."""
    shift = SHIFT_M[level] * (WRIST_SHARE if on_wrist else 1.0)
    shifts, turns = rng.uniform(-1.0, 1.0, (2, 3))
    return Nudge(vector(shift * shifts), vector(TURN_DEG[level] * turns))


def nudged(camera: Camera, nudge: Nudge) -> Camera:
    """The camera after a nudge, looking at a point as far away as before."""
    forward = np.subtract(camera.target, camera.eye)
    right = np.cross(forward, up_in_image(camera))
    up = np.cross(right, forward)
    pitch, yaw, roll = nudge.turn_deg
    turn = turn_about(up, math.radians(yaw)) @ turn_about(right, math.radians(pitch))
    eye = np.add(camera.eye, nudge.shift_m)
    roll_deg = wrapped(camera.roll_deg + roll, 360.0)
    return replace(camera, eye=vector(eye), target=vector(eye + turn @ forward), roll_deg=roll_deg)
