"""Policies that do everything wrong, to prove guards with. Never for a real robot."""

from typing import Any, final

import numpy as np

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, ActionChunk, Observation, Proposal

SAFE_HEIGHT_M = 0.20  # [m] of the tool, from which the presser starts
OVER_M = 0.01  # [m] horizontally from its target, when it starts pressing


@final
class ConstantPolicy:
    """Full speed in one direction per episode, which a seed draws; one in three turns as well."""

    privileged = False

    def __init__(self, action_spec: ActionSpec) -> None:
        """Args: action_spec: what the environment expects."""
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self.reset(0)

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Draw the direction."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
        high = np.array(self.action_spec.high)
        values = rng.choice([-1.0, 0.0, 1.0], 7) * high
        values[3:6] *= rng.random() < 1 / 3
        values[6] = rng.integers(2)
        self._chunk = _chunk(self.unnormalizer, values)

    def act(self, observation: Observation) -> ActionChunk:
        """The same, always."""
        return self._chunk


@final
class SeekerPolicy:
    """Drives at the middle of a box at full speed, again and again, from wherever it was turned away to."""

    privileged = False

    def __init__(self, action_spec: ActionSpec, x_m: Any, y_m: Any, z_m: Any) -> None:
        """Set the box.

        Args:
            action_spec: What the environment expects.
            x_m: Low and high of the box, base frame [m].
            y_m: The same for y [m].
            z_m: The same for z [m].
        """
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self._middle = np.array([(low + high) / 2.0 for low, high in (x_m, y_m, z_m)])
        self.reset(0)

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Draw which way it wanders off now and then, so that it comes from many sides."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
        self._wander, self._left = np.zeros(3), 0

    def act(self, observation: Observation) -> ActionChunk:
        """Straight at it, or away for a while."""
        felt = observation.proprioception
        if felt is None:
            raise ConfigurationError("policy seeker: the environment reports no tool pose")
        high = np.array(self.action_spec.high)
        if self._left == 0:
            self._left = int(self._rng.integers(5, 20))
            away = self._rng.random() < 0.4
            self._wander = self._rng.uniform(-1.0, 1.0, 3) if away else np.zeros(3)
        self._left -= 1
        towards = self._middle - np.array(felt.end_effector_pose[:3])
        direction = self._wander if self._wander.any() else towards / max(np.abs(towards).max(), 1e-9)
        turn = self._rng.uniform(-1.0, 1.0, 3) * (self._rng.random() < 0.3)
        return _chunk(self.unnormalizer, np.array([*direction, *turn, 1.0]) * high)


@final
class PresserPolicy:
    """Goes over a thing or a bowl's rim with a closed gripper, and drives straight down. Privileged: it knows where."""

    privileged = True

    def __init__(self, action_spec: ActionSpec, simulator: Any) -> None:
        """Args: action_spec: what the environment expects; simulator: says where things are."""
        if simulator is None:
            raise ConfigurationError("policy presser: it reads a simulator, and this environment has none")
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self._simulator = simulator
        self._over: np.ndarray | None = None

    def describe(self) -> dict[str, object]:
        """Nothing beside its configuration."""
        return {}

    def reset(self, seed: int) -> None:
        """Draw what to press on, where, and how hard."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
        bodies = self._simulator.state().bodies
        body = bodies[sorted(bodies)[int(rng.integers(len(bodies)))]]
        radius = 0.5 * max(body.item.kind.size[:2]) * rng.choice([0.0, 0.8, 0.95])
        angle = rng.uniform(-np.pi, np.pi)
        self._over = np.array(body.position[:2]) + radius * np.array([np.cos(angle), np.sin(angle)])
        self._speed = float(rng.choice([0.3, 0.6, 1.0]))
        self._pressing = False

    def act(self, observation: Observation) -> ActionChunk:
        """First over it, then down."""
        if self._over is None:
            self.reset(0)
        assert self._over is not None
        high = np.array(self.action_spec.high)
        x, y, z = self._simulator.state().target_position
        off = np.array([*(self._over - (x, y)), SAFE_HEIGHT_M - z])
        self._pressing = self._pressing or bool(np.abs(off).max() < OVER_M)
        step = (
            np.array([0.0, 0.0, -self._speed * high[2]]) if self._pressing else off.clip(-high[:3], high[:3])
        )
        return _chunk(self.unnormalizer, np.array([*step, 0.0, 0.0, 0.0, 0.0]))


def _chunk(unnormalizer: ActionStatistics, values: np.ndarray) -> ActionChunk:
    return ActionChunk((Proposal(unnormalizer.normalize(Action(tuple(values.tolist())))),))
