"""Guards under fire: hostile actions through the whole chain, and a checker that shares no code with it.

The robot is ideal: it goes exactly where it is told. What comes out of the chain is added up to way-points, and limits are
checked on their finite differences: the velocity, acceleration and jerk of a motion are never smaller than those. After a
STOP the robot stands still and begins anew.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.keep_out import KeepOut
from vla_runtime.guards.motion import Motion
from vla_runtime.guards.orientation import Orientation
from vla_runtime.guards.workspace import Workspace
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.specs import ActionSpec
from vla_runtime.types import (
    Action,
    ActionTokens,
    Candidate,
    FrameFacts,
    GuardContext,
    Observation,
    Proprioception,
    RobotState,
    Verdict,
)

HOME = (0.0, -0.35, 0.0, -2.32, 0.0, 1.97, 0.785)  # [rad]
EPISODE_STEPS = 200  # [steps] after which the robot starts at home again
ROUNDING = 1e-6  # [share] of a limit
EXTREMES = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -5e-324, -0.0)
NOT_ALWAYS = 0.02  # [share] of the steps with a fault in the observation


@dataclass
class Tally:
    """What a fuzzing run saw.

    Attributes:
        actions: How many were judged.
        executed: How many steps the robot made.
        violations: By limit.
        interventions: By guard.
        verdicts: By name.
        exceptions: Guards that raised.
        worst: The largest share of each limit that was used.
    """

    actions: int = 0
    executed: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    interventions: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in another run."""
        self.actions += other.actions
        self.executed += other.executed
        for mine, its in (
            (self.violations, other.violations),
            (self.interventions, other.interventions),
            (self.verdicts, other.verdicts),
            (self.exceptions, other.exceptions),
        ):
            mine.update(its)
        for name, share in other.worst.items():
            self.worst[name] = max(self.worst.get(name, 0.0), share)


