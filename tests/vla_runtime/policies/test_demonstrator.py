"""The label is what the teacher would do; what is done is that with a push, or what somebody else does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.conftest import SPEC
from vla_runtime.errors import ConfigurationError
from vla_runtime.policies.baselines import RandomPolicy, ZeroPolicy
from vla_runtime.policies.demonstrator import Demonstrator, Noise
from vla_runtime.policies.scripted import ScriptedPolicy
from vla_runtime.types import Action, ActionChunk, Observation, Proposal

WANTED = (0.02, -0.03, 0.002, 0.0, 0.01, -0.2, 1.0)
STRONG = Noise(linear_m=0.005, angular_rad=0.01, share=0.3, steps=3.0, above_m=0.0)


class FixedExpert:
    def act(self, simulator: object, pending: np.ndarray) -> np.ndarray:
        return np.array(WANTED)

    def plan(self, simulator: object, steps: int, pending: np.ndarray) -> np.ndarray:
        return np.array([WANTED] * steps)


class Counting:
    """A driver with chunks of four, whose first number counts."""

    action_spec = SPEC
    unnormalizer = ZeroPolicy(SPEC).unnormalizer
    privileged = False

    def __init__(self) -> None:
        self.asked = 0

    def describe(self) -> dict[str, object]:
        return {"name": "counting"}

    def reset(self, seed: int) -> None:
        self.asked = 0

    def act(self, observation: Observation) -> ActionChunk:
        self.asked += 1
        actions = [Action((0.001 * (4 * self.asked + i), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)) for i in range(4)]
        return ActionChunk(tuple(Proposal(self.unnormalizer.normalize(action)) for action in actions))


def demonstrator(**settings: Any) -> Demonstrator:
    policy = Demonstrator(ScriptedPolicy(FixedExpert(), object(), SPEC), SPEC, **settings)
    policy.reset(3)
    return policy


def played(policy: Demonstrator, observation: Observation, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """What is done and what would be right, physical, shape (steps, 7)."""
    done, right = [], []
    for _ in range(steps):
        (proposal,) = policy.act(observation).proposals
        assert proposal.action is not None
        assert proposal.label is not None
        done.append(policy.unnormalizer.unnormalize(proposal.action).values)
        right.append(policy.unnormalizer.unnormalize(proposal.label).values)
    return np.array(done), np.array(right)


def test_rest_is_rest_to_the_last_bit(observation: Observation) -> None:
    _, right = played(demonstrator(), observation, 1)
    assert right[0, 3] == WANTED[3] == 0.0


def test_without_noise_the_teacher_drives_and_labels(observation: Observation) -> None:
    done, right = played(demonstrator(), observation, 5)
    assert done == pytest.approx(np.array([WANTED] * 5), abs=1e-7)
    assert right == pytest.approx(done)


def test_pushes_reach_the_arm_but_never_the_label_nor_the_gripper(observation: Observation) -> None:
    done, right = played(demonstrator(noise=STRONG), observation, 3000)
    push = done - right
    assert right == pytest.approx(np.array([WANTED] * 3000), abs=1e-7)
    assert np.abs(push[:, [3, 4, 6]]).max() < 1e-9
    pushed = np.abs(push[:, 0]) > 1e-9
    assert np.mean(pushed) == pytest.approx(STRONG.share, abs=0.05)
    begins = np.count_nonzero(~pushed[:-1] & pushed[1:])
    assert np.count_nonzero(pushed) / begins == pytest.approx(STRONG.steps, abs=0.4)
    assert np.std(push[pushed, 0]) == pytest.approx(STRONG.linear_m, rel=0.25)


def test_below_a_height_nothing_is_pushed(observation: Observation) -> None:
    felt = observation.proprioception
    assert felt is not None
    low = replace(felt, end_effector_pose=(*felt.end_effector_pose[:2], 0.02, *felt.end_effector_pose[3:]))
    done, right = played(
        demonstrator(noise=replace(STRONG, above_m=0.03)), replace(observation, proprioception=low), 200
    )
    assert np.abs(done - right).max() == 0.0


def test_the_same_seed_pushes_the_same_and_another_one_otherwise(observation: Observation) -> None:
    policy = demonstrator(noise=STRONG)
    first, _ = played(policy, observation, 50)
    policy.reset(3)
    again, _ = played(policy, observation, 50)
    policy.reset(4)
    other, _ = played(policy, observation, 50)
    assert (first == again).all()
    assert (first != other).any()


def test_a_driver_drives_its_share_and_its_chunks_are_played(observation: Observation) -> None:
    driver = Counting()
    policy = demonstrator(driver=driver, expert_share=0.3, segment_steps=8)
    done, right = played(policy, observation, 4000)
    assert right == pytest.approx(np.array([WANTED] * 4000), abs=1e-7)
    by_teacher = np.abs(done - right).max(axis=1) < 1e-7
    assert np.mean(by_teacher) == pytest.approx(0.3, abs=0.06)
    assert driver.asked == np.count_nonzero(~by_teacher) / 4  # segments of 8 are two whole chunks


def test_what_the_driver_cannot_say_the_teacher_does(observation: Observation) -> None:
    class Mute(Counting):
        def act(self, observation: Observation) -> ActionChunk:
            return ActionChunk((Proposal(None, refusal="no tokens"),))

    done, right = played(demonstrator(driver=Mute(), expert_share=0.0), observation, 5)
    assert done == pytest.approx(right)


def test_actions_of_a_driver_are_taken_in_its_own_units(observation: Observation) -> None:
    policy = demonstrator(driver=RandomPolicy(SPEC), expert_share=0.0)
    done, _ = played(policy, observation, 200)
    assert np.abs(done[:, :3]).max() <= 0.05 + 1e-7
    assert np.abs(done[:, :3]).max() > 0.045


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expert_share": 1.5}, "expert_share"),
        ({"segment_steps": 0}, "segment_steps"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        demonstrator(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"linear_m": -0.1}, "linear_m"), ({"share": 1.0}, "share"), ({"steps": 0.5}, "steps")],
)
def test_senseless_noise_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Noise(**settings)
