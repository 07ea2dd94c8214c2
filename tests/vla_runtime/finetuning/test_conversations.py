"""Image-text data: every form of it, what is labelled, and what is refused."""

import json
import pickle  # noqa: TID251  what torch's workers do with examples
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from tests.vla_runtime.finetuning.conftest import STATISTICS, MemoryFrames
from vla_runtime.errors import InvalidExample
from vla_runtime.finetuning.batches import MixedExamples, Split, load_batches
from vla_runtime.finetuning.collator import Collator
from vla_runtime.finetuning.conversations import (
    CAPTION_QUESTION,
    ConversationExamples,
    conversation_text,
    read_conversations,
    read_hugging_face,
)
from vla_runtime.finetuning.examples import FrameExamples, Vocabulary
from vla_runtime.finetuning.mixture import Mixture
from vla_runtime.models.openvla.model import IGNORED

TURNS = [
    {"from": "human", "value": "<image>\nWhat is it?"},
    {"from": "gpt", "value": "A lemon."},
    {"from": "human", "value": "And its colour?"},
    {"from": "gpt", "value": "Yellow."},
]


@pytest.fixture
def words(tiny: Path) -> Vocabulary:
    return Vocabulary.load(tiny)


def picture(path: Path, value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(np.full((20, 30, 3), value, np.uint8)).save(path)
    return path


def read_ids(ids: list[int]) -> str:
    """Bytes of the byte-level tokenizer, with the stop token as a bar."""
    return "".join("|" if token == 2 else chr(token - 3) for token in ids if token != 1)


def test_answers_and_stop_tokens_are_labelled(words: Vocabulary) -> None:
    ids, labels = conversation_text((("What is it?", "A lemon."), ("And its colour?", "Yellow.")), words)
    assert read_ids(ids.tolist()) == "In: What is it?\nOut:A lemon.|In: And its colour?\nOut:Yellow.|"
    assert ids.tolist().count(1) == 1
    assert read_ids(labels[labels != IGNORED].tolist()) == "A lemon.|Yellow.|"
    learnt = labels != IGNORED
    assert torch.equal(labels[learnt], ids[learnt])


def test_jsonl_folder_and_captions_say_the_same(words: Vocabulary, tmp_path: Path) -> None:
    picture(tmp_path / "a" / "one.png")
    (tmp_path / "a" / "one.json").write_text(json.dumps({"conversations": TURNS}))
    picture(tmp_path / "a" / "two.jpg")
    (tmp_path / "a" / "two.txt").write_text("A grey wall.\n")
    lines = [
        {"image": "a/one.png", "conversations": TURNS},
        {"image": "a/two.jpg", "question": CAPTION_QUESTION, "answer": "A grey wall."},
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    folder = read_conversations("web", tmp_path / "a")
    listed = read_conversations("web", tmp_path / "data.jsonl")
    assert [c.turns for c in folder] == [c.turns for c in listed]
    assert folder[0].turns == (("What is it?", "A lemon."), ("And its colour?", "Yellow."))
    assert folder[1].turns == ((CAPTION_QUESTION, "A grey wall."),)
    example = ConversationExamples("web", listed, words).example(0, number=3)
    assert example.pixel_values.shape == (6, 56, 56)


def test_hugging_face_data_says_the_same(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    image = PillowImage.fromarray(np.full((20, 30, 3), 7, np.uint8))
    table = datasets.Dataset.from_dict({"image": [image], "conversations": [TURNS]})
    table = table.cast_column("image", datasets.Image())
    table.save_to_disk(tmp_path / "saved")
    found = read_hugging_face("web", str(tmp_path / "saved"), "train")
    assert len(found) == 1
    assert found[0].turns == (("What is it?", "A lemon."), ("And its colour?", "Yellow."))
    assert found[0].picture().shape == (20, 30, 3)
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "other")
    with pytest.raises(InvalidExample, match="no column image; found text"):
        read_hugging_face("web", str(tmp_path / "other"), "train")


def line(**entry: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        picture(folder / "a.png")
        (folder / "data.jsonl").write_text(json.dumps(entry))

    return write


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (line(image="b.png", caption="x"), r"line 1: image .*b.png is missing"),
        (line(caption="x"), "line 1: no image; expected a path"),
        (line(image="a.png"), "line 1: expected a caption, a question and an answer, or turns"),
        (line(image="a.png", conversations=TURNS[:3]), "line 1: expected a caption"),
        (line(image="a.png", conversations=TURNS[1:3]), "line 1: expected a caption"),
        (line(image="a.png", conversations=[TURNS[0], {"from": "gpt", "value": " "}]), "with words in each"),
        (lambda f: (f / "data.jsonl").write_text("{"), "line 1: not JSON"),
        (lambda f: None, "data.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    tmp_path: Path, write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path)
    with pytest.raises(InvalidExample, match=said):
        read_conversations("web", tmp_path / "data.jsonl")


def test_broken_pictures_and_empty_folders_are_refused(words: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InvalidExample, match=r"a.png: expected a.json or a.txt beside it"):
        read_conversations("web", tmp_path)
    (tmp_path / "a.txt").write_text("a caption")
    (conversation,) = read_conversations("web", tmp_path)
    with pytest.raises(InvalidExample, match=r"a.png cannot be read"):
        conversation.picture()
    with pytest.raises(InvalidExample, match="no conversations; expected at least one"):
        ConversationExamples("web", [], words)


def test_robots_and_pictures_share_batches_whoever_loads_them(words: Vocabulary, tmp_path: Path) -> None:
    """Workers get the examples by pickle; batches and their order are the same as without workers."""
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("A grey wall, seen from near by.")
    robot = FrameExamples("robot", MemoryFrames(), [0, 1], words, STATISTICS, "front")
    web = ConversationExamples("web", read_conversations("web", tmp_path), words)
    examples = MixedExamples([robot, web], Mixture([len(robot), len(web)], [3.0, 1.0], seed=0))
    copy = pickle.loads(pickle.dumps(examples))  # noqa: S301
    batches = [list(load_batches(e, Collator(32_000), Split(8, 4), 0, 3)) for e in (examples, copy)]
    for first, second in zip(*batches, strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
        )
    lengths = {int(mask.sum()) for batch in batches[0] for mask in batch.attention_mask}
    assert len(lengths) == 3  # two sentences and a caption
