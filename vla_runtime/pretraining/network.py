"""The network as it is trained: several instructions behind one picture, and read-outs that exist in training only.

A row is: begin token, patches, the prompt's fixed beginning, then one branch for each instruction: its words, the prompt's
end, the bare space, the action tokens. A branch sees what is before all branches and itself, and its positions go on
from there: so each branch computes what it would alone, and the picture is read once for all of them.

The read-outs break a plateau on which a network from nothing learns when to close the gripper and never what a word
means: which thing is in each patch and where in the world, where the tool is, and where the named thing and its destination are.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_runtime.models.openvla.llama import LlamaLayer, rotary_angles, rotated
from vla_runtime.models.openvla.model import OpenVLA

NOWHERE = -1


@dataclass(frozen=True)
class PackedBatch:
    """B frames with K instructions each.

    Attributes:
        pixel_values: [B, 3, S, S].
        prefix: [P0] ids before the branches, begin token first, without patches.
        branches: [B, K, L] input ids, padded on the right.
        starts: [B, K] index of the bare space in its branch; the action tokens follow.
        actions: [B, K, A] action ids.
        patch_kinds, patch_colours: [B, N] class in each patch; 0: nothing there.
        patch_offsets: [B, N, 2] from a patch's middle to the thing's centre, in patches.
        patch_positions: [B, N, 3] of that thing, world frame [m].
        patch_turns: [B, N, 2] cosine and sine of its heading, so often around as it looks the same; zeros: none matters.
        tool_position: [B, 3] world frame [m].
        tool_patch: [B] patch with the tool, NOWHERE out of sight.
        tool_turn: [B, 2] cosine and sine of twice its heading.
        target_patch, destination_patch: [B, K] patches with the named things, or NOWHERE.
        relative: [B, K, 6] from the tool to the thing and to its destination [m].
        relative_known: [B, K, 6] whether there is such a number.
    """

    pixel_values: Tensor
    prefix: Tensor
    branches: Tensor
    starts: Tensor
    actions: Tensor
    patch_kinds: Tensor
    patch_colours: Tensor
    patch_offsets: Tensor
    patch_positions: Tensor
    patch_turns: Tensor
    tool_position: Tensor
    tool_patch: Tensor
    tool_turn: Tensor
    target_patch: Tensor
    destination_patch: Tensor
    relative: Tensor
    relative_known: Tensor


@dataclass(frozen=True)
class Weights:
    """How much each loss counts.

    Attributes:
        pointers: Patches of thing and destination, read at the bare space.
        patches: What is in each patch, and where the tool is.
        relative: From the tool to thing and destination.
        motion: The action as numbers, whose errors count by their size, which those of tokens do not.
        constant_axes: Factor of axes that hardly move, in the action's loss.
    """

    pointers: float = 0.3
    patches: float = 0.3
    relative: float = 0.3
    motion: float = 1.0
    constant_axes: float = 0.1


@final
class ReadOuts(nn.Module):
    """Training only."""

    def __init__(
        self, vision_width: int, text_width: int, kinds: int, colours: int, axes: int, pointer_layers: int = 2
    ) -> None:
        """Args: kinds, colours: without "nothing"; axes: of an action; pointer_layers: at how many layers they are read."""
        super().__init__()
        self.kind = nn.Linear(vision_width, kinds + 1)
        self.colour = nn.Linear(vision_width, colours + 1)
        self.offset = nn.Linear(vision_width, 2)
        self.tool = nn.Linear(vision_width, 1)
        self.place = nn.Linear(vision_width, 6)
        self.turn = nn.Linear(vision_width, 4)
        self.queries = nn.ModuleList(nn.Linear(text_width, 2 * text_width) for _ in range(pointer_layers))
        self.keys = nn.ModuleList(nn.Linear(text_width, 2 * text_width) for _ in range(pointer_layers))
        self.relative = nn.Sequential(nn.Linear(text_width, text_width), nn.GELU(), nn.Linear(text_width, 6))
        self.motion = nn.Sequential(nn.Linear(text_width, text_width), nn.GELU(), nn.Linear(text_width, axes))


@final
class TrainedNetwork(nn.Module):
    """A model, its training-only read-outs, and their losses."""

    def __init__(
        self,
        model: OpenVLA,
        kinds: int,
        colours: int,
        weights: Weights,
        axes: int = 7,
        spread_bins: float = 2.0,
        *,
        half: bool = False,
    ) -> None:
        """Put them together.

        Args:
            model: To be trained.
            kinds: How many there are.
            colours: How many there are.
            weights: Of the losses.
            axes: Of an action.
            spread_bins: Standard deviation of the soft label around the right bin, on all axes but the gripper [bins].
            half: Multiply in bf16 up to the last layer; weights, what is read out, and losses stay in fp32.
        """
        super().__init__()
        settings = model.configuration
        self.model, self.weights, self._half = model, weights, half
        self.read_outs = ReadOuts(settings.vision_width, settings.text.hidden_size, kinds, colours, axes)
        layers = settings.text.num_hidden_layers
        self.pointer_layer = layers // 2
        self.first_action = settings.vocab_size - settings.action_bins
        self.register_buffer(
            "soft", torch.empty(settings.action_bins, settings.action_bins), persistent=False
        )
        self.spread(spread_bins)

    def spread(self, bins: float) -> None:
        """Set the standard deviation of soft labels around the right bin, on all axes but the gripper [bins]."""
        soft = self.get_buffer("soft")
        places = torch.arange(len(soft), dtype=torch.float32)
        near = torch.exp(-0.5 * ((places[:, None] - places[None, :]) / bins) ** 2)
        soft.copy_(near / near.sum(-1, keepdim=True))

    def forward(self, batch: PackedBatch, axis_weights: Tensor) -> dict[str, Tensor]:
        """All losses, and shares of right answers.

        Args:
            batch: Frames.
            axis_weights: [A] of each axis in the action's loss.
        """
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            features, answers, pointed = self._read(batch)
        answers = self.model.language_model.model.norm(answers)
        asked = answers[:, :, 0]
        losses = self._action_losses(answers, batch, axis_weights)
        places = (batch.target_patch, batch.destination_patch)
        misses = [
            _cross_entropy(scores, where)
            for pair in pointed
            for scores, where in zip(pair, places, strict=True)
        ]
        losses["pointers"] = torch.stack(misses).sum() / len(pointed)
        losses["found"] = _right(pointed[-1][0], batch.target_patch)
        losses |= self._patch_losses(features, batch)
        wished = batch.relative * 10.0  # [dm]
        told = self.read_outs.relative(asked)
        off = functional.smooth_l1_loss(told, wished, reduction="none", beta=0.1) * batch.relative_known
        losses["relative"] = off.sum() / batch.relative_known.sum().clamp(min=1.0)
        moved = (batch.actions - self.first_action) / (
            len(self.get_buffer("soft")) / 2.0
        ) - 1.0  # about -1 to 1
        told = self.read_outs.motion(asked)
        off = functional.smooth_l1_loss(told, moved, reduction="none", beta=0.1) * axis_weights
        losses["motion"] = off.sum(-1).mean() / axis_weights.sum()
        weights = self.weights
        losses["loss"] = (
            losses["action"]
            + weights.pointers * losses["pointers"]
            + weights.patches * losses["patches"]
            + weights.relative * losses["relative"]
            + weights.motion * losses["motion"]
        )
        return losses

    def _read(self, batch: PackedBatch) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Patches' features [B, N, width], hidden states at the action tokens [B, K, A, width], pointers by layer."""
        model = self.model
        (features,) = model.vision_backbone(batch.pixel_values)
        patches = model.projector(features)
        count, branches, length = batch.branches.shape
        text = model.language_model.model
        prefix = text.embed_tokens(batch.prefix).expand(count, -1, -1)
        inputs = text.embed_tokens(batch.branches.reshape(count, -1))
        hidden = torch.cat([prefix[:, :1], patches, prefix[:, 1:], inputs], dim=1)
        shared = hidden.shape[1] - branches * length
        positions = torch.cat([torch.arange(shared), torch.arange(shared, shared + length).repeat(branches)])
        rotary = rotary_angles(model.configuration.text, positions, hidden)
        seen = slice(1, 1 + patches.shape[1])
        at = shared + torch.arange(branches) * length + batch.starts  # [B, K]
        pointed: list[tuple[Tensor, Tensor]] = []
        *layers, last = text.layers
        for index, layer in enumerate(layers):
            hidden = _layer(layer, hidden, rotary, shared, branches, length)
            if index == self.pointer_layer:
                pointed.append(self._pointers(0, _rows(hidden, at), hidden[:, seen]))
        answers = _last_layer(last, hidden, rotary, shared, batch.starts, length, batch.actions.shape[-1])
        asked = answers[:, :, 0]  # at the bare space
        pointed.append(self._pointers(1, asked, hidden[:, seen]))
        return features.float(), answers.float(), pointed

    def _pointers(self, number: int, asking: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, K, N] of each patch, for the thing and for its destination."""
        queries = self.read_outs.queries[number](asking).chunk(2, dim=-1)
        keys = self.read_outs.keys[number](patches).chunk(2, dim=-1)
        scale = asking.shape[-1] ** -0.5
        thing, place = ((q @ k.transpose(1, 2)).float() * scale for q, k in zip(queries, keys, strict=True))
        return thing, place

    def _action_losses(self, answers: Tensor, batch: PackedBatch, axis_weights: Tensor) -> dict[str, Tensor]:
        """Of hidden states [B, K, A, width] from which the action tokens are read."""
        log_p = torch.log_softmax(self.model.language_model.lm_head(answers), dim=-1)
        around = self.get_buffer("soft")
        of_actions = log_p[..., self.first_action : self.first_action + len(around)]
        bins = batch.actions - self.first_action
        soft = around[bins]
        soft[:, :, -1] = functional.one_hot(
            bins[:, :, -1], soft.shape[-1]
        ).float()  # the gripper is open or closed
        each = -(soft * of_actions).sum(-1) * axis_weights
        off = (of_actions.argmax(-1) - bins).abs().float()
        return {
            "action": each.sum(-1).mean() / axis_weights.sum(),
            "off_bins": (off[..., :-1] * axis_weights[:-1]).sum(-1).mean() / axis_weights[:-1].sum(),
            "gripper": (off[..., -1] < 8).float().mean(),
        }

    def _patch_losses(self, features: Tensor, batch: PackedBatch) -> dict[str, Tensor]:
        heads = self.read_outs
        kinds = functional.cross_entropy(heads.kind(features).flatten(0, 1), batch.patch_kinds.flatten())
        colours = functional.cross_entropy(
            heads.colour(features).flatten(0, 1), batch.patch_colours.flatten()
        )
        there = (batch.patch_kinds > 0).float()[..., None]
        off = (
            functional.smooth_l1_loss(heads.offset(features), batch.patch_offsets, reduction="none", beta=0.1)
            * there
        )
        tool = _cross_entropy(heads.tool(features)[..., 0][:, None], batch.tool_patch[:, None])
        of_things, of_tool = (heads.place(features)).chunk(2, dim=-1)
        far = (
            functional.smooth_l1_loss(of_things, batch.patch_positions * 10.0, reduction="none", beta=0.1)
            * there
        )
        seen = (batch.tool_patch != NOWHERE).float()
        at = batch.tool_patch.clamp(min=0)[:, None, None]
        of_tool = of_tool.gather(1, at.expand(-1, -1, 3))[:, 0]
        reach = functional.smooth_l1_loss(of_tool, batch.tool_position * 10.0, reduction="none", beta=0.1)
        turned, tool_turned = heads.turn(features).chunk(2, dim=-1)
        headed = batch.patch_turns.abs().sum(-1, keepdim=True) > 0.0
        turns = functional.smooth_l1_loss(turned, batch.patch_turns, reduction="none", beta=0.1) * headed
        tool_turned = tool_turned.gather(1, at.expand(-1, -1, 2))[:, 0]
        own = functional.smooth_l1_loss(tool_turned, batch.tool_turn, reduction="none", beta=0.1)
        places = far.sum() / (3.0 * there.sum()).clamp(min=1.0) + (
            reach.mean(-1) * seen
        ).sum() / seen.sum().clamp(min=1.0)
        headings = turns.sum() / (2.0 * headed.sum()).clamp(min=1.0) + (
            own.mean(-1) * seen
        ).sum() / seen.sum().clamp(min=1.0)
        # Most patches hold nothing: a mean over all of them is small, so it counts more.
        offsets = off.sum() / (2.0 * there.sum()).clamp(min=1.0)
        what, where = 3.0 * (kinds + colours), 0.3 * tool + offsets + places
        return {
            "places": places.detach(),
            "headings": headings.detach(),
            "patches": what + where + headings,
        }


def _layer(
    layer: nn.Module, hidden: Tensor, rotary: tuple[Tensor, Tensor], shared: int, branches: int, length: int
) -> Tensor:
    """One layer of the language model over what is shared and all branches."""
    assert isinstance(layer, LlamaLayer)
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    batch, count, _ = normed.shape
    queries, keys, values = (
        projection(normed).view(batch, count, -1, attention.size).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    queries, keys = rotated(queries, rotary), rotated(keys, rotary)
    mixed = branched_attention(queries, keys, values, shared, branches, length)
    hidden = hidden + attention.o_proj(mixed.transpose(1, 2).reshape(batch, count, -1))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


def _last_layer(
    layer: nn.Module,
    hidden: Tensor,
    rotary: tuple[Tensor, Tensor],
    shared: int,
    starts: Tensor,
    length: int,
    axes: int,
) -> Tensor:
    """The last layer, only where something is read out of it: [B, K, A, width] from each bare space on.

    Keys and values are needed everywhere, queries and the rest for one position in five.
    """
    assert isinstance(layer, LlamaLayer)
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    batch, count, width = normed.shape
    branches = starts.shape[1]
    within = starts[..., None] + torch.arange(axes)  # [B, K, A], in its branch
    at = (shared + torch.arange(branches)[:, None] * length + within).flatten(1)  # [B, K * A]
    keys, values = (
        projection(normed).view(batch, count, -1, attention.size).transpose(1, 2)
        for projection in (attention.k_proj, attention.v_proj)
    )
    keys = rotated(keys, rotary)
    asking = (
        attention.q_proj(_rows(normed, at)).view(batch, branches * axes, -1, attention.size).transpose(1, 2)
    )
    turned = tuple(table[at][:, None] for table in rotary)
    asking = rotated(asking, (turned[0], turned[1])) * attention.size**-0.5
    heads = asking.shape[1]
    to_trunk = (asking @ keys[:, :, :shared].transpose(-1, -2)).view(batch, heads, branches, axes, shared)
    split = (batch, heads, branches, length, attention.size)
    own = asking.view(batch, heads, branches, axes, -1) @ keys[:, :, shared:].reshape(split).transpose(-1, -2)
    later = torch.arange(length) > within[..., None]  # [B, K, A, L]
    weights = torch.cat([to_trunk, own.masked_fill(later[:, None], float("-inf"))], dim=-1).softmax(-1)
    from_trunk = weights[..., :shared].reshape(batch, heads, branches * axes, shared) @ values[:, :, :shared]
    from_own = weights[..., shared:] @ values[:, :, shared:].reshape(split)
    mixed = from_trunk + from_own.reshape(batch, heads, branches * axes, -1)
    rows = _rows(hidden, at) + attention.o_proj(mixed.transpose(1, 2).reshape(batch, branches * axes, -1))
    return (rows + layer.mlp(layer.post_attention_layernorm(rows))).view(batch, branches, axes, width)


def branched_attention(
    queries: Tensor, keys: Tensor, values: Tensor, shared: int, branches: int, length: int
) -> Tensor:
    """Causal attention of a trunk, and of branches that see the trunk and themselves.

    Args:
        queries: [B, heads, shared + branches * length, size].
        keys: The same.
        values: The same.
        shared: Length of the trunk.
        branches: How many.
        length: Of each.

    Returns:
        As the queries.
    """
    batch, heads, _, size = queries.shape
    queries = queries * size**-0.5
    trunk_keys, trunk_values = keys[:, :, :shared], values[:, :, :shared]
    scores = queries[:, :, :shared] @ trunk_keys.transpose(-1, -2) + _causal(shared, queries)
    trunk = scores.softmax(-1) @ trunk_values
    asking = queries[:, :, shared:]
    to_trunk = (asking @ trunk_keys.transpose(-1, -2)).view(batch, heads, branches, length, shared)
    split = (batch, heads, branches, length, size)
    own = asking.reshape(split) @ keys[:, :, shared:].reshape(split).transpose(-1, -2) + _causal(
        length, queries
    )
    weights = torch.cat([to_trunk, own], dim=-1).softmax(-1)
    from_trunk = weights[..., :shared].reshape(batch, heads, branches * length, shared) @ trunk_values
    from_own = weights[..., shared:] @ values[:, :, shared:].reshape(split)
    return torch.cat([trunk, from_trunk + from_own.reshape(batch, heads, branches * length, size)], dim=2)


def _causal(count: int, like: Tensor) -> Tensor:
    return torch.full((count, count), float("-inf"), dtype=like.dtype, device=like.device).triu(1)


def _rows(hidden: Tensor, at: Tensor) -> Tensor:
    """[B, N, width] at [B, M] to [B, M, width]."""
    return hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[-1]))


def _cross_entropy(scores: Tensor, where: Tensor) -> Tensor:
    """Mean over what is somewhere; scores [B, K, N], where [B, K]."""
    if not bool((where != NOWHERE).any()):
        return scores.sum() * 0.0
    return functional.cross_entropy(scores.flatten(0, 1), where.flatten(), ignore_index=NOWHERE)


def _right(scores: Tensor, where: Tensor) -> Tensor:
    known = where != NOWHERE
    return ((scores.argmax(-1) == where) & known).float().sum() / known.sum().clamp(min=1)
