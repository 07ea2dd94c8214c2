"""Training examples: the prompt's ids, the action's ids behind them, and a label for each id that is to be learnt.

The convention is that of openvla/openvla, prismatic/vla/datasets/datasets.py: prompt, bare space (id 29871), action
tokens, stop token; everything is ignored but the action tokens and, if wanted, the stop token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import InvalidCheckpoint, InvalidExample
from vla_runtime.interfaces import FrameSource
from vla_runtime.models.openvla.configuration import BARE_SPACE, OpenVLAConfiguration, read_json
from vla_runtime.models.openvla.decode import prompt_with_space
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.model import IGNORED
from vla_runtime.models.openvla.prompts import PromptStyle, PromptTokenizer, prompt_style, write_prompt
from vla_runtime.types import Action, Frame


@dataclass(frozen=True)
class Example:
    """What one row of a batch is made of.

    Attributes:
        input_ids: [T] int64.
        labels: [T] int64, IGNORED where nothing is learnt.
        pixel_values: [3 per tower, S, S] fp32.
    """

    input_ids: Tensor
    labels: Tensor
    pixel_values: Tensor


class ExampleSource(Protocol):
    """Examples that can be had in any order."""

    @property
    def name(self) -> str:
        """What it is called in the mixture."""
        ...

    def __len__(self) -> int:
        """How many examples."""
        ...

    def example(self, row: int, number: int) -> Example:
        """One example.

        Args:
            row: Which, from 0.
            number: Of the example in the whole training; whatever is random in it follows from this.
        """
        ...


class Augmentation(Protocol):
    """Changes a picture, the same way for the same number."""

    def apply(self, image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """A new RGB picture of shape (S, S, 3)."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """How a checkpoint writes: its text, its action tokens, its pictures.

    Attributes:
        text: The text tokenizer.
        style: Form of the prompt.
        tokens: From normalised actions to ids.
        stop: Id of the stop token.
        bare_space: Id of the piece before the first action token.
        preprocessing: From a picture to pixel values.
    """

    text: PromptTokenizer
    style: PromptStyle
    tokens: OpenVLATokenizer
    stop: int
    bare_space: int
    preprocessing: ImagePreprocessing

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Of a checkpoint. Raises InvalidCheckpoint: no stop token, or action tokens that overlap special ones."""
        settings = OpenVLAConfiguration.load(folder)
        text = PromptTokenizer(folder, settings)
        if not text.knows(settings.eos_token_id):
            raise InvalidCheckpoint(
                f"{folder / 'tokenizer.json'}: no piece has the stop token's id {settings.eos_token_id}"
            )
        check_action_bins(folder, settings)
        file = folder / "preprocessor_config.json"
        return cls(
            text,
            prompt_style(str(read_json(folder / "config.json").get("llm_backbone_id", ""))),
            OpenVLATokenizer(settings.vocab_size, settings.action_bins),
            settings.eos_token_id,
            settings.bare_space_id,
            ImagePreprocessing.from_mapping(read_json(file), str(file)),
        )


def check_action_bins(folder: Path, settings: OpenVLAConfiguration) -> None:
    """Refuse action tokens that would overwrite ids with another meaning. Raises InvalidCheckpoint."""
    first = settings.vocab_size - settings.action_bins
    taken = max(settings.bos_token_id, settings.eos_token_id, settings.bare_space_id)
    if not settings.action_bins >= 2 or first <= taken:
        raise InvalidCheckpoint(
            f"{folder / 'config.json'}: n_action_bins {settings.action_bins} makes ids {first} to "
            f"{settings.vocab_size - 1} action tokens; expected 2 bins or more, all above id {taken}"
        )


def action_text(
    prompt: Tensor,
    action_ids: Sequence[int],
    stop: int,
    *,
    bare_space: int = BARE_SPACE,
    predict_stop: bool = True,
) -> tuple[Tensor, Tensor]:
    """Ids and labels of one robot's example.

    Args:
        prompt: [1, T] ids of the prompt, with or without the bare space at its end.
        action_ids: One for each axis.
        bare_space: Id of the piece between them.
        stop: Id of the stop token. It is always written, and labelled if `predict_stop`.
        predict_stop: Whether the model learns to stop.

    Returns:
        Two int64 tensors [T + 1 + axes + 1], or one shorter where the prompt ends with the bare space.
    """
    written = torch.tensor([*action_ids, stop], dtype=torch.int64)
    input_ids = torch.cat([prompt_with_space(prompt, bare_space)[0], written])
    labels = torch.full_like(input_ids, IGNORED)
    labels[-len(written) :] = written
    if not predict_stop:
        labels[-1] = IGNORED
    return input_ids, labels


