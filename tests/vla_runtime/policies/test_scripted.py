"""The expert's actions go the whole way of a model's; what tokens cost is a bin and no more."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import SPEC
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.errors import ConfigurationError
from vla_runtime.policies.baselines import RandomPolicy, ZeroPolicy
from vla_runtime.policies.scripted import ScriptedPolicy
from vla_runtime.types import Action, ActionChunk, NormalizedAction, Observation

WANTED = (0.031, -0.05, 0.002, 0.0, 0.01, -0.2, 1.0)


def first_action(chunk: ActionChunk) -> NormalizedAction:
    action = chunk.proposals[0].action
    assert action is not None
    return action


class FixedExpert:
    """Remembers which actions it was told are on their way."""

    pending: np.ndarray | None = None

    def act(self, simulator: object, pending: np.ndarray) -> np.ndarray:
        self.pending = pending
        return np.array(WANTED)

    def plan(self, simulator: object, steps: int, pending: np.ndarray) -> np.ndarray:
        self.pending = pending
        return np.array([WANTED] * steps) * np.linspace(0.1, 1.0, steps)[:, np.newaxis]


def test_a_chunk_has_an_action_for_each_step(observation: Observation) -> None:
    chunk = ScriptedPolicy(FixedExpert(), object(), SPEC, chunk_steps=4).act(observation)
    x = [proposal.action.values[0] for proposal in chunk.proposals if proposal.action]
    assert len(x) == 4
    assert x == sorted(x, reverse=x[0] > x[-1])


def test_the_expert_is_told_what_is_on_its_way(observation: Observation) -> None:
    expert = FixedExpert()
    policy = ScriptedPolicy(expert, object(), SPEC)
    policy.act(observation)
    assert expert.pending is not None
    assert expert.pending.shape == (0, 7)
    policy.act(replace(observation, pending=(Action(tuple(WANTED)), Action(tuple(WANTED)))))
    assert expert.pending.tolist() == [list(WANTED), list(WANTED)]


def test_a_tokenizer_for_chunks_takes_the_whole_chunk(observation: Observation) -> None:
    class Halved:
        """Tokens for 4 control periods that say half of everything."""

        periods = 4
        token_ids = range(10)

        def encode(self, values: object) -> np.ndarray:
            self.seen = np.asarray(values)
            return np.arange(10)

        def decode(self, token_ids: object) -> np.ndarray:
            return self.seen / 2

    plain = ScriptedPolicy(FixedExpert(), object(), SPEC, chunk_steps=4).act(observation)
    chunk = ScriptedPolicy(FixedExpert(), object(), SPEC, Halved(), chunk_steps=4).act(observation)
    for proposal, full in zip(chunk.proposals, plain.proposals, strict=True):
        assert proposal.action is not None
        assert full.action is not None
        assert proposal.action.values == pytest.approx([value / 2 for value in full.action.values])
    with pytest.raises(ConfigurationError, match="the tokenizer is for 4 control periods; expected 4"):
        ScriptedPolicy(FixedExpert(), object(), SPEC, Halved(), chunk_steps=3)


@pytest.mark.parametrize("steps", [0, 101])
def test_a_senseless_chunk_is_refused(steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"policy.chunk_steps={steps}"):
        ScriptedPolicy(FixedExpert(), object(), SPEC, chunk_steps=steps)


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
