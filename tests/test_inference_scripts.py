"""The scripts about inference in quick versions."""

import json
from pathlib import Path

from tests.test_safety_scripts import script

TINY = [
    "hidden_size=64",
    "layers=2",
    "mlp_size=96",
    "rows=1024",
    "positions=24",
    "rounds=2",
    "prompts=2",
    "batches=[1,3]",
]


def test_latencies_are_measured_and_tokens_counted(tmp_path: Path) -> None:
    done = script("measure_latency", *TINY, f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "latency.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((tmp_path / "result.json").read_text())
    paths = told["language_model"]["float32"]["paths"]
    assert all(row["equal_tokens"] in ("14 of 14", "21 of 21") for row in paths.values())
    assert paths["generate"]["faster"] == 1.0
    assert paths["sequential"]["faster"] > 1.0
    shares = told["action"]["passes_with_the_last_action_as_draft"]["share_by_passes"]
    assert abs(sum(shares.values()) - 1.0) < 0.01


def test_no_cuda_is_one_line(tmp_path: Path) -> None:
    import torch

    done = script("measure_latency", "device=cuda", f"out={tmp_path}")
    if not torch.cuda.is_available():
        assert done.returncode == 2
        assert "device=cuda: torch sees no CUDA device; expected device=cpu" in done.stderr