@final
class FrameExamples:
    """Frames of a robot's data set as examples."""

    def __init__(
        self,
        name: str,
        frames: FrameSource,
        episodes: Sequence[int],
        vocabulary: Vocabulary,
        statistics: ActionStatistics,
        camera: str,
        *,
        augmentation: Augmentation | None = None,
        predict_stop: bool = True,
    ) -> None:
        """What is wrong with the data, `check_frames` says before.

        Args:
            name: In the mixture and in errors.
            frames: The data set.
            episodes: Those to use.
            vocabulary: Of the checkpoint.
            statistics: That normalise the actions.
            camera: The one that the model sees.
            augmentation: What is done to pictures; None: nothing.
            predict_stop: Whether the stop token is labelled.

        Raises:
            InvalidExample: No frames.
        """
        self.name = name
        bounds = frames.episode_bounds
        self._rows = np.concatenate(
            [np.arange(*bounds[episode]) for episode in episodes] or [np.arange(0)]
        ).astype(np.int64)
        if not len(self._rows):
            raise InvalidExample(f"{name}: no frames to train on in {len(episodes)} episodes")
        self._frames, self._vocabulary, self._statistics = frames, vocabulary, statistics
        self.camera, self._augmentation, self._predict_stop = camera, augmentation, predict_stop

    def __len__(self) -> int:
        """How many frames."""
        return len(self._rows)

    def example(self, row: int, number: int) -> Example:
        """One frame's example; its picture is augmented by `number`."""
        frame = self.frame(row)
        image = frame.images[self.camera]
        if self._augmentation is not None:
            image = self._augmentation.apply(image, number)
        words = self._vocabulary
        ids, labels = self.text(frame)
        return Example(ids, labels, words.preprocessing.pixel_values(image)[0])

    def frame(self, row: int) -> Frame:
        """The frame behind an example, with the picture that the model sees."""
        return self._frames.frame(int(self._rows[row]), (self.camera,))

    def action(self, row: int) -> NDArray[np.float64]:
        """The physical action of an example, shape (axes,), without decoding its picture."""
        index = int(self._rows[row])
        return self._frames.actions(index, index + 1)[0]

    def text(self, frame: Frame) -> tuple[Tensor, Tensor]:
        """Ids and labels of a frame."""
        words = self._vocabulary
        normalized = self._statistics.normalize(Action(tuple(frame.action.tolist())))
        prompt = words.text.encode(write_prompt(frame.instruction, words.style))
        action_ids = words.tokens.encode(normalized.values).tolist()
        return action_text(
            prompt, action_ids, words.stop, bare_space=words.bare_space, predict_stop=self._predict_stop
        )


def check_frames(name: str, frames: FrameSource, statistics: ActionStatistics, camera: str) -> None:
    """Refuse a data set that cannot be trained on: one look at every action, and at one frame of each episode.

    Raises:
        InvalidExample: Empty, unknown camera, wrong number of axes, NaN or infinite actions, an empty sentence.
    """
    if len(frames) == 0 or not frames.episode_bounds:
        raise InvalidExample(f"{name}: the data set is empty; expected at least one episode")
    if camera not in frames.cameras:
        raise InvalidExample(
            f"{name}: no camera {camera!r}; the data set has {', '.join(frames.cameras) or 'none'}"
        )
    for episode, (start, stop) in enumerate(frames.episode_bounds):
        if stop <= start:
            raise InvalidExample(f"{name}: episode {episode} has no frames")
        actions = frames.actions(start, stop)
        if actions.shape != (stop - start, len(statistics.q01)):
            raise InvalidExample(
                f"{name}: episode {episode} has actions of shape {actions.shape[1:]}, the statistics have "
                f"{len(statistics.q01)} axes"
            )
        bad = ~np.isfinite(actions).all(axis=1)
        if bad.any():
            step = int(bad.argmax())
            raise InvalidExample(
                f"{name}: the action of episode {episode}, step {step} is {actions[step].tolist()}; expected finite numbers"
            )
        if not frames.frame(start).instruction.strip():
            raise InvalidExample(f"{name}: episode {episode} has an empty instruction; expected a sentence")
