"""The expert's actions go the whole way of a model's; what tokens cost is a bin and no more."""

import numpy as np
import pytest

from tests.conftest import SPEC
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.errors import ConfigurationError
from vla_runtime.policies.baselines import RandomPolicy, ZeroPolicy
from vla_runtime.policies.scripted import ScriptedPolicy
from vla_runtime.types import ActionChunk, NormalizedAction, Observation

WANTED = (0.031, -0.05, 0.002, 0.0, 0.01, -0.2, 1.0)


def first_action(chunk: ActionChunk) -> NormalizedAction:
    action = chunk.proposals[0].action
    assert action is not None
    return action


class FixedExpert:
    def act(self, simulator: object) -> np.ndarray:
        return np.array(WANTED)


@pytest.mark.parametrize("tokenizer", [None, OpenVLATokenizer()])
def test_the_physical_action_survives_within_half_a_bin(
    observation: Observation, tokenizer: OpenVLATokenizer | None
) -> None:
    policy = ScriptedPolicy(FixedExpert(), object(), SPEC, tokenizer)
    chunk = policy.act(observation)
    (proposal,) = chunk.proposals
    assert proposal.action is not None
    got = policy.unnormalizer.unnormalize(proposal.action).values
    # The gripper is not normalised: its 0 to 1 uses half of the tokens, so its bins are twice as wide.
    ranges = [high - low for low, high in zip(SPEC.low[:6], SPEC.high[:6], strict=True)] + [2.0]
    for value, wanted, width in zip(got, WANTED, ranges, strict=True):
        assert abs(value - wanted) <= (width / 2 / 255 if tokenizer else 0.0) + 1e-7
    assert (proposal.tokens is None) == (tokenizer is None)


def test_without_a_simulator_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="reads a simulator"):
        ScriptedPolicy(FixedExpert(), None, SPEC)


def test_zero_means_no_motion(observation: Observation) -> None:
    policy = ZeroPolicy(SPEC)
    physical = policy.unnormalizer.unnormalize(first_action(policy.act(observation)))
    assert physical.values == pytest.approx((0.0,) * 6 + (1.0,), abs=1e-8)


def test_random_covers_the_bounds(observation: Observation) -> None:
    policy = RandomPolicy(SPEC)
    policy.reset(0)
    drawn = [
        policy.unnormalizer.unnormalize(first_action(policy.act(observation))).values for _ in range(400)
    ]
    values = np.array(drawn)
    width = np.array(SPEC.high) - np.array(SPEC.low)
    assert (values.min(axis=0) < np.array(SPEC.low) + 0.05 * width).all()
    assert (values.max(axis=0) > np.array(SPEC.high) - 0.05 * width).all()
