"""TabletopEnv: world + robot + task + cameras, as a Gymnasium environment.

A step is `command` (set out), `advance` (let one control period pass) and `observe`. Callers for whom time goes on while
they think use these three themselves: the world moves under the last command for as long as `advance` says.

Action: 7 physical numbers, see `sim.control`. Observation: images, proprioception and the instruction. The reward is 1
in every step in which the goal has been satisfied for half a second, else 0. `terminated` means that it stayed so for
another second; `truncated` that the time limit passed.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sim.cameras import Camera, CameraRig, Image, Light
from sim.control import WORKSPACE, ActionLimits
from sim.errors import InvalidSetting, SimulatorError
from sim.judge import HOLD_S, Judge
from sim.robots.panda import SUBSTEPS_PER_TARGET, Panda
from sim.seeding import Streams
from sim.sensing import Sensing
from sim.simulation import Simulation
from sim.state import SimulatorState
from sim.tasks import Goal, ManyProblems, Problem, Task, make_task
from sim.tasks.sampling import check_count
from sim.trace import Trace
from sim.variation import Look, Variation, draw_look, draw_substance, noisy, reworded
from sim.world import SUBSTEP_S

LONGEST_UNJUDGED = 16  # [substeps] between two looks at the goal: at least 15 looks per simulated second
MOTOR_INTERVAL_S = SUBSTEPS_PER_TARGET * SUBSTEP_S  # [s] the shortest time that can pass
SETTLE_TRIES = 20
PROTECTIVE_STOP = "protective_stop"  # in info["limited"] from when the robot has stopped itself
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
        variation: Variation | None = None,
        control_hz: int = 5,
        speed_mps: float = 0.25,
        speed_radps: float = 1.25,
        time_limit_s: float = 20.0,
        after_success_s: float = 1.0,
        cached_background: bool = True,
        instructions_per_scene: int = 1,
        view: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """Build the spaces and connect to Bullet.

        Args:
            task: A task or its name.
            robot: The arm; a Panda at its home pose by default.
            cameras: By name; one called "front" by default. An empty dictionary renders nothing.
            light: Where light comes from, and whether it throws shadows.
            variation: What about the picture is drawn anew for each episode; None: nothing.
            control_hz: Actions per simulated second [Hz]: 3, 5, 10 or 20.
            speed_mps: Largest speed along each axis [m/s]; limits one action's step.
            speed_radps: Largest speed about each axis [rad/s]; limits one action's turn.
            time_limit_s: Simulated time after which an episode is truncated [s].
            after_success_s: An episode ends this long after success, if the goal stays satisfied [s].
            cached_background: Draw what never moves once per episode (same pixels, faster).
            instructions_per_scene: So many consecutive seeds share a scene and differ in what is asked for, where the task
                knows what else could be asked there; 1 to 100.
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
        self.instructions_per_scene = check_count("instructions_per_scene", instructions_per_scene, 1, 100)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": control_hz}
        chosen = {"front": Camera()} if cameras is None else dict(cameras)
        self.action_space = spaces.Box(self.limits.low, self.limits.high, dtype=np.float64)
        self.observation_space = _observation_space(chosen)
        self.variation = variation or Variation()
        self._usual = self._look = Look(chosen, light or Light())
        rig = CameraRig(chosen, self._usual.light, cached_background=cached_background)
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
        self.instruction = reworded(
            self.problem.instruction, self._look.words, self._streams("variation: words")
        )
        self.goal: Goal = self.problem.goal
        self._substeps_passed = 0
        self._owed_s = 0.0  # [s] asked for and not yet passed: zero or less, because durations are rounded up
        self._limited: list[str] = []
        self._trace = Trace()
        self._trace.add_state(self.simulation.numbers())
        self._judge = Judge(self.goal, self.state())
        return self.observe(), self.info()

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Let one control period pass. Raises InvalidAction before anything moves."""
        self.command(action)
        self.advance(self.period_s)
        return self.observe(), self.reward, self.terminated, self.truncated, self.info()

    def render(self) -> Image | None:  # type: ignore[override]
        """What the first camera sees, as a new array of shape (height, width, 3)."""
        if self.render_mode is None or self._judge is None:
            return None
        return next(iter(self.simulation.images().values()), None)

    def close(self) -> None:
        """Disconnect from Bullet; a second call does nothing."""
        self.simulation.close()

    # ---------------------------------------------------------------------------------------------- parts of a step

    def command(self, action: np.ndarray) -> None:
        """Set out to do an action within one control period, and drop what is left of the last one. Nothing moves yet.

        Raises:
            InvalidAction: Wrong shape, or not finite; the last command goes on.
        """
        self._watched("command")
        self._limited = self.simulation.command(action, self._substeps)

    def advance(self, duration_s: float) -> None:
        """Let the world go on under the last command; the arm holds still once that is done.

        Args:
            duration_s: Simulated time [s]. It is rounded up to whole motor intervals (1/60 s), and what was added is
                left out of later calls, so that many short waits do not add up to more than was asked.
        """
        judge = self._watched("advance")
        for substeps in self._portions(_duration(duration_s)):
            self.simulation.advance(substeps)
            judge.watch(self.state(), substeps * SUBSTEP_S)
            self._substeps_passed += substeps
        self.simulation.read()
        self._trace.add_state(self.simulation.numbers())

    def observe(self) -> dict[str, Any]:
        """What the policy sees now."""
        images = {name: self._sensed(name, image) for name, image in self.simulation.images().items()}
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
            "instruction": self.instruction,
        }

    @property
    def reward(self) -> float:
        """1 while the goal has been satisfied for half a second, else 0."""
        return float(self._watched("reward").success)

    @property
    def terminated(self) -> bool:
        """Whether the goal has stayed satisfied for long enough to end the episode."""
        return self._watched("terminated").held_s >= HOLD_S + self.after_success_s - 1e-9

    @property
    def truncated(self) -> bool:
        """Whether the time limit has passed without that."""
        return not self.terminated and self.time_s >= self.time_limit_s - 1e-9

    def info(self) -> dict[str, Any]:
        """How the episode stands, as `step` gives it."""
        judge = self._watched("info")
        return {
            "instruction": self.instruction,
            "time_s": self.time_s,
            "success": judge.success,
            "stage": judge.stage.name.lower(),
            "limited": list(self._limited) + ([PROTECTIVE_STOP] if self.stopped else []),
        }

    @property
    def stopped(self) -> bool:
        """Whether the robot's collision reflex has stopped it, until the next reset."""
        return self.simulation.robot.reflex.reason is not None

    def _portions(self, duration_s: float) -> Iterator[int]:
        """Substeps from one look at the goal to the next, until a duration [s] has passed."""
        self._owed_s += duration_s
        intervals = max(math.ceil(self._owed_s / MOTOR_INTERVAL_S - 1e-9), 0)
        self._owed_s -= intervals * MOTOR_INTERVAL_S
        left = intervals * SUBSTEPS_PER_TARGET
        while left > 0:
            portion = min(left, self._substeps_per_judgement)
            yield portion
            left -= portion

    def _sensed(self, camera: str, image: Image) -> Image:
        """A picture with the noise of its camera, which depends on the time and not on how often one looks."""
        if not self._look.noise:
            return image
        stream = self._streams(f"noise: {camera} at {self._substeps_passed}")
        return noisy(image, self._look.noise, stream)

    def _watched(self, asked: str) -> Judge:
        if self._judge is None:
            raise SimulatorError(f"{asked} before reset: call reset first")
        return self._judge

    # ------------------------------------------------------------------------------------------------- episodes

    @property
    def time_s(self) -> float:
        """Simulated time since reset [s]."""
        return self._substeps_passed * SUBSTEP_S

    @property
    def period_s(self) -> float:
        """Simulated time of one step [s]."""
        return self._substeps * SUBSTEP_S

    @property
    def step_limit(self) -> int:
        """Steps after which an episode is truncated."""
        return math.ceil(self.time_limit_s * self.control_hz - 1e-9)

    @property
    def gripper_target(self) -> float:
        """The gripper opening that was last commanded, 0 to 1."""
        return self.simulation.target.gripper

    @property
    def robot_limits(self) -> dict[str, Any]:
        """What the robot's side allows, by guard and limit: whoever guards it may only be stricter."""
        sides = dict(zip(("workspace.x_m", "workspace.y_m", "workspace.z_m"), WORKSPACE, strict=True))
        return {**sides, "contact_force.stop_n": self.simulation.robot.reflex.limit_n}

    def outcome(self) -> dict[str, Any]:
        """How the episode stands now, for its record. Plain values only; `variation` where something is varied."""
        judge = self._watched("outcome")
        varied = {"variation": dict(self._look.told)} if self._look.told else {}
        return {
            "success_at_end": judge.success,
            "success_once": judge.success_once,
            "stage": judge.stage.name.lower(),
            "wrong_target": judge.wrong_target,
            "chance_level": self.problem.chance_level,
            "drops": judge.drops,
            "target": self.goal.target,
            "first_lifted": judge.first_lifted,
            "others_moved": judge.others_moved(self.state()),
            "simulated_s": round(self.time_s, 6),
            "state_hash": self._trace.state_hash,
            "image_hash": self._trace.image_hash,
            **varied,
        }

    def state(self) -> SimulatorState:
        """The true state. For goals and experts, never for policies."""
        return self.simulation.state()

    def sensing(self) -> Sensing:
        """What the robot's controller can say about itself and about what pushes against it."""
        self._watched("sensing")
        return self.simulation.sensing()

    def _set_up(self) -> Problem:
        """Draw and load the problem of `self.seed`; one whose things roll away while settling is drawn again."""
        scene, number = divmod(self.seed, self.instructions_per_scene)
        self._streams = Streams(scene)
        self._look = draw_look(self.variation, self._streams, self._usual)
        for attempt in range(SETTLE_TRIES):
            streams = Streams(scene, attempt)
            problem = self.task.sample(streams)
            if self.simulation.load(problem.scene, self._look):
                self._alter()
                return self._asked(problem, number, streams)
        raise SimulatorError(f"seed {self.seed}: no scene of task {self.task.name} came to rest")

    def _alter(self) -> None:
        """Things of other mass and friction, each from a stream of its own."""
        level = self._look.physics
        if level == "none":
            return
        made = {
            body: draw_substance(level, self._streams(f"variation: physics of {body}"))
            for body in self.simulation.movable
        }
        self.simulation.alter(made)
        told = {
            **self._look.told["physics"],
            "factors": {body: [substance.mass, substance.friction] for body, substance in made.items()},
        }
        self._look = replace(self._look, told={**self._look.told, "physics": told})

    def _asked(self, problem: Problem, number: int, streams: Streams) -> Problem:
        """The problem itself for number 0, then in random order what else could be asked in its scene, then again."""
        others = self.task.others(problem) if number and isinstance(self.task, ManyProblems) else []
        order = streams("instructions").permutation(len(others))
        every = [problem, *(others[int(index)] for index in order)]
        return every[number % len(every)]


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


def _duration(value: float) -> float:
    if not value >= 0.0 or math.isinf(value):
        raise InvalidSetting(f"duration_s {value!r}: expected 0 or more [s]")
    return float(value)
