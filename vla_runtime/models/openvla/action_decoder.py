"""Greedy decoding of actions as fast as plain torch allows: the same tokens as `greedy_tokens`, with fewer and larger operations.

What is left out: module calls, new rotary tables, masks and caches for each pass, separate projections for queries, keys and values, the
last layer of positions from which nothing is read, and rows of the read-out that are no action tokens. A draft, mostly the tokens of the
previous action, can ride along with the prompt: all tokens are then read out at once, those up to the first wrong one are right, and only
the rest takes further passes. No pass is ever more than one token each would have taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_runtime.models.openvla.decode import DecodedTokens
from vla_runtime.models.openvla.llama import Llama, LlamaLayer, rotary_angles
from vla_runtime.models.openvla.model import OpenVLA

ROOM_STEP = 64  # [positions] by which the cache grows
Redraft = Literal["keep", "jacobi"]


@dataclass(frozen=True)
class _Weights:
    """Of one layer: [out, in] each."""

    before_attention: Tensor
    queries_keys_values: Tensor
    attention_out: Tensor
    before_mlp: Tensor
    gate_up: Tensor
    down: Tensor


def can_decode(model: OpenVLA) -> bool:
    """Whether the language model's weights are plain tensors: quantised ones cannot be put side by side."""
    return all(type(parameter.data) is Tensor for parameter in model.language_model.parameters())


