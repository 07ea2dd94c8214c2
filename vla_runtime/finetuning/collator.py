"""Examples of different lengths as one batch: padded on the right, cut where they are too long.

As in openvla/openvla, prismatic/util/data_utils.py: ids are padded with the pad token, labels with IGNORED, and the
mask is True wherever the id is not the pad token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vla_runtime.errors import InvalidExample
from vla_runtime.finetuning.examples import Example
from vla_runtime.models.openvla.model import IGNORED

LONGEST = 2048  # [tokens] of a text, as in the original


@dataclass(frozen=True)
class Batch:
    """What the model is given.

    Attributes:
        input_ids: [B, T] int64.
        labels: [B, T] int64.
        attention_mask: [B, T] bool.
        pixel_values: [B, 3 per tower, S, S] fp32.
    """

    input_ids: Tensor
    labels: Tensor
    attention_mask: Tensor
    pixel_values: Tensor

    @property
    def label_count(self) -> int:
        """Tokens that are learnt; the first token of a text cannot be predicted."""
        return int((self.labels[:, 1:] != IGNORED).sum())

    def to(self, device: str | torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


@dataclass(frozen=True)
class Collator:
    """Makes batches.

    Attributes:
        pad_token_id: Of the checkpoint.
        longest: Tokens that a text is cut to.
    """

    pad_token_id: int
    longest: int = LONGEST

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """One batch. Raises InvalidExample when nothing in it is learnt."""
        ids = [example.input_ids[: self.longest] for example in examples]
        labels = [example.labels[: self.longest] for example in examples]
        input_ids = pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id)
        batch = Batch(
            input_ids,
            pad_sequence(labels, batch_first=True, padding_value=IGNORED),
            input_ids.ne(self.pad_token_id),
            torch.stack([example.pixel_values for example in examples]),
        )
        if batch.label_count == 0:
            raise InvalidExample(
                f"a batch of {len(examples)} texts has no label within {self.longest} tokens; expected shorter texts"
            )
        return batch
