"""OpenVLA as a policy: a camera image and a sentence in, one normalised action out."""

import math
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, final

import torch

from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError, InvalidCheckpoint, InvalidStatistics
from vla_runtime.models.openvla.action_decoder import ActionDecoder, can_decode
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import read_json
from vla_runtime.models.openvla.decode import DecodedTokens, greedy_tokens, prompt_with_space
from vla_runtime.models.openvla.images import EvaluationPath, ImagePreprocessing
from vla_runtime.models.openvla.prompts import PromptTokenizer, prompt_style, write_prompt
from vla_runtime.models.openvla.quantization import quantize
from vla_runtime.models.openvla.self_test import self_test
from vla_runtime.specs import DELTA_AXES, DELTA_UNITS, ActionSpec
from vla_runtime.types import ActionChunk, ActionTokens, NormalizedAction, Observation, Proposal

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
STATISTICS_FILE = "dataset_statistics.json"
LEAST_RANGE = 1e-12  # [m], [rad] of an axis that moves at all
IN_PACKAGE = "package:"  # before the name of a checkpoint that comes with the package
HUB_FILES = ["*.json", "*.safetensors"]  # never pickle files, never code


@final
class OpenVLAPolicy:
    """Runs a checkpoint in the original's layout."""

    privileged = False

    def __init__(
        self,
        checkpoint: str | None,
        unnorm_key: str | None = None,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        quantization: str | None = None,
        camera: str = "front",
        adapter: str | None = None,
        prompt: Literal["openvla", "v01"] | None = None,
        constrain_actions: bool = True,
        draft: Literal["none", "previous"] = "none",
        evaluation_path: EvaluationPath | None = None,
        run_self_test: bool = True,
        control_hz: float = 5.0,
        frame: Literal["base", "tool"] = "base",
        rotation: Literal["rpy_fixed_axes", "axis_angle"] = "rpy_fixed_axes",
    ) -> None:
        """Load the checkpoint and test it.

        Args:
            checkpoint: A folder, a hub id such as "openvla/openvla-7b", or one that comes with the package: "package:embedded".
            unnorm_key: Data set whose statistics turn its actions physical; may be left out when there is only one.
            device: For example "cpu", "cuda" or "mps".
            dtype: "float32", "bfloat16" or "float16".
            quantization: "int8" or "int4" weights through torchao, or None; not exact.
            camera: Name of the camera that it sees.
            adapter: A folder with a LoRA adapter, merged at load.
            prompt: Form of the prompt; None: that of the checkpoint's language model.
            constrain_actions: Choose among action tokens only; off, it is the original's decoding, and a token that is
                no action token is refused.
            draft: "previous" reads the tokens of the previous action together with the prompt and keeps those that are right: the
                same tokens in fewer passes where actions resemble each other.
            evaluation_path: What is done to the image before the checkpoint's own preprocessing; None: nothing.
            run_self_test: Refuse a model that does not look at its image.
            control_hz: Actions per second that it was trained with [Hz].
            frame: Of its positions and rotations.
            rotation: Convention of its rotations.

        Raises:
            InvalidCheckpoint, InvalidStatistics, ConfigurationError: Before anything moves, in one line.
        """
        if dtype not in DTYPES:
            raise ConfigurationError(f"policy.dtype={dtype}: expected one of {', '.join(DTYPES)}")
        if draft not in ("none", "previous"):
            raise ConfigurationError(f"policy.draft={draft}: expected none or previous")
        folder = checkpoint_folder(checkpoint)
        self._device = _device(device)
        entry = read_json(folder / "config.json")
        name, statistics = _statistics(folder, entry, unnorm_key)
        if len(statistics.q01) != len(DELTA_AXES):
            raise ConfigurationError(
                f"unnorm_key={name}: actions of {len(statistics.q01)} numbers, expected {len(DELTA_AXES)} "
                f"({', '.join(DELTA_AXES)})"
            )
        file = folder / "preprocessor_config.json"
        self._preprocessing = ImagePreprocessing.from_mapping(read_json(file), str(file))
        loaded = load_model(folder, self._device, DTYPES[dtype], Path(adapter) if adapter else None)
        self._model = loaded.model
        if quantization is not None:
            quantize(self._model, quantization)
        settings = self._model.configuration
        self._text = PromptTokenizer(folder, settings)
        self._encoded: tuple[str, torch.Tensor] | None = None
        self._style: Literal["openvla", "v01"] = prompt or prompt_style(str(entry.get("llm_backbone_id", "")))
        self._tokens = OpenVLATokenizer(settings.vocab_size, settings.action_bins)
        self._camera, self._constrain, self._evaluation_path = camera, constrain_actions, evaluation_path
        self.unnormalizer = statistics
        self.action_spec = _spec(statistics, control_hz, frame, rotation)
        self._decoder = None
        if can_decode(self._model):
            self._decoder = ActionDecoder(self._model, len(DELTA_AXES), constrain_actions=constrain_actions)
        elif draft != "none":
            raise ConfigurationError(
                f"policy.draft={draft} needs plain weights; expected policy.quantization=null"
            )
        self._draft = draft
        self._previous: tuple[int, ...] | None = None
        tested = None
        if run_self_test:
            tested = self_test(self._model, self._preprocessing, self._prompt("do nothing"))
        self._description = {
            "checkpoint": str(checkpoint),
            "checksum": loaded.checksum,
            "random_weights": settings.random_weights,
            "weight_bytes": loaded.weight_bytes,
            "device": self._device,
            "dtype": dtype,
            "quantization": quantization,
            "unnorm_key": name,
            "prompt": self._style,
            "action_ids": [self._tokens.token_ids.start, self._tokens.token_ids.stop - 1],
            "preprocessing": {"strategy": self._preprocessing.strategy, "size_px": self._preprocessing.size},
            "evaluation_path": vars(evaluation_path) if evaluation_path else None,
            "constrain_actions": constrain_actions,
            "draft": draft,
            "self_test": tested,
            "notes": _notes(settings.random_weights, name, self.action_spec),
        }

    def describe(self) -> Mapping[str, Any]:
        """Identity of the checkpoint, and how it is run."""
        return self._description

    def reset(self, seed: int) -> None:
        """Every action depends on one observation only; forget the draft all the same, so that times do not depend on the past."""
        self._previous = None

    def act(self, observation: Observation) -> ActionChunk:
        """The action after one image and the sentence; a refusal when it wrote something that is no action."""
        if self._camera not in observation.images:
            known = ", ".join(observation.images) or "none"
            raise ConfigurationError(f"policy.camera={self._camera}: the environment has {known}")
        began_s = time.perf_counter()
        image = observation.images[self._camera]
        if self._evaluation_path is not None:
            image = self._evaluation_path.apply(image)
        weight = next(self._model.parameters())
        pixels = self._preprocessing.pixel_values(image).to(weight.device, weight.dtype)
        prompt = self._prompt(observation.instruction)
        prepared_s = time.perf_counter() - began_s
        written = self._written(prompt, pixels)
        tokens = ActionTokens(written.token_ids, written.log_probabilities, written.entropies)
        refusal = self._refusal(written.token_ids)
        if refusal is not None:
            return ActionChunk((Proposal(None, tokens, refusal),), prepared_s)
        values = self._tokens.decode(written.token_ids)
        return ActionChunk((Proposal(NormalizedAction(tuple(values.tolist())), tokens),), prepared_s)

    def _written(self, prompt: torch.Tensor, pixels: torch.Tensor) -> DecodedTokens:
        count = len(self.action_spec.axes)
        if self._decoder is None:
            return greedy_tokens(self._model, prompt, pixels, count, constrain_actions=self._constrain)
        written = self._decoder.decode(prompt, pixels, self._previous)
        if self._draft == "previous" and len(written.token_ids) == count:
            self._previous = written.token_ids
        return written

    def _prompt(self, instruction: str) -> torch.Tensor:
        """The ids of an instruction; those of the last one are kept."""
        if self._encoded is None or self._encoded[0] != instruction:
            ids = self._text.encode(write_prompt(instruction, self._style)).to(self._device)
            self._encoded = instruction, prompt_with_space(ids, self._model.configuration.bare_space_id)
        return self._encoded[1]

    def _refusal(self, ids: tuple[int, ...]) -> str | None:
        """Why the ids are no action: the original would read them as the largest motion."""
        for axis, token in zip(self.action_spec.axes, ids, strict=False):
            if token not in self._tokens.token_ids:
                first, last = self._tokens.token_ids.start, self._tokens.token_ids.stop - 1
                return f"token {token} for {axis} is no action token ({first} to {last})"
        missing = len(self.action_spec.axes) - len(ids)
        return f"the text ended {missing} tokens early" if missing else None