@final
class ActionDecoder:
    """Decodes one action after another, each after its own prompt. Not for several threads at once."""

    def __init__(
        self, model: OpenVLA, count: int, *, constrain_actions: bool = True, redraft: Redraft = "keep"
    ) -> None:
        """Put the weights side by side, in place: the model's own parameters become views of them and stay usable.

        Args:
            model: On some device, in some dtype, no longer to be trained.
            count: Tokens of an action.
            constrain_actions: Choose among the action tokens only; otherwise among all, up to the end-of-text token.
            redraft: What stands in for the tokens behind a wrong draft: "keep" the draft's, or "jacobi", what the pass that found
                the wrong one read out there.
        """
        settings = model.configuration
        language: Llama = model.language_model
        self._model, self._count, self._redraft = model, count, redraft
        self._text, self._constrain = settings.text, constrain_actions
        self._first = settings.vocab_size - settings.action_bins if constrain_actions else 0
        self._end_of_text = settings.eos_token_id
        head = language.lm_head.weight
        self._head = head[self._first : settings.vocab_size] if constrain_actions else head
        self._embeddings = language.model.embed_tokens.weight
        self._norm = language.model.norm.weight
        self._layers = [_side_by_side(layer) for layer in language.model.layers]
        self._masks: dict[tuple[int, int], Tensor] = {}
        self._capacity = 0
        self._batch = 0

    @torch.inference_mode()
    def decode(
        self, input_ids: Tensor, pixel_values: Tensor | None, draft: Sequence[int] | None = None
    ) -> DecodedTokens:
        """The most probable tokens after a prompt and an image.

        Args:
            input_ids: [1, T], ending with the bare space.
            pixel_values: [1, 3 per tower, S, S], or None for text alone.
            draft: Ids that the tokens may turn out to be, as many as an action has; None: one pass for each token.
        """
        projected = None if pixel_values is None else self._model.project(pixel_values)
        return self.decode_embeddings(self._model.embed(input_ids, projected), draft)

    @torch.inference_mode()
    def decode_embeddings(self, embeddings: Tensor, draft: Sequence[int] | None = None) -> DecodedTokens:
        """The same after embeddings [1, N, width] of prompt and image."""
        length = embeddings.shape[1]
        self._make_room(1, length + self._count, embeddings)
        hopes = [] if draft is None else [int(token) for token in draft]
        ids: list[int] = []
        rows: list[Tensor] = []
        passes = 0
        while len(ids) < self._count:
            known = len(ids)
            ahead = hopes[known : self._count - 1]
            if known == 0:
                read = self._embedded(ahead) if ahead else None
                hidden = embeddings[0] if read is None else torch.cat([embeddings[0], read])
                start = 0
            else:
                hidden = self._embedded([ids[-1], *ahead])
                start = length + known - 1
            logits = self._pass(hidden, start, 1 + len(ahead))
            passes += 1
            best = [self._first + choice for choice in logits.argmax(-1).tolist()]
            taken = 1
            while (
                taken <= len(ahead)
                and ahead[taken - 1] == best[taken - 1]
                and not self._ends(best[taken - 1])
            ):
                taken += 1
            ids += best[:taken]
            rows.append(logits[:taken])
            if self._ends(ids[-1]):
                break
            if self._redraft == "jacobi" and ahead:
                hopes[len(ids) : self._count] = best[taken:]
        return _told(ids, torch.cat(rows), self._first, passes)

    @torch.inference_mode()
    def decode_batch(self, prompts: Sequence[Tensor], pixel_values: Tensor) -> list[DecodedTokens]:
        """Several prompts and images at once, one pass for each token.

        Args:
            prompts: [1, T] each, of any lengths, ending with the bare space.
            pixel_values: [B, 3 per tower, S, S].
        """
        batch = len(prompts)
        lengths = torch.tensor([prompt.shape[1] for prompt in prompts], device=pixel_values.device)
        ids = nn.utils.rnn.pad_sequence(
            [prompt[0] for prompt in prompts], batch_first=True
        )  # behind the end: never seen
        embeddings = self._model.embed(ids, self._model.project(pixel_values))
        ends = lengths + embeddings.shape[1] - ids.shape[1]  # with the patches
        self._make_room(batch, embeddings.shape[1] + self._count, embeddings)
        positions = torch.arange(embeddings.shape[1], device=ids.device).expand(batch, -1)
        logits = self._batch_pass(embeddings, positions, ends - 1)
        rows, chosen = [logits], [logits.argmax(-1) + self._first]
        for number in range(1, self._count):
            at = ends + number - 1
            hidden = self._embeddings[chosen[-1]][:, None]
            logits = self._batch_pass(hidden, at[:, None], torch.zeros_like(at))
            rows.append(logits)
            chosen.append(logits.argmax(-1) + self._first)
        per_row = torch.stack(rows, dim=1)
        written = torch.stack(chosen, dim=1).tolist()
        return [
            _told(self._until_end(ids), per_row[row, : len(self._until_end(ids))], self._first, self._count)
            for row, ids in enumerate(written)
        ]

    # ------------------------------------------------------------------------------------------------- passes

    def _pass(self, hidden: Tensor, start: int, wanted: int) -> Tensor:
        """Read [N, width] at positions from `start` on. Logits [wanted, choices] after the last positions."""
        text, count = self._text, hidden.shape[0]
        end = start + count
        cosine, sine = self._cosine[start:end], self._sine[start:end]
        heads, groups, size = text.num_attention_heads, text.num_key_value_heads, text.head_size
        last = len(self._layers) - 1
        for index, layer in enumerate(self._layers):
            normed = self._normed(hidden, layer.before_attention)
            if (
                index == last and wanted < count
            ):  # of the last layer, only what is read out; keys and values of all
                queries = functional.linear(normed[-wanted:], layer.queries_keys_values[: heads * size])
                others = functional.linear(normed, layer.queries_keys_values[heads * size :])
                queries = _turned(_split(queries, heads), cosine[-wanted:], sine[-wanted:])
                keys = _turned(_split(others[:, : groups * size], groups), cosine, sine)
                hidden = hidden[-wanted:]
            else:
                others = functional.linear(normed, layer.queries_keys_values)
                both = _turned(_split(others[:, : (heads + groups) * size], heads + groups), cosine, sine)
                queries, keys = both[:heads], both[heads:]
            self._keys[index, 0, :, start:end] = keys
            self._values[index, 0, :, start:end] = _split(others[:, -groups * size :], groups)
            rows = queries.shape[1]
            mixed = functional.scaled_dot_product_attention(
                queries[None],
                self._keys[index, :, :, :end],
                self._values[index, :, :, :end],
                attn_mask=None if rows in (1, end) else self._mask(rows, end),
                is_causal=rows == end and rows > 1,
                enable_gqa=groups != heads,
            )
            mixed = mixed[0].transpose(0, 1).reshape(rows, heads * size)
            hidden = torch.addmm(hidden, mixed, layer.attention_out.t())
            gated, up = functional.linear(self._normed(hidden, layer.before_mlp), layer.gate_up).chunk(
                2, dim=-1
            )
            hidden = torch.addmm(hidden, functional.silu(gated) * up, layer.down.t())
        return functional.linear(self._normed(hidden[-wanted:], self._norm), self._head)

    def _batch_pass(self, hidden: Tensor, positions: Tensor, wanted: Tensor) -> Tensor:
        """Read [B, N, width] at positions [B, N]. Logits [B, choices] after the row [B] that is wanted of each."""
        text = self._text
        batch, count, _ = hidden.shape
        heads, groups, size = text.num_attention_heads, text.num_key_value_heads, text.head_size
        cosine, sine = self._cosine[positions][:, None], self._sine[positions][:, None]
        each = torch.arange(batch, device=hidden.device)
        mask, end = None, count
        if count == 1:
            end = int(positions.max()) + 1
            mask = (torch.arange(end, device=hidden.device) <= positions)[:, None, None]
        for index, layer in enumerate(self._layers):
            normed = self._normed(hidden, layer.before_attention)
            mixed = (
                functional.linear(normed, layer.queries_keys_values)
                .view(batch, count, -1, size)
                .transpose(1, 2)
            )
            both = _turned(mixed[:, : heads + groups], cosine, sine)
            keys, values = both[:, heads:], mixed[:, heads + groups :]
            if count == 1:
                self._keys[index, each, :, positions[:, 0]] = keys[:, :, 0]
                self._values[index, each, :, positions[:, 0]] = values[:, :, 0]
            else:
                self._keys[index, :, :, :count] = keys
                self._values[index, :, :, :count] = values
            mixed = functional.scaled_dot_product_attention(
                both[:, :heads],
                self._keys[index, :, :, :end],
                self._values[index, :, :, :end],
                attn_mask=mask,
                is_causal=mask is None,
                enable_gqa=groups != heads,
            )
            mixed = mixed.transpose(1, 2).reshape(batch, count, heads * size)
            if index == len(self._layers) - 1:  # only what is read out
                mixed, hidden = mixed[each, wanted][:, None], hidden[each, wanted][:, None]
            hidden = hidden + functional.linear(mixed, layer.attention_out)
            gated, up = functional.linear(self._normed(hidden, layer.before_mlp), layer.gate_up).chunk(
                2, dim=-1
            )
            hidden = hidden + functional.linear(functional.silu(gated) * up, layer.down)
        return functional.linear(self._normed(hidden[:, 0], self._norm), self._head)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        if hidden.dtype == torch.float32:
            return functional.rms_norm(hidden, (hidden.shape[-1],), weight, self._text.rms_norm_eps)
        wide = hidden.float()  # rounded where the original rounds
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._text.rms_norm_eps)
        return weight * wide.to(hidden.dtype)

    def _mask(self, rows: int, end: int) -> Tensor:
        """[rows, end] bool: the last rows of a causal mask."""
        if (rows, end) not in self._masks:
            every = torch.ones(rows, end, dtype=torch.bool, device=self._head.device)
            self._masks[rows, end] = every.tril(end - rows)
        return self._masks[rows, end]

    def _embedded(self, ids: list[int]) -> Tensor:
        return self._embeddings[torch.tensor(ids, device=self._embeddings.device)]

    def _ends(self, token: int) -> bool:
        return not self._constrain and token == self._end_of_text

    def _until_end(self, ids: list[int]) -> list[int]:
        stop = next((number for number, token in enumerate(ids) if self._ends(token)), len(ids) - 1)
        return ids[: stop + 1]

    def _make_room(self, batch: int, positions: int, like: Tensor) -> None:
        """A cache and rotary tables for so many positions; what is in the cache from before is never read."""
        if batch == self._batch and positions <= self._capacity:
            return
        text = self._text
        if positions > self._capacity:
            self._capacity = ROOM_STEP * -(-positions // ROOM_STEP)
            places = torch.arange(self._capacity, device=like.device)
            self._cosine, sine = rotary_angles(text, places, like)
            half = text.head_size // 2
            self._sine = torch.cat([-sine[:, :half], sine[:, half:]], dim=-1)
        self._batch = batch
        shape = (text.num_hidden_layers, batch, text.num_key_value_heads, self._capacity, text.head_size)
        self._keys, self._values = like.new_zeros(shape), like.new_zeros(shape)


def _told(ids: list[int], logits: Tensor, first: int, passes: int) -> DecodedTokens:
    """With how sure the model was of each of the ids, from its logits [ids, choices]."""
    log_p = torch.log_softmax(logits.float(), dim=-1)
    chosen = log_p[torch.arange(len(ids)), torch.tensor(ids) - first]
    entropies = -(log_p.exp() * log_p).nansum(-1)
    return DecodedTokens(tuple(ids), tuple(chosen.tolist()), tuple(entropies.tolist()), passes)


def _split(rows: Tensor, heads: int) -> Tensor:
    """[N, heads * size] to [heads, N, size]."""
    return rows.view(rows.shape[0], heads, -1).transpose(0, 1)


def _turned(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """[..., N, size] turned by the angles of their positions; the sine of the first half has its sign changed already."""
    return torch.addcmul(heads * cosine, heads.roll(heads.shape[-1] // 2, -1), sine)


def _side_by_side(layer: nn.Module) -> _Weights:
    assert isinstance(layer, LlamaLayer)
    attention, mlp = layer.self_attn, layer.mlp
    return _Weights(
        layer.input_layernorm.weight,
        _joined(attention.q_proj, attention.k_proj, attention.v_proj),
        attention.o_proj.weight,
        layer.post_attention_layernorm.weight,
        _joined(mlp.gate_proj, mlp.up_proj),
        mlp.down_proj.weight,
    )


def _joined(*projections: nn.Linear) -> Tensor:
    """Their weights one below the other; from now on each projection's own is a view of it, so that nothing is stored twice."""
    with torch.no_grad():
        joined = torch.cat([projection.weight for projection in projections])
    at = 0
    for projection in projections:
        rows = projection.weight.shape[0]
        projection.weight = nn.Parameter(joined[at : at + rows], requires_grad=False)
        at += rows
    return joined
