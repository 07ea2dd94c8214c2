"""Holds the network against golden values of the original, from any folder that carries them.

A folder has the checkpoint (config.json, towers.json, model.safetensors), inputs.safetensors, outputs.safetensors and
expected.json. Everything runs in fp32 on the CPU. An error is relative: the largest deviation over the largest golden
magnitude of the same tensor.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.decode import greedy_tokens, prompt_with_space
from vla_runtime.models.openvla.model import ForwardPass, OpenVLA
from vla_runtime.types import NormalizedAction

TOLERANCE = 1e-5  # relative, fp32
EXACT = 0.0


@dataclass(frozen=True)
class Comparison:
    """One quantity.

    Attributes:
        name: Case and quantity.
        error: Relative, or the number of differing ids.
        tolerance: Largest error that is accepted.
    """

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is accepted; an error that is not a number never is."""
        return self.error <= self.tolerance


class Golden:
    """A folder of golden values, and the model made from it."""

    def __init__(self, folder: Path) -> None:
        """Load both. Raises InvalidCheckpoint."""
        self.model: OpenVLA = load_model(folder, dtype=torch.float32).model
        self.inputs = load_file(folder / "inputs.safetensors")
        self.outputs = load_file(folder / "outputs.safetensors")
        self.expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
        self.columns = self.expected["meta"]["logit_columns"]
        statistics = json.loads((folder / "config.json").read_text())["norm_stats"]
        self.statistics = {
            key: ActionStatistics.from_mapping(entry["action"]) for key, entry in statistics.items()
        }

    def compare(self) -> Iterator[Comparison]:
        """Every quantity that the folder holds; one that nothing was compared with counts as failed."""
        seen: set[str] = set()
        for tag in sorted({name.split(".")[0] for name in self.outputs}):
            for comparison in self._case(tag):
                seen.add(comparison.name)
                yield comparison
        for name in sorted(set(self.outputs) - seen):
            yield Comparison(f"{name} (nothing to compare with)", np.inf, EXACT)

    def _case(self, tag: str) -> Iterator[Comparison]:
        if tag.startswith("predict"):
            yield from self._predictions(tag)
            yield from self._margins(tag)
        elif tag == "eos":
            yield from self._early_end()
        else:
            yield from self._forward(tag)

    def _given(self, tag: str, name: str) -> Tensor | None:
        return self.inputs.get(f"{tag}.{name}")

    def _forward(self, tag: str) -> Iterator[Comparison]:
        source = tag if f"{tag}.input_ids" in self.inputs else "b1"
        labels = self._given(tag, "labels")
        self.model.requires_grad_(labels is not None)
        self.model.zero_grad(set_to_none=True)
        pixels = None if tag == "text_only" else self._given(source, "pixel_values")
        ids = self._given(source, "input_ids")
        assert ids is not None
        result = self.model(ids, pixels, self._given(tag, "attention_mask"), labels)
        for name, value in _quantities(result, self.columns).items():
            if f"{tag}.{name}" in self.outputs:
                tolerance = EXACT if name == "logits_argmax" else TOLERANCE
                yield self._compared(f"{tag}.{name}", value, tolerance)
        if labels is not None:
            yield from self._gradients(tag, result)
        self.model.requires_grad_(requires_grad=False)

    def _gradients(self, tag: str, result: ForwardPass) -> Iterator[Comparison]:
        assert result.loss is not None
        result.loss.backward()
        gradients = {name: parameter.grad for name, parameter in self.model.named_parameters()}
        for key in self.outputs:
            if key.startswith(f"{tag}.grad/"):
                gradient = gradients[key.split("/", 1)[1]]
                yield self._compared(
                    key, gradient if gradient is not None else torch.tensor(torch.nan), TOLERANCE
                )
        if f"{tag}.grad_none" not in self.expected:
            return
        dead = {name for name, gradient in gradients.items() if gradient is None or not bool(gradient.any())}
        yield Comparison(f"{tag}.grad_none", float(len(dead ^ set(self.expected[f"{tag}.grad_none"]))), EXACT)
        norm = torch.stack([g.norm() for g in gradients.values() if g is not None]).norm()
        wanted = self.expected[f"{tag}.grad_global_norm"]
        yield Comparison(f"{tag}.grad_global_norm", abs(float(norm) - wanted) / wanted, TOLERANCE)

    def _predictions(self, tag: str) -> Iterator[Comparison]:
        keys = sorted(
            {
                name.split(".")[1]
                for name in self.outputs
                if name.startswith(f"{tag}.") and name.count(".") > 1
            }
        )
        for key in keys:
            written, read = self._predict(tag, key)
            case = f"{tag}.{key}"
            yield self._compared(f"{case}.generated_ids", written, EXACT)
            yield self._compared(f"{case}.action_token_ids", read, EXACT)
            normalized = self._centres(read)
            yield self._compared(f"{case}.normalized", torch.from_numpy(normalized), EXACT)
            yield self._compared(f"{case}.action", self._physical(key, normalized), EXACT)

    def _margins(self, tag: str) -> Iterator[Comparison]:
        """How far apart the two best tokens are at every position of the first data set's text."""
        name = f"{tag}.top2_margin"
        if name not in self.outputs:
            return
        text = self.outputs[f"{tag}.{self.expected['meta']['norm_keys'][0]}.generated_ids"][None]
        with torch.inference_mode():
            logits = self.model(text, self._given(tag, "pixel_values")).logits[0]
        best = logits.topk(2, dim=-1).values
        error = (best[:, 0] - best[:, 1] - self.outputs[name]).abs().max() / logits.abs().max()
        yield Comparison(name, float(error), TOLERANCE)

    def _early_end(self) -> Iterator[Comparison]:
        """The original's answer when the text ends early: it reads prompt ids as actions. Ours detects that."""
        head = self.model.language_model.lm_head.weight
        kept = head[2].clone()
        head.data[2] = self.inputs["eos.lm_head_row_2"]
        key = self.expected["eos"]["unnorm_key"]
        written, read = self._predict("eos", key)
        head.data[2] = kept
        yield self._compared("eos.generated_ids", written, EXACT)
        normalized = self._centres(read)
        yield self._compared("eos.action", self._physical(key, normalized), EXACT)

    def _predict(self, tag: str, key: str) -> tuple[Tensor, Tensor]:
        """Prompt with what was written behind it, and the ids that the original reads as the action."""
        ids, pixels = self._given(tag, "input_ids"), self._given(tag, "pixel_values")
        assert ids is not None
        assert pixels is not None
        prompt = prompt_with_space(ids)
        count = len(self.statistics[key].q01)
        tokens = greedy_tokens(self.model, prompt, pixels, count, constrain_actions=False).token_ids
        written = torch.cat([prompt[0], prompt.new_tensor(tokens)])
        return written, written[-count:]

    def _centres(self, token_ids: Tensor) -> np.ndarray:
        settings = self.model.configuration
        return original_centres(token_ids.numpy(), settings.vocab_size, settings.action_bins)

    def _physical(self, key: str, normalized: np.ndarray) -> Tensor:
        action = self.statistics[key].unnormalize(NormalizedAction(tuple(normalized.tolist())))
        return torch.tensor(action.values, dtype=torch.float64)

    def _compared(self, name: str, value: Tensor, tolerance: float) -> Comparison:
        golden = self.outputs[name]
        if value.shape != golden.shape:
            return Comparison(
                f"{name}: shape {tuple(value.shape)}, expected {tuple(golden.shape)}", np.inf, tolerance
            )
        if not golden.is_floating_point():
            return Comparison(name, float((value != golden).sum()), tolerance)
        scale = max(float(golden.abs().max()), 1e-12)
        return Comparison(name, float((value.detach() - golden).abs().max()) / scale, tolerance)


def original_centres(token_ids: np.ndarray, vocab_size: int, bins: int = 256) -> np.ndarray:
    """What the original decodes any ids to: ids that are no action tokens become the largest motion."""
    edges = np.linspace(-1.0, 1.0, bins)
    centres = (edges[:-1] + edges[1:]) / 2.0
    return centres[np.clip(vocab_size - token_ids - 1, 0, bins - 2)]


def _quantities(result: ForwardPass, columns: list[int]) -> dict[str, Tensor]:
    names = ("featurizer", "fused_featurizer")
    found = dict(zip(names, result.features, strict=False))
    if result.projected is not None:
        found |= {"vision_backbone": torch.cat(result.features, dim=-1), "projector": result.projected}
    logits = result.logits.detach()
    found |= {
        "hidden_first": result.embeddings,
        "hidden_last": result.hidden,
        "logits_cols": logits[..., columns],
        "logits_argmax": logits.argmax(-1),
        "logits_logsumexp": logits.logsumexp(-1),
        "logits_mean": logits.mean(-1),
        "logits_last_full": logits[:, -1],
    }
    if result.loss is not None:
        found["loss"] = result.loss.detach()[None]
    return found
