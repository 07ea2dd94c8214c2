"""OpenVLA as a policy, with a tiny random checkpoint: what it gives, and what it refuses before anything moves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from vla_runtime.commands.doctor import main as doctor
from vla_runtime.commands.run_episode import main as run_episode
from vla_runtime.errors import VLARuntimeError
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint
from vla_runtime.policies.openvla import OpenVLAPolicy
from vla_runtime.types import Observation


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "tiny"
    write_random_checkpoint(folder)
    return folder


def seen(seed: int = 0, instruction: str = "pick up the lemon") -> Observation:
    image = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return Observation({"front": image}, None, instruction, 0.0, 0)


def test_an_action_depends_on_image_and_words_and_nothing_else(tiny: Path) -> None:
    policy = OpenVLAPolicy(str(tiny))
    first = policy.act(seen())
    assert policy.act(seen()) == first
    tokens = first.proposals[0].tokens
    other_image, other_words = policy.act(seen(seed=1)), policy.act(seen(instruction="open the drawer"))
    assert tokens is not None
    assert tokens.log_probabilities is not None
    for other in (other_image, other_words):
        other_tokens = other.proposals[0].tokens
        assert other_tokens is not None
        assert other_tokens.log_probabilities != tokens.log_probabilities


def test_its_own_decoding_equals_the_openvla_convention(tiny: Path) -> None:
    policy = OpenVLAPolicy(str(tiny))
    (proposal,) = policy.act(seen()).proposals
    assert proposal.action is not None
    assert proposal.tokens is not None
    for token, value in zip(proposal.tokens.ids, proposal.action.values, strict=True):
        index = min(max(32_000 - token - 1, 0), 254)
        assert value == pytest.approx(-1 + (2 * index + 1) / 255, abs=1e-12)


def test_a_word_is_refused_with_its_reason(tiny: Path) -> None:
    """The original makes any word the largest motion."""
    policy = OpenVLAPolicy(str(tiny), constrain_actions=False)
    (proposal,) = policy.act(seen()).proposals
    assert proposal.action is None
    assert "is no action token (31744 to 31999)" in (proposal.refusal or "")


def test_a_whole_episode_is_recorded_with_the_checkpoints_identity(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ["policy=openvla", f"policy.checkpoint={tiny}", "environment.env.time_limit_s=2", f"out={out}"]
    assert run_episode(settings) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["privileged_policy"] is False
    details = result["policy_details"]
    assert len(details["checksum"]) == 32
    assert details["random_weights"] is True
    assert details["preprocessing"] == {"strategy": "resize-naive", "size_px": 56}
    steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert len(steps) == 10
    for step in steps:
        assert (
            len(step["token_ids"])
            == len(step["token_log_probabilities"])
            == len(step["token_entropies"])
            == 7
        )
        assert step["verdict"] in ("PASS", "CLAMP")


def test_words_instead_of_actions_hold_and_end_the_episode(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ["policy=openvla", f"policy.checkpoint={tiny}", "policy.constrain_actions=false", f"out={out}"]
    assert run_episode(settings) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["ended_by"] == "held_too_long"
    assert result["verdicts"] == {"HOLD": 3}
    assert "is no action token" in result["end_reason"]


def break_file(folder: Path, name: str, change: dict) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **change}))


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def spoil(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["projector.fc1.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors")


def second_set(folder: Path) -> None:
    entry = json.loads((folder / "dataset_statistics.json").read_text())["random"]
    break_file(folder, "dataset_statistics.json", {"bridge_orig": entry})


REFUSALS = {
    "no statistics": (lambda f: (f / "dataset_statistics.json").unlink(), {}, "no dataset_statistics.json"),
    "unknown key": (
        lambda f: None,
        {"unnorm_key": "moon"},
        "policy.unnorm_key=moon: the checkpoint has random",
    ),
    "several keys": (second_set, {}, "the checkpoint has several: bridge_orig, random"),
    "truncated": (truncate, {}, "not a whole safetensors file"),
    "nan": (spoil, {}, "projector.fc1.weight holds NaN"),
    "no preprocessing": (
        lambda f: (f / "preprocessor_config.json").unlink(),
        {},
        "preprocessor_config.json: No such",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), {}, "tokenizer.json"),
    "dtype": (lambda f: None, {"dtype": "float8"}, "policy.dtype=float8: expected one of float32"),
    "quantization": (
        lambda f: None,
        {"quantization": "int3"},
        "policy.quantization=int3: expected one of int8, int4",
    ),
    "quantized fp32": (lambda f: None, {"quantization": "int8"}, "needs policy.dtype=bfloat16"),
    "device": (lambda f: None, {"device": "warp"}, "policy.device=warp: not to be had here"),
    "adapter": (lambda f: None, {"adapter": "absent"}, "adapter_config.json: No such file"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_come_before_anything_moves_and_in_one_line(tiny: Path, tmp_path: Path, case: str) -> None:
    change, settings, said = REFUSALS[case]
    folder = Path(shutil.copytree(tiny, tmp_path / "copy"))
    change(folder)
    with pytest.raises(VLARuntimeError) as refused:
        OpenVLAPolicy(str(folder), **settings)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [(None, "policy.checkpoint is not set"), ("/absent/folder", "no such folder, and not a hub id")],
)
def test_a_checkpoint_has_to_be_named(checkpoint: str | None, said: str) -> None:
    with pytest.raises(VLARuntimeError, match=said):
        OpenVLAPolicy(checkpoint)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise OSError("no network\nand much more text")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(VLARuntimeError, match=r"not to be had from the hub \(no network\)"):
        OpenVLAPolicy("somebody/something")


def test_other_conventions_are_refused_before_the_first_step(tiny: Path, tmp_path: Path) -> None:
    settings = [
        "policy=openvla",
        f"policy.checkpoint={tiny}",
        "policy.rotation=axis_angle",
        f"out={tmp_path}",
    ]
    with pytest.raises(VLARuntimeError, match="disagree on rotation: policy 'axis_angle'"):
        run_episode(settings)


def test_the_doctor_reports_on_a_checkpoint(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor([f"checkpoint={tiny}", "runs=2", f"out={tmp_path}"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["checkpoint"]["self_test"]["logits"] > 0
    assert result["timing"]["action_ms_median"] > 0
    assert "transformers" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # torchao's own
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_quantised_weights_give_nearby_probabilities(tiny: Path, kind: str) -> None:
    exact = OpenVLAPolicy(str(tiny), dtype="bfloat16")
    rough = OpenVLAPolicy(str(tiny), dtype="bfloat16", quantization=kind)
    assert rough.describe()["quantization"] == kind
    first, second = (policy.act(seen()).proposals[0].tokens for policy in (exact, rough))
    assert first is not None
    assert second is not None
    assert first.log_probabilities is not None
    assert second.log_probabilities is not None
    assert second.log_probabilities[0] == pytest.approx(first.log_probabilities[0], abs=0.3)
