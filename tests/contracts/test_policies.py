"""What the loop may expect of every policy."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from vla_runtime.config import build_runtime, choices, compose_config
from vla_runtime.evaluation.rollout import Runtime
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint

PRIVILEGED = ("expert", "presser", "demonstrator", "dagger")
SMALL = ["environment.env.cameras.front.width=32", "environment.env.cameras.front.height=32"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_random_checkpoint(folder)
    return folder


@pytest.fixture(params=choices("policy"))
def runtime(request: pytest.FixtureRequest, checkpoint: Path) -> Iterator[Runtime]:
    model = [f"policy.checkpoint={checkpoint}"] if request.param.startswith("openvla") else []
    model += [f"policy.driver.checkpoint={checkpoint}"] if request.param == "dagger" else []
    made = build_runtime(compose_config("run_episode", [f"policy={request.param}", *model, *SMALL]))
    made.environment.reset(3)
    yield made
    made.environment.close()


def test_chunks_are_normalised_actions_of_the_spec(runtime: Runtime) -> None:
    runtime.policy.reset(0)
    chunk = runtime.policy.act(runtime.environment.observe(0.0))
    assert chunk.proposals
    for proposal in chunk.proposals:
        action = proposal.action
        assert action is not None
        assert len(action.values) == len(runtime.policy.action_spec.axes)
        assert all(-1.0 <= value <= 1.0 for value in action.values)
        physical = runtime.policy.unnormalizer.unnormalize(action)
        assert all(math.isfinite(value) for value in physical.values)


def test_equal_seeds_give_equal_chunks(runtime: Runtime) -> None:
    observation = runtime.environment.observe(0.0)
    chunks = []
    for _ in range(2):
        runtime.policy.reset(11)
        chunks.append([runtime.policy.act(observation) for _ in range(3)])
    assert chunks[0] == chunks[1]


def test_only_policies_that_read_the_simulator_are_privileged(runtime: Runtime) -> None:
    assert runtime.policy.privileged is (runtime.description["policy"] in PRIVILEGED)


def test_tokens_belong_to_their_actions(runtime: Runtime) -> None:
    chunk = runtime.policy.act(runtime.environment.observe(0.0))
    for proposal in chunk.proposals:
        if proposal.tokens is not None:
            first, last = runtime.policy.describe().get("action_ids", (31744, 31999))
            assert all(first <= token <= last for token in proposal.tokens.ids)
