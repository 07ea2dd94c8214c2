"""Any Gymnasium environment with images, proprioception and an instruction, as the loop's Environment.

The observation must be a dictionary: `images` (by camera name), `instruction`, and `proprioception` with
`joint_positions`, `end_effector_pose`, `gripper_opening` where there is any. An environment that has an `outcome()`
is asked for it; of another one, `info["is_success"]` is reported. One that has `sensing()` is asked what the robot's
controller says, and one that has `command`, `advance` and `observe` can be moved by a clock.
"""

from collections.abc import Callable, Mapping
from typing import Any, final

import gymnasium
import numpy as np

from vla_runtime.errors import ConfigurationError, EnvironmentNotReady
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec
from vla_runtime.types import Action, Observation, Proprioception, RobotState

GREY = 128  # of 255


@final
class GymEnvironment:
    """Splits Gymnasium's `step` into act and observe."""

    def __init__(
        self,
        env: "gymnasium.Env[Any, Any]",
        control_hz: float,
        step_limit: int | None = None,
        *,
        blank_images: bool = False,
    ) -> None:
        """Wrap an environment whose action is x, y, z [m], roll, pitch, yaw [rad] deltas and a gripper opening.

        Args:
            env: The environment.
            control_hz: Actions per second of its own time [Hz].
            step_limit: Steps after which an episode ends; None: its own `step_limit`.
            blank_images: Show grey pictures only: what a policy does that does not see.
        """
        space = env.action_space
        if not isinstance(space, gymnasium.spaces.Box) or space.shape != (len(DELTA_AXES),):
            raise ConfigurationError(f"action space {space}: expected a Box of {len(DELTA_AXES)} numbers")
        self._env, self._blank_images = env, blank_images
        self.simulator: Any = env.unwrapped
        self.action_spec = ActionSpec(
            DELTA_AXES,
            DELTA_UNITS,
            tuple(space.low.tolist()),
            tuple(space.high.tolist()),
            control_hz=control_hz,
        )
        limit = step_limit if step_limit is not None else getattr(self.simulator, "step_limit", None)
        if limit is None:
            raise ConfigurationError("step_limit: this environment has none of its own; give one")
        self.step_limit = int(limit)
        self._raw: Mapping[str, Any] | None = None
        self._info: Mapping[str, Any] = {}
        self._step = 0
        self._ended = self._stopped = False
        self._closed = self._paced = self._started = False

    @property
    def robot_limits(self) -> Mapping[str, Any]:
        """What the robot's side allows, by guard and limit, for example "workspace.x_m"; guards may only be stricter."""
        return getattr(self.simulator, "robot_limits", {})

    def paced_by_clock(self) -> Callable[[float], None]:
        """From now on `act` only commands, and the world goes on when the returned function is called with a time [s].

        Raises:
            ConfigurationError: The environment only knows whole steps.
        """
        if not all(
            hasattr(type(self.simulator), name)
            for name in ("command", "advance", "observe", "terminated", "truncated")
        ):
            raise ConfigurationError(
                f"clock=simulated: {type(self.simulator).__name__} only knows whole steps; expected clock=lockstep"
            )
        self._paced = True
        return self._advance

    def _advance(self, duration_s: float) -> None:
        if self._started and not (self._stopped or self._ended):
            self.simulator.advance(duration_s)
            self._ended = self.simulator.terminated or self.simulator.truncated
            self._raw = None

    def reset(self, seed: int) -> None:
        """Start the episode of a seed."""
        self._raw, self._info = self._env.reset(seed=seed)
        self._started = True
        self._step = 0
        self._ended = self._stopped = False

    def observe(self, now_s: float) -> Observation:
        """The newest observation."""
        if not self._started:
            raise EnvironmentNotReady("observe before reset: call reset first")
        if self._raw is None:
            self._raw = self.simulator.observe()
        raw = self._raw
        assert raw is not None
        felt = _proprioception(raw)
        images = raw["images"]
        if self._blank_images:
            images = {name: np.full_like(image, GREY) for name, image in images.items()}
        return Observation(images, felt, raw["instruction"], now_s, self._step, self._robot())

    def act(self, action: Action) -> None:
        """Execute one action: let one control period pass, or only command it when a clock paces the world."""
        if self._paced and self._ended and not self._stopped:
            return  # it ended while the policy was thinking
        if not self._started or self._stopped or self._ended:
            state = "reset" if not self._started else "the episode ended" if self._ended else "stop"
            when = "before" if not self._started else "after"
            raise EnvironmentNotReady(f"act {when} {state}: call reset first")
        values = np.array(action.values)
        if self._paced:
            self.simulator.command(values)
        else:
            self._raw, _, terminated, truncated, self._info = self._env.step(values)
            self._ended = bool(terminated or truncated)
        self._step += 1

    def hold_action(self, observation: Observation) -> Action:
        """No delta; the gripper stays as it was last told, so that nothing is dropped."""
        told = getattr(self.simulator, "gripper_target", None)
        felt = observation.proprioception.gripper_opening if observation.proprioception else 1.0
        opening = min(max(felt if told is None else float(told), 0.0), 1.0)
        return Action((0.0,) * (len(DELTA_AXES) - 1) + (opening,))

    @property
    def done(self) -> bool:
        """Whether the environment terminated or truncated the episode."""
        return self._ended

    def outcome(self) -> Mapping[str, Any]:
        """What the environment says of the episode."""
        if hasattr(self.simulator, "outcome"):
            return self.simulator.outcome()
        success = bool(self._info.get("is_success", False))
        return {"success_at_end": success, "success_once": success, "stage": None}

    def stop(self) -> None:
        """A simulated world only moves when stepped: refuse further steps until the next reset."""
        self._stopped = True

    def close(self) -> None:
        """Close the environment."""
        if not self._closed:
            self._closed = True
            self._env.close()

    def _robot(self) -> RobotState | None:
        """What the robot's controller says, where the environment asks it."""
        sensing = getattr(self.simulator, "sensing", None)
        return None if sensing is None else RobotState(**vars(sensing()))


def _proprioception(raw: Mapping[str, Any]) -> Proprioception | None:
    felt = raw.get("proprioception")
    if felt is None:
        return None
    return Proprioception(
        tuple(felt["joint_positions"].tolist()),
        tuple(felt["end_effector_pose"].tolist()),
        float(felt["gripper_opening"][0]),
    )
