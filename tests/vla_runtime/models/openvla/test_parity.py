"""The network against golden values of the original, through the same harness that a user runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_runtime.evaluation.parity import Golden
from vla_runtime.models.openvla.shards import tensor_names

DATA = Path(__file__).parents[3] / "data" / "openvla"
ROOT = DATA.parents[2]


@pytest.mark.parametrize("folder", ["fused", "single_siglip"])
def test_every_golden_quantity_is_met(folder: str) -> None:
    compared = list(Golden(DATA / folder).compare())
    assert [comparison for comparison in compared if not comparison.passed] == []
    assert len({comparison.name for comparison in compared}) == len(compared)
    outputs = load_file(DATA / folder / "outputs.safetensors")
    assert set(outputs) <= {comparison.name for comparison in compared}


@pytest.mark.parametrize("folder", ["fused", "single_siglip"])
def test_the_file_holds_the_listed_keys(folder: str) -> None:
    assert set(tensor_names(DATA / folder / "model.safetensors")) == set(
        json.loads((DATA / folder / "keys.json").read_text())
    )


@pytest.mark.parametrize(
    "key",
    [
        "vision_backbone.featurizer.blocks.1.mlp.fc2.bias",
        "vision_backbone.fused_featurizer.pos_embed",
        "projector.fc3.weight",
        "language_model.model.layers.1.self_attn.k_proj.weight",
        "language_model.lm_head.weight",
    ],
)
def test_the_harness_notices_a_changed_weight(tmp_path: Path, key: str) -> None:
    copy = tmp_path / "golden"
    shutil.copytree(DATA / "fused", copy)
    weights = load_file(copy / "model.safetensors")
    weights[key] = weights[key] + 0.05 * torch.ones_like(weights[key])
    save_file(weights, copy / "model.safetensors")
    assert any(not comparison.passed for comparison in Golden(copy).compare())


def test_an_output_that_nothing_was_compared_with_fails(tmp_path: Path) -> None:
    copy = tmp_path / "golden"
    shutil.copytree(DATA / "single_siglip", copy)
    outputs = load_file(copy / "outputs.safetensors")
    save_file({**outputs, "b1.mystery": torch.zeros(1)}, copy / "outputs.safetensors")
    assert [c.name for c in Golden(copy).compare() if not c.passed] == [
        "b1.mystery (nothing to compare with)"
    ]


def test_the_script_says_so_with_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "check_golden.py")]
    good = subprocess.run(
        [*command, str(DATA / "single_siglip")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr
    assert "quantities within tolerance" in good.stdout
    absent = subprocess.run([*command, "absent"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert absent.returncode == 2
    assert absent.stderr == "error: absent: no such folder; expected a folder of golden values first\n"
