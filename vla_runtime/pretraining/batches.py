"""From frames in memory to packed batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import EPSILON, ActionStatistics
from vla_runtime.errors import InvalidDataset
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.prompts import PromptTokenizer, write_prompt
from vla_runtime.pretraining.network import NOWHERE, PackedBatch
from vla_runtime.pretraining.shards import NOTHING, Frames

AT_HAND_M = 0.08  # [m] between tool and thing, in the table's plane
AROUND = 0.75  # [patches] from a patch's middle within which a thing's centre still belongs to it


@dataclass(frozen=True)
class Classes:
    """The words that say what is in a patch.

    Attributes:
        kinds, colours: In order; class 0 is nothing.
    """

    kinds: tuple[str, ...]
    colours: tuple[str, ...]


@final
class BatchMaker:
    """Draws packed batches."""

    def __init__(
        self,
        frames: Frames,
        text: PromptTokenizer,
        tokens: OpenVLATokenizer,
        statistics: ActionStatistics,
        preprocessing: ImagePreprocessing,
        classes: Classes,
        patches_per_side: int,
        bare_space: int,
        instructions: int = 4,
        jitter: float = 0.1,
        favour: float = 0.4,
    ) -> None:
        """Look everything up once.

        Args:
            frames: To learn from.
            text: The checkpoint's tokenizer.
            tokens: Its action tokens.
            statistics: That normalise actions.
            preprocessing: Of the checkpoint; the frames have its size already.
            classes: What can lie on the table.
            patches_per_side: Of the tower.
            bare_space: Id of the piece before the first action token.
            instructions: In each frame.
            jitter: Largest change of brightness and contrast, each colour by itself, of values in [0, 1].
            favour: Of instructions about the thing next to the tool, 0 to 1: there it matters by millimetres what is done,
                and everywhere else it is "go there". 0: all are drawn alike.

        Raises:
            InvalidDataset: A sentence that the tokenizer does not know, or things of unknown kinds.
        """
        self._frames, self._instructions, self._jitter, self._favour = frames, instructions, jitter, favour
        self._patches, self._axes = patches_per_side, len(statistics.q01)
        columns = frames.columns
        self._actions = tokens.encode(_normalized(columns["actions"], statistics)).astype(np.int32)
        self._sentences, self._lengths, self._prefix = _encoded(frames.sentences, text, bare_space)
        pairs = [name.split(" ", 1) for name in frames.names]
        try:
            self._kinds = np.array([0, *(1 + classes.kinds.index(kind) for _, kind in pairs)])
            self._colours = np.array([0, *(1 + classes.colours.index(colour) for colour, _ in pairs)])
        except ValueError as error:
            raise InvalidDataset(f"frames show something unknown ({error})") from error
        self._mean = torch.tensor(preprocessing.means[0])[:, None, None] * 255
        self._std = torch.tensor(preprocessing.stds[0])[:, None, None] * 255

    def make(self, rows: NDArray[np.int64], rng: np.random.Generator) -> PackedBatch:
        """The batch of some frames.

        Args:
            rows: Of the frames, shape (B,).
            rng: Draws instructions and changes of colour.
        """
        c, k = self._frames.columns, self._instructions
        count = c["answer_count"][rows]
        keys = rng.random((len(rows), c["sentences"].shape[1])) - self._favour * self._at_hand(rows)
        keys[np.arange(keys.shape[1]) >= count[:, None]] = np.inf
        picks = np.arange(k)[None, :] % np.minimum(count, k)[:, None]  # again, where there are fewer
        chosen = np.take_along_axis(np.argsort(keys, axis=1), picks, axis=1)
        line = np.arange(len(rows))[:, None]
        sentences = c["sentences"][rows][line, chosen]
        actions = self._actions[rows][line, chosen]  # [B, K, A]
        starts = self._lengths[sentences] - 1
        length = int(starts.max()) + self._axes
        branches = np.zeros((len(rows), k, length), np.int64)
        width = min(length, self._sentences.shape[1])
        branches[:, :, :width] = self._sentences[sentences][:, :, :width]
        for axis in range(self._axes - 1):
            np.put_along_axis(branches, (starts + 1 + axis)[..., None], actions[..., axis : axis + 1], axis=2)
        pixels = c["pixels"][rows]  # [B, T, 2]
        there = np.arange(pixels.shape[1]) < c["thing_count"][rows][:, None]
        kinds, colours, offsets, positions, turns = self._in_patches(
            pixels, c["names"][rows], c["positions"][rows], c["turns"][rows], there
        )
        targets, places = c["targets"][rows][line, chosen], c["destinations"][rows][line, chosen]
        relative, known = self._relative(rows, targets, places)
        patch = np.where(there, self._patch_of(pixels), NOWHERE)
        return PackedBatch(
            self._pictures(c["images"][rows], rng),
            torch.from_numpy(self._prefix),
            torch.from_numpy(branches),
            torch.from_numpy(starts.astype(np.int64)),
            torch.from_numpy(actions.astype(np.int64)),
            torch.from_numpy(kinds),
            torch.from_numpy(colours),
            torch.from_numpy(offsets),
            torch.from_numpy(positions),
            torch.from_numpy(turns),
            torch.from_numpy(c["tool"][rows]),
            torch.from_numpy(self._patch_of(c["tool_pixel"][rows])),
            torch.from_numpy(c["tool_turn"][rows]),
            torch.from_numpy(np.where(targets >= 0, patch[line, targets], NOWHERE)),
            torch.from_numpy(np.where(places >= 0, patch[line, places], NOWHERE)),
            torch.from_numpy(relative),
            torch.from_numpy(known),
        )

    def _at_hand(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which instructions [B, M] are about the thing next to the tool."""
        c = self._frames.columns
        targets = c["targets"][rows]
        away = np.linalg.norm(c["positions"][rows][..., :2] - c["tool"][rows][:, None, :2], axis=-1)
        return (np.take_along_axis(away, np.maximum(targets, 0), axis=1) < AT_HAND_M) & (targets != NOTHING)

    def _pictures(self, images: NDArray[np.uint8], rng: np.random.Generator) -> torch.Tensor:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        if self._jitter > 0.0:
            gain, shift = (
                torch.from_numpy(
                    rng.uniform(-self._jitter, self._jitter, (len(images), 3, 1, 1)).astype(np.float32)
                )
                for _ in range(2)
            )
            pixels = (pixels * (1.0 + gain) + 255.0 * 0.5 * shift).clamp_(0.0, 255.0)
        return ((pixels - self._mean) / self._std).contiguous()

    def _patch_of(self, pixels: NDArray[np.float32]) -> NDArray[np.int64]:
        """Number of the patch with a place in the picture; NOWHERE out of it."""
        inside = np.all((pixels >= 0.0) & (pixels < 1.0), axis=-1)
        cells = np.floor(np.where(inside[..., None], pixels, 0.0) * self._patches).astype(np.int64)
        return np.where(inside, cells[..., 1] * self._patches + cells[..., 0], NOWHERE)

    def _in_patches(
        self,
        pixels: NDArray[np.float32],
        names: NDArray[np.int32],
        positions: NDArray[np.float32],
        turns: NDArray[np.float32],
        there: NDArray[np.bool_],
    ) -> tuple[
        NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]
    ]:
        """Kind, colour [B, N], offset [B, N, 2], position [B, N, 3] and turn [B, N, 2] of the nearest thing to each patch.

        Class 0 and zeros where it is too far.
        """
        side = self._patches
        middle = (
            np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) + 0.5
        ).astype(np.float32)
        away = pixels[:, None] * side - middle[None, :, None]  # [B, N, T, 2]
        far = np.where(there[:, None], np.abs(away).max(axis=-1), np.inf)
        nearest = far.argmin(axis=-1)
        near = np.take_along_axis(far, nearest[..., None], axis=-1)[..., 0] < AROUND
        number = np.where(near, np.take_along_axis(names, nearest, axis=1) + 1, 0)
        offset = np.take_along_axis(away, nearest[..., None, None], axis=2)[:, :, 0]
        nowhere = ~near[..., None]
        place, turn = (np.take_along_axis(rows, nearest[..., None], axis=1) for rows in (positions, turns))
        return (
            self._kinds[number],
            self._colours[number],
            np.where(nowhere, 0.0, offset).astype(np.float32),
            np.where(nowhere, 0.0, place),
            np.where(nowhere, 0.0, turn),
        )

    def _relative(
        self, rows: NDArray[np.int64], targets: NDArray[np.int32], places: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        positions, tool = self._frames.columns["positions"][rows], self._frames.columns["tool"][rows]
        line = np.arange(len(rows))[:, None]
        parts = [positions[line, which] - tool[:, None] for which in (targets, places)]
        known = [np.repeat((which != NOTHING)[..., None], 3, axis=-1) for which in (targets, places)]
        return np.concatenate(parts, axis=-1), np.concatenate(known, axis=-1).astype(np.float32)


def _encoded(
    sentences: Sequence[str], text: PromptTokenizer, bare_space: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ids of each sentence from its first word to the bare space, padded; lengths; the ids before the first word."""
    whole = [text.encode(write_prompt(sentence, "openvla"))[0].tolist() for sentence in sentences]
    for sentence, ids in zip(sentences, whole, strict=True):
        if 0 in ids:
            raise InvalidDataset(f"the tokenizer does not know every word of {sentence!r}")
    prefix = whole[0][:2]
    if any(ids[:2] != prefix for ids in whole):
        raise InvalidDataset("prompts begin differently; expected one token before each sentence")
    rows = [[*ids[2:], bare_space] for ids in whole]
    padded = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return padded, np.array([len(row) for row in rows]), np.array(prefix)


def _normalized(actions: NDArray[np.float32], statistics: ActionStatistics) -> NDArray[Any]:
    """As ActionStatistics.normalize, for many actions at once."""
    low, high = np.array(statistics.q01), np.array(statistics.q99)
    scaled = np.clip(2.0 * (actions - low) / (high - low + EPSILON) - 1.0, -1.0, 1.0)
    return np.where(low == high, 0.0, np.where(np.array(statistics.mask), scaled, actions))
