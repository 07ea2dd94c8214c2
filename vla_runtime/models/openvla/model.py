"""The network: towers, projector and language model, with the original's parameter names."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.llama import KeyValueCache, Llama, causal_mask
from vla_runtime.models.openvla.projector import Projector
from vla_runtime.models.openvla.vision import VisionBackbone

IGNORED = -100  # label of positions that are not trained


@dataclass(frozen=True)
class ForwardPass:
    """Everything that one pass computes.

    Attributes:
        features: One [B, patches, width] per tower; empty without an image.
        projected: [B, patches, text width], or None without an image.
        embeddings: [B, N, text width], the language model's input: begin token, patches, the rest of the text.
        hidden: [B, N, text width], after the final norm.
        logits: [B, N, vocabulary]; with `labelled_only` [M, vocabulary], those from which the M labels are predicted.
        loss: Mean cross-entropy of the next token over labelled positions, or None without labels.
    """

    features: tuple[Tensor, ...]
    projected: Tensor | None
    embeddings: Tensor
    hidden: Tensor
    logits: Tensor
    loss: Tensor | None


class OpenVLA(nn.Module):
    """Image and prompt to next-token logits."""

    def __init__(self, configuration: OpenVLAConfiguration) -> None:
        """Args: configuration: all dimensions. Build under `torch.device("meta")` to allocate nothing."""
        super().__init__()
        self.configuration = configuration
        self.vision_backbone = VisionBackbone(configuration.towers)
        self.projector = Projector(
            configuration.vision_width, configuration.text.hidden_size, fused=configuration.fused
        )
        self.language_model = Llama(configuration.text)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        labelled_only: bool = False,
    ) -> ForwardPass:
        """One full pass.

        Args:
            input_ids: [B, T], padded on the right.
            pixel_values: [B, 3 per tower, S, S], or None for text alone.
            attention_mask: [B, T], 0 or False at padding; None: no padding.
            labels: [B, T] token ids, IGNORED where nothing is trained.
            labelled_only: Read out only the positions from which a label is predicted. Loss and gradients are the same;
                a robot's example has 8 of them among hundreds.
        """
        features = self.vision_backbone(pixel_values) if pixel_values is not None else ()
        projected = self.projector(torch.cat(features, dim=-1)) if features else None
        embeddings = self.embed(input_ids, projected)
        patches = embeddings.shape[1] - input_ids.shape[1]
        mask = None
        if attention_mask is not None and not bool(attention_mask.all()):
            mask = causal_mask(_with_patches(attention_mask.bool(), patches, fill=True))
        hidden = self.language_model(embeddings, mask)
        if labels is None:
            logits, loss = self.language_model.lm_head(hidden), None
        else:
            wanted = _with_patches(labels, patches, fill=IGNORED)[:, 1:]
            logits, loss = self._read_out(hidden, wanted, labelled_only=labelled_only)
        return ForwardPass(features, projected, embeddings, hidden, logits, loss)

    def _read_out(self, hidden: Tensor, wanted: Tensor, *, labelled_only: bool) -> tuple[Tensor, Tensor]:
        """Logits, and the mean cross-entropy against [B, N - 1] wanted tokens."""
        if labelled_only:
            labelled = wanted != IGNORED
            logits = self.language_model.lm_head(hidden[:, :-1][labelled])
            return logits, functional.cross_entropy(logits.float(), wanted[labelled])
        logits = self.language_model.lm_head(hidden)
        rows = logits[:, :-1].float().reshape(-1, logits.shape[-1])
        return logits, functional.cross_entropy(rows, wanted.reshape(-1), ignore_index=IGNORED)

    def project(self, pixel_values: Tensor) -> Tensor:
        """Images [B, 3 per tower, S, S] to [B, patches, text width]."""
        return self.projector(torch.cat(self.vision_backbone(pixel_values), dim=-1))

    def embed(self, input_ids: Tensor, projected: Tensor | None) -> Tensor:
        """[B, T] ids and projected patches to embeddings; the patches go behind the first token."""
        text = self.language_model.model.embed_tokens(input_ids)
        if projected is None:
            return text
        return torch.cat([text[:, :1], projected.to(text.dtype), text[:, 1:]], dim=1)

    def prefill(self, embeddings: Tensor, room: int) -> tuple[Tensor, KeyValueCache]:
        """Read a prompt [B, N, width]. Returns logits [B, vocabulary] of the next token, and the cache.

        Args:
            embeddings: Without padding.
            room: Positions to keep free in the cache for tokens to come.
        """
        capacity = embeddings.shape[1] + room
        cache = KeyValueCache.empty(self.configuration.text, embeddings.shape[0], capacity, embeddings)
        hidden = self.language_model(embeddings, None, cache)
        return self.language_model.lm_head(hidden[:, -1]), cache

    def decode_one(self, token_ids: Tensor, cache: KeyValueCache) -> Tensor:
        """Read one token per row, [B]. Returns logits [B, vocabulary] of the next one."""
        embeddings = self.language_model.model.embed_tokens(token_ids[:, None])
        return self.language_model.lm_head(self.language_model(embeddings, None, cache)[:, -1])


def _with_patches(per_token: Tensor, patches: int, fill: int | bool) -> Tensor:  # noqa: FBT001
    """[B, T] to [B, T + patches]: the patches' entries go behind the first token's."""
    middle = per_token.new_full((per_token.shape[0], patches), fill)
    return torch.cat([per_token[:, :1], middle, per_token[:, 1:]], dim=1)
