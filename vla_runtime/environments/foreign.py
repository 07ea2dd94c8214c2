"""A Gymnasium environment of other people's, as one that `GymEnvironment` takes: a picture, a sentence, a seven-axis action.

What it needs to be told is where things are: which numbers of its flat observation are the tool's position and the fingers' width, which
numbers of its action move the tool and the fingers, and by how much. Axes that it does not have, mostly the turns, are left out.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vla_runtime.errors import ConfigurationError, EnvironmentNotReady
from vla_runtime.specs import DELTA_AXES

NO_TURN_RAD = 1e-6  # [rad] bound of axes that are not there: an action spec knows no empty interval
SUCCESS = "is_success"
POINTING_DOWN = (1.0, 0.0, 0.0, 0.0)  # xyzw


@dataclass(frozen=True)
class Hand:
    """How the fingers are read and moved.

    Attributes:
        action: Number of the action's component that changes their width.
        state: Number of the observation's component that is their width [m].
        widest_m: Width of open fingers [m].
        step_m: Change of width at an action of 1 [m].
    """

    action: int
    state: int
    widest_m: float
    step_m: float


class ForeignEnv(gymnasium.Env[dict[str, Any], NDArray[np.float64]]):
    """Translates actions and observations; everything else is the other environment's."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 Gymnasium's own convention

    def __init__(
        self,
        id: str,
        instruction: str,
        position: Sequence[int],
        step_m: float,
        hand: Hand | None = None,
        base_m: Sequence[float] = (0.0, 0.0, 0.0),
        state: str | None = "observation",
        camera: str = "front",
        settings: Mapping[str, Any] | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        """Make the environment.

        Args:
            id: As `gymnasium.make` takes it; "module:Name" imports a module first.
            instruction: The sentence that a policy is given: these environments have none.
            position: Numbers of the state's components that are the tool's x, y, z [m]; the action's first three move it.
            step_m: The tool's way at an action of 1 [m].
            hand: How fingers are read and moved; None: there are none.
            base_m: Position of the robot's base in the environment's frame [m].
            state: Key of the flat state in the observation; None: the observation itself.
            camera: Name of the picture, which is what `render` gives.
            settings: Passed on to `gymnasium.make`.
            fresh: Make it anew for each episode: for environments whose episodes depend on those before.

        Raises:
            ConfigurationError: It cannot be made, or its action is not flat and long enough.
        """
        self._make = partial(_made, id, {**(settings or {})})
        self._env, self._fresh, self._used = self._make(), fresh, False
        space = self._env.action_space
        needed = max(2, hand.action if hand else 0) + 1
        if not isinstance(space, spaces.Box) or len(space.shape) != 1 or space.shape[0] < needed:
            raise ConfigurationError(
                f"environment {id!r}: action space {space}; expected a Box of at least {needed} numbers"
            )
        self._size, self._instruction, self._position = space.shape[0], instruction, list(position)
        self._step_m, self._hand, self._base, self._key = step_m, hand, np.array(base_m), state
        self._camera = camera
        bound = np.array([step_m] * 3 + [NO_TURN_RAD] * 3 + [1.0])
        self.action_space = spaces.Box(np.append(-bound[:-1], 0.0), bound, dtype=np.float64)
        self.step_limit = self._env.spec.max_episode_steps if self._env.spec else None
        self._once = self._success = False
        self._states, self._pictures = blake2b(digest_size=16), blake2b(digest_size=16)
        self._width_m = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the episode of a seed."""
        self._states, self._pictures = blake2b(digest_size=16), blake2b(digest_size=16)
        self._once = self._success = False
        if self._fresh and self._used:
            self._env.close()
            self._env = self._make()
        self._used = True
        seen, info = self._env.reset(seed=seed, options=options)
        return self._observed(seen), self._judged(info)

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute a seven-axis action."""
        seen, reward, terminated, truncated, info = self._env.step(self._translated(action))
        return self._observed(seen), float(reward), bool(terminated), bool(truncated), self._judged(info)

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """The picture."""
        picture = self._env.render()
        if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] < 3:
            raise EnvironmentNotReady(f"{self._env.spec and self._env.spec.id}: render gave no picture")
        return np.array(picture[..., :3], np.uint8)

    def close(self) -> None:
        """Close the other environment."""
        self._env.close()

    def outcome(self) -> dict[str, Any]:
        """What the other environment says of the episode, with hashes over its states and pictures."""
        return {
            "success_at_end": self._success,
            "success_once": self._once,
            "stage": None,
            "state_hash": self._states.hexdigest(),
            "image_hash": self._pictures.hexdigest(),
        }

    @property
    def gripper_target(self) -> float:
        """Its opening now, 0 to 1."""
        return min(max(self._width_m / self._hand.widest_m, 0.0), 1.0) if self._hand else 1.0

    def _translated(self, action: NDArray[np.float64]) -> NDArray[np.float32]:
        told = np.zeros(self._size, np.float32)
        told[:3] = action[:3] / self._step_m
        if self._hand is not None:
            wanted_m = float(action[len(DELTA_AXES) - 1]) * self._hand.widest_m
            told[self._hand.action] = (wanted_m - self._width_m) / self._hand.step_m
        return np.clip(told, -1.0, 1.0)

    def _observed(self, seen: Any) -> dict[str, Any]:
        state = np.asarray(seen if self._key is None else seen[self._key], np.float64)
        picture = self.render()
        self._states.update(struct.pack(f"<{state.size}d", *state.ravel()))
        self._pictures.update(picture.tobytes())
        self._width_m = float(state[self._hand.state]) if self._hand else 0.0
        pose = np.array([*(state[self._position] - self._base), *POINTING_DOWN])
        return {
            "images": {self._camera: picture},
            "proprioception": {
                "joint_positions": np.zeros(0),
                "end_effector_pose": pose,
                "gripper_opening": np.array([self.gripper_target]),
            },
            "instruction": self._instruction,
        }

    def _judged(self, info: Mapping[str, Any]) -> dict[str, Any]:
        self._success = bool(info.get(SUCCESS, False))
        self._once = self._once or self._success
        return dict(info)


def _made(id: str, settings: Mapping[str, Any]) -> "gymnasium.Env[Any, Any]":
    try:
        return gymnasium.make(id, render_mode="rgb_array", **settings)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ConfigurationError(f"environment {id!r}: {' '.join(str(error).split())}") from error
