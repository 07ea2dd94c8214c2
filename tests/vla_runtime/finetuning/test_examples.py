"""Ids, labels and batches as the original makes them; loss and gradients of a step; what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.vla_runtime.finetuning.conftest import STATISTICS, MemoryFrames
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.errors import InvalidCheckpoint, InvalidExample
from vla_runtime.evaluation.parity import Golden
from vla_runtime.finetuning.collator import Collator
from vla_runtime.finetuning.examples import Example, FrameExamples, Vocabulary, action_text, check_frames
from vla_runtime.models.openvla.model import IGNORED
from vla_runtime.models.openvla.prompts import write_prompt
from vla_runtime.types import Action

DATA = Path(__file__).parents[2] / "data" / "openvla"
GOLDEN = json.loads((DATA / "prompts_and_tokens.json").read_text())
IDS = {case["deploy_prompt"]: case["ids_fast"] for case in GOLDEN["prompts"]}


def golden_example(case: dict[str, Any]) -> Example:
    """Our example of a golden sentence and action; Llama's tokenizer is replaced by its golden answers."""
    prompt = torch.tensor(
        [IDS[write_prompt(case["instruction"], "v01" if "v01" in case["model"] else "openvla")]]
    )
    action_ids = OpenVLATokenizer().encode(case["action"]).tolist()
    ids, labels = action_text(prompt, action_ids, 2, predict_stop=case["predict_stop_token"])
    return Example(ids, labels, torch.zeros(6, 2, 2))


@pytest.mark.parametrize(
    "case", GOLDEN["train_examples"], ids=lambda c: f"{c['model']}-{c['instruction'][:9]}"
)
def test_golden_ids_and_labels(case: dict[str, Any]) -> None:
    example = golden_example(case)
    assert example.input_ids.tolist() == case["input_ids"]
    assert example.labels.tolist() == case["labels"]


def test_golden_batch() -> None:
    batch = Collator(32_000)([golden_example(case) for case in GOLDEN["train_examples"][:5]])
    wanted = GOLDEN["collated_first5"]
    assert batch.input_ids.tolist() == wanted["input_ids"]
    assert batch.labels.tolist() == wanted["labels"]
    assert batch.attention_mask.tolist() == wanted["attention_mask"]
    assert batch.attention_mask.dtype is torch.bool


@pytest.mark.parametrize("folder", ["fused", "single_siglip"])
@pytest.mark.parametrize("tag", ["train_b1", "train_pad"])
@pytest.mark.parametrize("labelled_only", [False, True])
def test_golden_loss_and_gradients_of_a_collated_step(folder: str, tag: str, labelled_only: bool) -> None:
    """The golden rows without their padding, through our collator, give the golden batch, loss and gradients."""
    golden = Golden(DATA / folder)
    pad = golden.model.configuration.pad_token_id
    rows = []
    for ids, labels, pixels in zip(
        *(golden.inputs[f"{tag}.{name}"] for name in ("input_ids", "labels", "pixel_values")), strict=True
    ):
        length = int((ids != pad).sum())
        rows.append(Example(ids[:length], labels[:length], pixels))
    batch = Collator(pad)(rows)
    assert torch.equal(batch.input_ids, golden.inputs[f"{tag}.input_ids"])
    assert torch.equal(batch.labels, golden.inputs[f"{tag}.labels"])
    golden.model.requires_grad_(True)
    loss = golden.model(
        batch.input_ids, batch.pixel_values, batch.attention_mask, batch.labels, labelled_only=labelled_only
    ).loss
    assert loss is not None
    loss.backward()
    torch.testing.assert_close(loss.detach()[None], golden.outputs[f"{tag}.loss"], rtol=1e-5, atol=0)
    compared = 0
    for key, wanted in golden.outputs.items():
        if key.startswith(f"{tag}.grad/"):
            gradient = golden.model.get_parameter(key.split("/", 1)[1]).grad
            assert gradient is not None
            assert float((gradient - wanted).abs().max() / wanted.abs().max()) < 1e-5
            compared += 1
    assert compared >= 5


def test_an_example_of_a_frame_decodes_to_its_action(tiny: Path) -> None:
    """With the byte-level tokenizer of random checkpoints; half a bin is the largest error."""
    frames, words = MemoryFrames(), Vocabulary.load(tiny)
    examples = FrameExamples("memory", frames, [0, 1], words, STATISTICS, "front")
    assert len(examples) == 7
    for row in range(len(examples)):
        example = examples.example(row, number=row)
        labelled = example.labels[example.labels != IGNORED]
        assert int(labelled[-1]) == words.stop
        normalized = words.tokens.decode(labelled[:-1].numpy())
        wanted = np.array(STATISTICS.normalize(Action(tuple(frames.values[row]))).values)
        assert np.abs(normalized - wanted).max() <= 1 / 255 + 1e-9
        assert torch.equal(example.input_ids[-8:], labelled)
        assert example.pixel_values.shape == (6, 56, 56)


def test_only_the_chosen_episodes_are_used(tiny: Path) -> None:
    examples = FrameExamples("memory", MemoryFrames(), [1], Vocabulary.load(tiny), STATISTICS, "wrist")
    assert len(examples) == 3
    assert {examples.frame(row).episode for row in range(3)} == {1}


def test_long_texts_are_cut_and_a_batch_that_teaches_nothing_is_refused() -> None:
    long = Example(torch.arange(1, 41), torch.arange(1, 41), torch.zeros(3, 2, 2))
    assert Collator(0, longest=8)([long]).input_ids.tolist() == [list(range(1, 9))]
    late = Example(long.input_ids, torch.tensor([IGNORED] * 32 + [7] * 8), long.pixel_values)
    with pytest.raises(InvalidExample, match="has no label within 8 tokens"):
        Collator(0, longest=8)([late])


def nan(frames: MemoryFrames) -> None:
    frames.values[5, 2] = np.nan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: setattr(f, "lengths", ()), "the data set is empty"),
        (nan, r"the action of episode 1, step 1 is \[.*nan.*\]; expected finite numbers"),
        (lambda f: setattr(f, "values", f.values[:, :6]), r"shape \(6,\), the statistics have 7 axes"),
        (lambda f: setattr(f, "instructions", ("pick", "  ")), "episode 1 has an empty instruction"),
        (lambda f: setattr(f, "cameras", ("side",)), "no camera 'front'; the data set has side"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(change: Callable[[MemoryFrames], None], said: str) -> None:
    frames = MemoryFrames()
    change(frames)
    with pytest.raises(InvalidExample, match=said):
        check_frames("memory", frames, STATISTICS, "front")


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_tokenizer_without_the_stop_token_is_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    entry = json.loads((folder / "config.json").read_text())
    rewrite(folder / "config.json", text_config={**entry["text_config"], "eos_token_id": 500})
    with pytest.raises(InvalidCheckpoint, match="no piece has the stop token's id 500"):
        Vocabulary.load(folder)


def test_action_bins_that_overwrite_other_ids_are_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    rewrite(folder / "config.json", n_action_bins=4096)
    with pytest.raises(InvalidCheckpoint, match="n_action_bins 4096 makes ids 27904 to 31999 action tokens"):
        Vocabulary.load(folder)
