"""How good a model's tokens are on frames that it was not trained on, by teacher forcing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.finetuning.collator import Collator
from vla_runtime.finetuning.examples import FrameExamples, Vocabulary
from vla_runtime.models.openvla.model import IGNORED
from vla_runtime.types import NormalizedAction


@dataclass(frozen=True)
class TokenScores:
    """Of frames of one data set.

    Attributes:
        token_accuracy: Share of action tokens that are the most probable of the whole vocabulary.
        action_accuracy: Share of frames in which all of them are.
        loss: Mean cross-entropy of the labels, the stop token included where it is learnt [nats].
        l1: Per axis: mean distance between the most probable action token and the recorded action, in its unit.
        frames: How many.
    """

    token_accuracy: float
    action_accuracy: float
    loss: float
    l1: tuple[float, ...]
    frames: int


def score(
    model: nn.Module,
    examples: FrameExamples,
    rows: Sequence[int],
    vocabulary: Vocabulary,
    statistics: ActionStatistics,
    collator: Collator,
    accelerator: Accelerator,
    batch_size: int,
) -> TokenScores:
    """Score frames, shared out over all processes; every process must call it.

    Args:
        model: As it is trained.
        examples: Without random augmentation.
        rows: Of `examples`.
        vocabulary: Of the checkpoint.
        statistics: That normalised the actions.
        collator: Makes batches.
        accelerator: Of the training.
        batch_size: Frames in a pass.
    """
    axes = len(statistics.q01)
    sums = torch.zeros(4 + axes, dtype=torch.float64, device=accelerator.device)
    width = batch_size * accelerator.num_processes
    was_training = model.training
    model.eval()
    for first in range(0, len(rows), width):
        mine = list(rows[first : first + width][accelerator.process_index :: accelerator.num_processes])
        counted = len(mine)
        mine = mine or [rows[0]]  # every process makes every pass: with FSDP they need each other
        sums[:] += _sums(model, examples, mine, counted, vocabulary, statistics, collator).to(sums.device)
    model.train(was_training)
    total = accelerator.reduce(sums, "sum").tolist()  # type: ignore[union-attr]
    frames = int(total[0])
    l1 = tuple(value / frames for value in total[4:])
    return TokenScores(total[1] / (frames * axes), total[2] / frames, total[3] / frames, l1, frames)


@torch.no_grad()
def _sums(
    model: nn.Module,
    examples: FrameExamples,
    rows: Sequence[int],
    counted: int,
    words: Vocabulary,
    statistics: ActionStatistics,
    collator: Collator,
) -> Tensor:
    """Frames, right tokens, right actions, loss times frames, and distances per axis; only `counted` rows count."""
    batch = collator([examples.example(row, 0) for row in rows]).to(next(model.parameters()).device)
    result = model(
        batch.input_ids, batch.pixel_values, batch.attention_mask, batch.labels, labelled_only=True
    )
    axes = len(statistics.q01)
    wanted = batch.labels[:, 1:]
    wanted = wanted[wanted != IGNORED].view(len(rows), -1)[:, :axes]
    logits = result.logits.float().view(len(rows), -1, result.logits.shape[-1])[:, :axes]
    right = logits.argmax(-1) == wanted
    ids = words.tokens.token_ids
    best = logits[..., ids.start : ids.stop].argmax(-1) + ids.start
    distances = np.zeros(axes)
    for row, tokens in zip(rows[:counted], best.tolist(), strict=False):
        normalized = NormalizedAction(tuple(words.tokens.decode(tokens).tolist()))
        distances += np.abs(np.array(statistics.unnormalize(normalized).values) - examples.action(row))
    numbers = [counted, int(right[:counted].sum()), int(right[:counted].all(dim=1).sum())]
    return torch.tensor([*numbers, float(result.loss) * counted, *distances.tolist()], dtype=torch.float64)
