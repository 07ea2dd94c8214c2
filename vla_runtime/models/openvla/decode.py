"""Greedy decoding of an action's tokens, with how sure the model was of each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vla_runtime.models.openvla.configuration import BARE_SPACE
from vla_runtime.models.openvla.model import OpenVLA


@dataclass(frozen=True)
class DecodedTokens:
    """What the model wrote.

    Attributes:
        token_ids: In order; fewer than asked for when the text ended early.
        log_probabilities: Of each token, in nats, over the tokens that it was chosen from.
        entropies: Of each choice, in nats.
        passes: Through the language model, the prompt's included; 0 where nobody counted.
    """

    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    entropies: tuple[float, ...]
    passes: int = 0


def prompt_with_space(input_ids: Tensor, bare_space_id: int = BARE_SPACE) -> Tensor:
    """[1, T] ids, with the bare space appended where it is missing: prompts end with it in training."""
    if int(input_ids[0, -1]) == bare_space_id:
        return input_ids
    return torch.cat([input_ids, input_ids.new_full((1, 1), bare_space_id)], dim=1)


@torch.inference_mode()
def greedy_tokens(
    model: OpenVLA, input_ids: Tensor, pixel_values: Tensor, count: int, *, constrain_actions: bool = True
) -> DecodedTokens:
    """The most probable tokens after a prompt and an image.

    Args:
        model: On some device, in some dtype.
        input_ids: [1, T], ending with the bare space.
        pixel_values: [1, 3 per tower, S, S].
        count: How many tokens: the number of action dimensions.
        constrain_actions: Choose among the action tokens only. Off, it is the original's decoding over the whole
            vocabulary, which ends at the end-of-text token and may write words.
    """
    settings = model.configuration
    first = settings.vocab_size - settings.action_bins
    logits, cache = model.prefill(model.embed(input_ids, model.project(pixel_values)), room=count)
    ids: list[int] = []
    log_probabilities: list[float] = []
    entropies: list[float] = []
    for index in range(count):
        choices = logits[0, first : settings.vocab_size] if constrain_actions else logits[0]
        log_p = torch.log_softmax(choices.float(), dim=-1)
        best = int(choices.argmax())
        ids.append(best + first if constrain_actions else best)
        log_probabilities.append(float(log_p[best]))
        entropies.append(float(-(log_p.exp() * log_p).nansum()))
        if not constrain_actions and ids[-1] == settings.eos_token_id:
            break
        if index + 1 < count:
            logits = model.decode_one(input_ids.new_tensor([ids[-1]]), cache)
    return DecodedTokens(tuple(ids), tuple(log_probabilities), tuple(entropies))
