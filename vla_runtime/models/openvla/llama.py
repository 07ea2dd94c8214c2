"""The language model, with the parameter names of transformers' Llama and a key/value cache that is plain tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_runtime.models.openvla.configuration import LlamaConfiguration


@dataclass
class KeyValueCache:
    """Keys and values of what has been read so far.

    Attributes:
        keys, values: [layers, B, key/value heads, capacity, head size].
        length: Positions that are filled.
    """

    keys: Tensor
    values: Tensor
    length: int = 0

    @classmethod
    def empty(cls, text: LlamaConfiguration, batch: int, capacity: int, like: Tensor) -> "KeyValueCache":
        """Room for a number of positions, on the device and in the dtype of a tensor."""
        shape = (text.num_hidden_layers, batch, text.num_key_value_heads, capacity, text.head_size)
        return cls(like.new_empty(shape), like.new_empty(shape))

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append to one layer; returns all of it. `length` moves on once per pass, not per layer."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in fp32."""

    def __init__(self, width: int, eps: float) -> None:
        """Args: width: feature size; eps: added to the mean square."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] to the same."""
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(hidden.dtype)


class LlamaAttention(nn.Module):
    """Causal attention with rotary positions and grouped keys and values."""

    def __init__(self, text: LlamaConfiguration, layer: int) -> None:
        """Args: text: dimensions; layer: its index, for the cache."""
        super().__init__()
        self.layer = layer
        self.heads, self.groups, self.size = (
            text.num_attention_heads,
            text.num_key_value_heads,
            text.head_size,
        )
        width, narrow = self.heads * self.size, self.groups * self.size
        self.q_proj = nn.Linear(text.hidden_size, width, bias=False)
        self.k_proj = nn.Linear(text.hidden_size, narrow, bias=False)
        self.v_proj = nn.Linear(text.hidden_size, narrow, bias=False)
        self.o_proj = nn.Linear(width, text.hidden_size, bias=False)

    def forward(
        self, hidden: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """[B, N, width] to the same. Without a mask: causal when N > 1, everything so far when N is 1."""
        batch, count, _ = hidden.shape
        queries, keys, values = (
            projection(hidden).view(batch, count, -1, self.size).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        queries, keys = rotated(queries, rotary), rotated(keys, rotary)
        if cache is not None:
            keys, values = cache.extend(self.layer, keys, values)
        mixed = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None and count > 1,
            enable_gqa=self.groups != self.heads,
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, count, -1))


class LlamaMLP(nn.Module):
    """Gated MLP."""

    def __init__(self, text: LlamaConfiguration) -> None:
        """Args: text: dimensions."""
        super().__init__()
        self.gate_proj = nn.Linear(text.hidden_size, text.intermediate_size, bias=False)
        self.up_proj = nn.Linear(text.hidden_size, text.intermediate_size, bias=False)
        self.down_proj = nn.Linear(text.intermediate_size, text.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] to the same."""
        return self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class LlamaLayer(nn.Module):
    """Attention and MLP, each normalised before and added after."""

    def __init__(self, text: LlamaConfiguration, layer: int) -> None:
        """Args: text: dimensions; layer: its index."""
        super().__init__()
        self.self_attn = LlamaAttention(text, layer)
        self.mlp = LlamaMLP(text)
        self.input_layernorm = RMSNorm(text.hidden_size, text.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(text.hidden_size, text.rms_norm_eps)

    def forward(
        self, hidden: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """[B, N, width] to the same."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotary, mask, cache)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class LlamaBody(nn.Module):
    """Embeddings, layers and the final norm."""

    def __init__(self, text: LlamaConfiguration) -> None:
        """Args: text: dimensions."""
        super().__init__()
        self.embed_tokens = nn.Embedding(text.vocab_size, text.hidden_size)
        self.layers = nn.ModuleList(LlamaLayer(text, index) for index in range(text.num_hidden_layers))
        self.norm = RMSNorm(text.hidden_size, text.rms_norm_eps)


class Llama(nn.Module):
    """The language model with its read-out."""

    def __init__(self, text: LlamaConfiguration) -> None:
        """Args: text: dimensions."""
        super().__init__()
        self.text = text
        self.model = LlamaBody(text)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)

    def forward(
        self, embeddings: Tensor, mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Embeddings [B, N, width] to normalised hidden states [B, N, width].

        Args:
            embeddings: Of the tokens after those in the cache.
            mask: [B, 1, N, N] bool, True where a query may look; None: plain causal.
            cache: Moves on by N positions.
        """
        start = cache.length if cache is not None else 0
        count = embeddings.shape[1]
        if mask is None and start > 0 and count > 1:  # SDPA's own causal mask would align to the wrong corner
            mask = torch.ones(count, start + count, dtype=torch.bool, device=embeddings.device).tril(start)
        positions = torch.arange(start, start + count, device=embeddings.device)
        rotary = rotary_angles(self.text, positions, embeddings)
        hidden = embeddings
        for layer in self.model.layers:
            hidden = layer(hidden, rotary, mask, cache)
        if cache is not None:
            cache.length += count
        return self.model.norm(hidden)


def rotary_angles(text: LlamaConfiguration, positions: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles of positions [N], each [N, head size], computed in fp32 as the original does."""
    size = text.head_size
    exponents = torch.arange(0, size, 2, dtype=torch.float32, device=like.device) / size
    angles = torch.outer(positions.float(), 1.0 / text.rope_theta**exponents)
    doubled = torch.cat([angles, angles], dim=-1)
    return doubled.cos().to(like.dtype), doubled.sin().to(like.dtype)


def rotated(heads: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """[B, heads, N, size] turned by the angles of their positions."""
    cosine, sine = rotary
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat([-second, first], dim=-1) * sine


def causal_mask(attention_mask: Tensor) -> Tensor:
    """[B, 1, N, N] bool from [B, N]: queries see themselves and earlier positions that are no padding."""
    count = attention_mask.shape[1]
    causal = torch.ones(count, count, dtype=torch.bool, device=attention_mask.device).tril()
    return causal & attention_mask.bool()[:, None, None, :]