def checkpoint_folder(checkpoint: str | None) -> Path:
    """The folder of a checkpoint; a hub id is fetched (JSON and safetensors only). Raises InvalidCheckpoint."""
    if not checkpoint:
        raise ConfigurationError(
            "policy.checkpoint is not set: expected a folder or a hub id such as openvla/openvla-7b"
        )
    if checkpoint.startswith(IN_PACKAGE):
        return _packaged(checkpoint)
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
        raise InvalidCheckpoint(
            f"policy.checkpoint={checkpoint}: no such folder, and not a hub id (owner/name)"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(checkpoint, allow_patterns=HUB_FILES))
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidCheckpoint(
            f"policy.checkpoint={checkpoint}: no such folder, and not to be had from the hub ({reason})"
        ) from error


def _packaged(checkpoint: str) -> Path:
    """The folder of a checkpoint that comes with the package. Raises InvalidCheckpoint."""
    every = Path(str(files("vla_runtime") / "checkpoints"))
    folder = every / checkpoint.removeprefix(IN_PACKAGE)
    if not (folder / "config.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in every.glob("*/config.json"))) or "none"
        raise InvalidCheckpoint(f"policy.checkpoint={checkpoint}: not in the package; known: {known}")
    return folder


def _statistics(folder: Path, entry: Mapping[str, Any], key: str | None) -> tuple[str, ActionStatistics]:
    """The file beside the weights counts; statistics inside config.json are the pretraining's."""
    file = folder / STATISTICS_FILE
    sets = read_json(file) if file.exists() else entry.get("norm_stats")
    if not sets:
        raise InvalidStatistics(f"{folder}: no {STATISTICS_FILE}, and no norm_stats in config.json")
    known = ", ".join(sorted(sets))
    if key is None and len(sets) > 1:
        raise InvalidStatistics(f"policy.unnorm_key is not set, and the checkpoint has several: {known}")
    key = key or next(iter(sets))
    if key not in sets:
        raise InvalidStatistics(f"policy.unnorm_key={key}: the checkpoint has {known}")
    return key, ActionStatistics.from_mapping(sets[key]["action"])


def _spec(
    statistics: ActionStatistics,
    control_hz: float,
    frame: Literal["base", "tool"],
    rotation: Literal["rpy_fixed_axes", "axis_angle"],
) -> ActionSpec:
    """What -1 and 1 become; an axis without range is widened a little, as a spec wants low < high."""
    low = tuple(
        value if masked else 0.0 for value, masked in zip(statistics.q01, statistics.mask, strict=True)
    )
    high = tuple(
        value if masked else 1.0 for value, masked in zip(statistics.q99, statistics.mask, strict=True)
    )
    wide = tuple(max(top, math.nextafter(bottom, math.inf)) for bottom, top in zip(low, high, strict=True))
    return ActionSpec(
        DELTA_AXES, DELTA_UNITS, low, wide, frame=frame, rotation=rotation, control_hz=control_hz
    )


def _device(device: str) -> str:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"policy.device={device}: not to be had here ({reason})") from error
    return device


def _notes(random_weights: bool, key: str, spec: ActionSpec) -> list[str]:  # noqa: FBT001
    """What a person should read before the first step."""
    ranges = ", ".join(
        f"{axis} {low:.3g} to {high:.3g} {unit}"
        if high - low > LEAST_RANGE
        else f"{axis} always {low:.3g} {unit}"
        for axis, unit, low, high in zip(spec.axes, spec.units, spec.low, spec.high, strict=True)
    )
    notes = [f"actions of {key}: {ranges}"]
    return ["random weights: nobody trained this checkpoint", *notes] if random_weights else notes
