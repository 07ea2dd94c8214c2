"""In which order guards are asked. It is fixed here, not in YAML: what a guard relies on has been checked before it."""

from enum import IntEnum


class Rank(IntEnum):
    """From the cheapest and most basic question to the last one before the robot."""

    FINITE = 0
    TOKENS = 1
    CONFIDENCE = 2
    OBSERVATION_AGE = 3
    FRAMES = 4
    TRACKING = 5
    STEP_SIZE = 6
    CONTACT = 7  # it computes with the step
    ORIENTATION = 8
    WORKSPACE = 9
    KEEP_OUT = 10
    JOINTS = 11
    SINGULARITY = 12
    COLLISION = 13
    GRIPPER = 14
    CUSTOM = 15  # a guard that names no rank
    DWELL = 16
    WITHIN_SPEC = 17
    MOTION = 18  # always last
