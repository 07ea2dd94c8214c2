"""TabletopEnv: world + robot + task + cameras, as a Gymnasium environment.

Action: 7 physical numbers, see `sim.control`. Observation: images, proprioception and the instruction. The reward is 1
in every step in which the goal has been satisfied for half a second, else 0. `terminated` means that it stayed so for
another second; `truncated` that the time limit passed.
"""

import math
import os
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sim.cameras import Camera, CameraRig, Image, Light
from sim.control import ActionLimits
from sim.errors import InvalidSetting, SimulatorError
from sim.judge import HOLD_S, Judge
from sim.robots.panda import SUBSTEPS_PER_TARGET, Panda
from sim.seeding import Streams
from sim.simulation import Simulation
from sim.state import SimulatorState
from sim.tasks import Goal, Problem, Task, make_task
from sim.trace import Trace
from sim.world import SUBSTEP_S

LONGEST_UNJUDGED = 16  # [substeps] between two looks at the goal: at least 15 looks per simulated second
SETTLE_TRIES = 20
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;?!'\"()+-=/&"
LONGEST_INSTRUCTION = 200  # [characters]


class TabletopEnv(gym.Env[dict[str, Any], np.ndarray]):
    """A robot at a table, a task, and cameras that watch."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 Gymnasium's own convention

    def __init__(
        self,
        task: Task | str = "place_in",
        *,
        robot: Panda | None = None,
        cameras: dict[str, Camera] | None = None,
        light: Light | None = None,
        control_hz: int = 5,
        speed_mps: float = 0.25,
        speed_radps: float = 1.25,
        time_limit_s: float = 20.0,
        after_success_s: float = 1.0,
        cached_background: bool = True,
        view: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """Build the spaces and connect to Bullet.

        Args:
            task: A task or its name.
            robot: The arm; a Panda at its home pose by default.
            cameras: By name; one called "front" by default. An empty dictionary renders nothing.
            light: Where light comes from, and whether it throws shadows.
            control_hz: Actions per simulated second [Hz]: 3, 5, 10 or 20.
            speed_mps: Largest speed along each axis [m/s]; limits one action's step.
            speed_radps: Largest speed about each axis [rad/s]; limits one action's turn.
            time_limit_s: Simulated time after which an episode is truncated [s].
            after_success_s: An episode ends this long after success, if the goal stays satisfied [s].
            cached_background: Draw what never moves once per episode (same pixels, faster).
            view: Open PyBullet's window.
            render_mode: None or "rgb_array" (the first camera's image).

        Raises:
            InvalidSetting, UnknownName: A setting outside what makes sense.
        """
        self.task = make_task(task) if isinstance(task, str) else task
        self.limits = ActionLimits.at_rate(control_hz, speed_mps, speed_radps)
        self.control_hz = control_hz
        self.time_limit_s = _positive("time_limit_s", time_limit_s)
        self.after_success_s = _not_negative("after_success_s", after_success_s)
        if render_mode not in (None, "rgb_array"):
            raise InvalidSetting(f"render_mode {render_mode!r}: expected None or 'rgb_array'")
        if view and not os.environ.get("DISPLAY"):
            raise InvalidSetting(
                "view=true needs a display, and DISPLAY is not set; episode.mp4 shows the same"
            )
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": control_hz}
        chosen = {"front": Camera()} if cameras is None else dict(cameras)
        self.action_space = spaces.Box(self.limits.low, self.limits.high, dtype=np.float64)
        self.observation_space = _observation_space(chosen)
        rig = CameraRig(chosen, light or Light(), cached_background=cached_background)
        self.simulation = Simulation(robot or Panda(), rig, self.limits, window=view)
        self._substeps = round(1.0 / (control_hz * SUBSTEP_S))
        self._substeps_per_judgement = _judgement_interval(self._substeps)
        self._judge: Judge | None = None

    # ------------------------------------------------------------------------------------------------ Gymnasium

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the episode of a seed; without a seed, the next one of the environment's own random stream."""
        super().reset(seed=seed)
        self.seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.problem = self._set_up()
        self.goal: Goal = self.problem.goal
        self.time_s = 0.0
        self._limited: list[str] = []
        self._trace = Trace()
        self._trace.add_state(self.simulation.numbers())
        self._judge = Judge(self.goal, self.state())
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Let one control period pass. Raises InvalidAction before anything moves."""
        judge = self._judge
        if judge is None:
            raise SimulatorError("step before reset: call reset first")
        self._limited = self.simulation.command(action, self._substeps)
        for _ in range(self._substeps // self._substeps_per_judgement):
            self.simulation.advance(self._substeps_per_judgement)
            judge.watch(self.state(), self._substeps_per_judgement * SUBSTEP_S)
        self.time_s += self._substeps * SUBSTEP_S
        self.simulation.read()
        self._trace.add_state(self.simulation.numbers())
        terminated = judge.held_s >= HOLD_S + self.after_success_s - 1e-9
        truncated = not terminated and self.time_s >= self.time_limit_s - 1e-9
        return self._observe(), float(judge.success), terminated, truncated, self._info()

    def render(self) -> Image | None:  # type: ignore[override]
        """What the first camera sees, as a new array of shape (height, width, 3)."""
        if self.render_mode is None or self._judge is None:
            return None
        return next(iter(self.simulation.images().values()), None)

    def close(self) -> None:
        """Disconnect from Bullet; a second call does nothing."""
        self.simulation.close()

    # ------------------------------------------------------------------------------------------------- episodes

    @property
    def step_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return math.ceil(self.time_limit_s * self.control_hz - 1e-9)

    @property
    def gripper_target(self) -> float:
        """The gripper opening that was last commanded, 0 to 1."""
        return self.simulation.target.gripper

    def outcome(self) -> dict[str, Any]:
        """How the episode stands now, for its record. Plain values only."""
        judge = self._judge
        if judge is None:
            raise SimulatorError("outcome before reset: call reset first")
        return {
            "success_at_end": judge.success,
            "success_once": judge.success_once,
            "stage": judge.stage.name.lower(),
            "wrong_target": judge.wrong_target,
            "chance_level": self.problem.chance_level,
            "drops": judge.drops,
            "others_moved": judge.others_moved(self.state()),
            "simulated_s": round(self.time_s, 6),
            "state_hash": self._trace.state_hash,
            "image_hash": self._trace.image_hash,
        }

    def state(self) -> SimulatorState:
        """The true state. For goals and experts, never for policies."""
        return self.simulation.state()

    def _set_up(self) -> Problem:
        """Draw and load the problem of `self.seed`; one whose things roll away while settling is drawn again."""
        for attempt in range(SETTLE_TRIES):
            problem = self.task.sample(Streams(self.seed, attempt))
            if self.simulation.load(problem.scene):
                return problem
        raise SimulatorError(f"seed {self.seed}: no scene of task {self.task.name} came to rest")

    def _observe(self) -> dict[str, Any]:
        images = self.simulation.images()
        for image in images.values():
            self._trace.add_image(image)
        reading = self.simulation.reading
        return {
            "images": images,
            "proprioception": {
                "joint_positions": np.array(reading.joint_positions),
                "end_effector_pose": np.array([*reading.tool_position, *reading.tool_quaternion]),
                "gripper_opening": np.array([reading.gripper_opening]),
            },
            "instruction": self.problem.instruction,
        }

    def _info(self) -> dict[str, Any]:
        assert self._judge is not None
        return {
            "instruction": self.problem.instruction,
            "time_s": self.time_s,
            "success": self._judge.success,
            "stage": self._judge.stage.name.lower(),
            "limited": list(self._limited),
        }


def _judgement_interval(substeps: int) -> int:
    """Substeps between two looks at the goal: as many as allowed that fit both the motor interval and the period."""
    return max(
        n for n in range(SUBSTEPS_PER_TARGET, LONGEST_UNJUDGED + 1, SUBSTEPS_PER_TARGET) if substeps % n == 0
    )


def _observation_space(cameras: dict[str, Camera]) -> spaces.Dict:
    images: dict[str, spaces.Space[Any]] = {
        name: spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
        for name, camera in cameras.items()
    }
    proprioception: dict[str, spaces.Space[Any]] = {
        "joint_positions": spaces.Box(-2 * np.pi, 2 * np.pi, (7,), np.float64),
        "end_effector_pose": spaces.Box(-2.0, 2.0, (7,), np.float64),
        "gripper_opening": spaces.Box(-0.2, 1.2, (1,), np.float64),
    }
    return spaces.Dict(
        {
            "images": spaces.Dict(images),
            "proprioception": spaces.Dict(proprioception),
            "instruction": spaces.Text(LONGEST_INSTRUCTION, charset=CHARACTERS),
        }
    )


def _positive(name: str, value: float) -> float:
    if not value > 0.0 or math.isinf(value):
        raise InvalidSetting(f"{name} {value!r}: expected more than 0 [s]")
    return float(value)


def _not_negative(name: str, value: float) -> float:
    if not value >= 0.0:
        raise InvalidSetting(f"{name} {value!r}: expected 0 or more [s]")
    return float(value)