def fuzz(
    chain: GuardChain,
    arm: SerialArm,
    spec: ActionSpec,
    actions: int,
    seed: int,
    limits_of: GuardChain | None = None,
) -> Iterator[Tally]:
    """Judge hostile actions; yields the tally so far after each episode.

    Args:
        chain: What judges.
        arm: The robot's kinematics.
        spec: What the environment expects of an action.
        actions: How many.
        seed: Of all that is random.
        limits_of: The chain whose limits are checked; None: the one that judges.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    tally = Tally()
    while tally.actions < actions:
        robot = _IdealRobot(arm, spec)
        checker = _Checker(limits_of or chain, spec, tally)
        checker.start(robot)
        memory: Any = {}
        steps = min(EPISODE_STEPS, actions - tally.actions)
        for index, action in enumerate(_hostile(rng, spec, steps)):
            context = robot.context(rng, index, memory)
            judgement = chain.fold(Candidate(action), context)
            memory = chain.remember(context, judgement)
            tally.actions += 1
            tally.verdicts[judgement.verdict.name] += 1
            tally.interventions.update(judgement.touched_by)
            tally.exceptions.update(why.guard for why in judgement.interventions if " failed: " in why.reason)
            if judgement.verdict is Verdict.STOP:
                memory = {}
                checker.start(robot)
                continue
            robot.execute(judgement.action)
            checker.check(robot, judgement.action, memory)
        yield tally


def _hostile(rng: np.random.Generator, spec: ActionSpec, steps: int) -> Iterator[Action]:
    """Bursts of actions, each burst of one kind."""
    high = np.array(spec.high)
    made = 0
    while made < steps:
        kind, length = int(rng.integers(8)), int(rng.integers(1, 40))
        direction = rng.choice([-1.0, 0.0, 1.0], 7) * high
        for k in range(min(length, steps - made)):
            made += 1
            noise = rng.uniform(-1.0, 1.0, 7) * high
            values = (
                noise,  # retargeted each tick
                2.0 * noise,  # beyond the spec
                direction,  # full speed one way: to the faces and zones, and along them
                direction * (-1.0) ** k,  # back and forth
                direction * (k % 3 == 0),  # stop and go
                np.where(rng.random(7) < 0.3, rng.choice(EXTREMES, 7), noise),  # not numbers
                noise * 10.0 ** rng.uniform(-320, 300, 7),  # all magnitudes, denormals included
                0.1 * direction + 0.02 * noise,  # slowly along a limit
            )[kind]
            values = np.array(values)
            values[6] = rng.choice([0.0, 1.0, 0.5, values[6]])
            yield Action(tuple(values.tolist())[: 6 if rng.random() < 0.002 else 7])


@final
class _IdealRobot:
    """Goes exactly where it is told."""

    def __init__(self, arm: SerialArm, spec: ActionSpec) -> None:
        self._arm, self._period_s = arm, 1.0 / spec.control_hz
        self.joints = HOME
        self.position, self.quaternion = arm.tool_pose(HOME)
        self.gripper = 1.0

    def execute(self, action: Action) -> None:
        dx, dy, dz, roll, pitch, yaw, self.gripper = action.values
        x, y, z = self.position
        self.position = (x + dx, y + dy, z + dz)
        self.quaternion = _turned(self.quaternion, (roll, pitch, yaw))
        self.joints = self._arm.reach(self.joints, self.position, self.quaternion).joints

    def context(self, rng: np.random.Generator, index: int, memory: Any) -> GuardContext:
        """What guards see, now and then with something wrong in it."""
        now_s = index * self._period_s
        pose = (*self.position, *self.quaternion)
        felt_pose, captured_s, force, reason, first = pose, now_s, 0.0, None, 31800
        if rng.random() < NOT_ALWAYS:
            fault = int(rng.integers(6))
            felt_pose = (pose[0] + 0.3, *pose[1:]) if fault == 0 else pose
            captured_s = now_s - (5.0 if fault == 1 else 0.0)
            force = (0.0, 17.0, 25.0)[fault // 2] if fault > 1 else 0.0
            first = 2 if fault == 3 else 31800
            reason = "pressed" if fault == 5 and rng.random() < 0.2 else None
        robot = RobotState(pose, self.joints, (0.0,) * 7, (0.0,) * 7, (0.0, 0.0, force), force, 0.3, reason)
        felt = Proprioception(self.joints, felt_pose, self.gripper)
        observation = Observation({}, felt, "", captured_s, index, robot)
        tokens = ActionTokens((first, *(31800,) * 6), None, (0.5,) * 7)
        frames = {"front": FrameFacts(index, 1.0 if rng.random() < 0.001 else 100.0)}
        hold = Action((0.0,) * 6 + (self.gripper,))
        return GuardContext(observation, now_s, tokens, hold, frames, memory)


@final
class _Checker:
    """Limits, on what came out. It computes its rotations and distances itself."""

    def __init__(self, chain: GuardChain, spec: ActionSpec, tally: Tally) -> None:
        self._tally, self._spec = tally, spec
        found = {type(guard): guard for guard in chain.guards}
        self._motion: Any = found.get(Motion)
        self._workspace: Any = found.get(Workspace)
        self._orientation: Any = found.get(Orientation)
        self._keep_out: Any = found.get(KeepOut)
        self._period_s = 1.0 / spec.control_hz

    def start(self, robot: _IdealRobot) -> None:
        """The robot stands still here."""
        self._deltas = [np.zeros(6), np.zeros(6)]

    def check(self, robot: _IdealRobot, action: Action, memory: Any) -> None:
        """Judge one step that was made."""
        self._tally.executed += 1
        values = np.array(action.values)
        if values.shape != (7,) or not np.isfinite(values).all():
            self._tally.violations["finite"] += 1
            return
        self._at_most("spec", np.abs(values[:6]), np.array(self._spec.high[:6]))
        if self._motion is not None:
            self._check_motion(values[:6], memory)
        if self._workspace is not None:
            self._check_box(robot.position)
        if self._orientation is not None:
            self._check_rotation(robot.quaternion)
        if self._keep_out is not None:
            self._check_zones(robot)

    def _check_motion(self, delta: np.ndarray, memory: Any) -> None:
        before, last = self._deltas
        period = self._period_s
        velocity, acceleration, jerk = (
            np.array(limit) for limit in (self._motion.velocity, self._motion.acceleration, self._motion.jerk)
        )
        self._at_most("velocity", np.abs(delta) / period, velocity)
        self._at_most("acceleration", np.abs(delta - last) / period**2, acceleration)
        self._at_most("jerk", np.abs(delta - 2.0 * last + before) / period**3, jerk)
        moving = memory.get("motion")
        self._deltas = [last, delta]
        if moving is None:
            return
        self._at_most("velocity at the end of a step", np.abs(moving.velocity), velocity)
        self._at_most("acceleration at the end of a step", np.abs(moving.acceleration), acceleration)

    def _check_box(self, position: tuple[float, ...]) -> None:
        for here, (low, high) in zip(position, self._workspace.box, strict=True):
            half = (high - low) / 2.0
            self._at_most("workspace", np.array([abs(here - (low + high) / 2.0)]), np.array([half]))

    def _check_rotation(self, quaternion: tuple[float, ...]) -> None:
        axes = _matrix(quaternion)
        tilt = math.acos(min(max(-axes[2, 2], -1.0), 1.0))
        heading = abs(math.atan2(axes[1, 0], axes[0, 0]))
        limits = np.array([self._orientation.max_tilt_rad, self._orientation.max_heading_rad])
        self._at_most("orientation", np.array([tilt, heading]), limits)

    def _check_zones(self, robot: _IdealRobot) -> None:
        axes = _matrix(robot.quaternion)
        for zone in self._keep_out.zones.values():
            low, high = np.array(zone).T
            for (x, y, z), radius in self._keep_out.shape:
                centre = np.array(robot.position) + axes @ np.array([x, y, z])
                gap = float(np.linalg.norm(np.maximum(np.maximum(low - centre, centre - high), 0.0)))
                if gap < radius * (1.0 - ROUNDING):
                    self._tally.violations["keep-out zone"] += 1
                    return

    def _at_most(self, name: str, values: np.ndarray, limits: np.ndarray) -> None:
        share = float(np.max(values / limits))
        self._tally.worst[name] = max(self._tally.worst.get(name, 0.0), share)
        if not share <= 1.0 + ROUNDING:
            self._tally.violations[name] += 1


def _turned(quaternion: tuple[float, ...], rpy: tuple[float, ...]) -> tuple[float, float, float, float]:
    """A rotation xyzw after turns about the fixed axes x, y, z in this order."""
    for axis, angle in enumerate(rpy):
        turn = np.zeros(4)
        turn[axis], turn[3] = math.sin(angle / 2.0), math.cos(angle / 2.0)
        v, w, u, s = turn[:3], turn[3], np.array(quaternion[:3]), quaternion[3]
        quaternion = (*(w * u + s * v + np.cross(v, u)).tolist(), float(w * s - v @ u))
    x, y, z, w = (np.array(quaternion) / np.linalg.norm(quaternion)).tolist()
    return (x, y, z, w)


def _matrix(quaternion: tuple[float, ...]) -> np.ndarray:
    """Shape (3, 3), from xyzw."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
