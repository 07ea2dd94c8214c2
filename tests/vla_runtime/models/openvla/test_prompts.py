"""Prompts as the original writes them, the bare-space rule, and the tokenizer file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.decode import prompt_with_space
from vla_runtime.models.openvla.prompts import PromptTokenizer, prompt_style, write_prompt

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "openvla" / "prompts_and_tokens.json").read_text())[
    "prompts"
]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['model']}-{case['instruction'][:12]}")
def test_golden_prompts_and_ids(case: dict) -> None:
    style = "v01" if "v01" in case["model"] else "openvla"
    assert write_prompt(case["instruction"], style) == case["deploy_prompt"]
    given = torch.tensor([case["ids_fast"]])
    assert prompt_with_space(given)[0].tolist() == case["ids_after_29871_rule"]
    assert prompt_with_space(prompt_with_space(given))[0].tolist() == case["ids_after_29871_rule"]


def test_the_style_follows_the_language_model() -> None:
    assert prompt_style("llama2-7b-pure") == "openvla"
    assert prompt_style("vicuna-v15-7b") == "v01"


def test_text_begins_with_the_begin_token(tiny: Path) -> None:
    tokenizer = PromptTokenizer(tiny, OpenVLAConfiguration.load(tiny))
    ids = tokenizer.encode("pick up the lemon, s'il vous plaît")
    assert ids.shape[0] == 1
    assert int(ids[0, 0]) == 1
    assert (ids[0, 1:] >= 3).all()


def test_a_broken_tokenizer_is_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    settings = OpenVLAConfiguration.load(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidCheckpoint, match=r"tokenizer\.json"):
        PromptTokenizer(folder, settings)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InvalidCheckpoint, match=r"tokenizer\.json"):
        PromptTokenizer(folder, settings)
