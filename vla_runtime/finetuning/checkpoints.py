"""Where a training stands, on disk: what is trained, the optimiser, and the step. Whole or absent.

A state is independent of the number of processes, and holds no pickle: tensors in safetensors, the rest in JSON.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from vla_runtime.errors import InvalidRecord, RecordingFailed

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
PREFIX = "step_"
BETWEEN = "|"  # a parameter's name and what the optimiser keeps of it


@dataclass(frozen=True)
class TrainingState:
    """Everything that the rest of a training follows from.

    Attributes:
        step: Steps that are done.
        weights: What is trained, by name.
        optimizer: Its tensors, by name.
        groups: Its settings, plain values.
    """

    step: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    groups: Sequence[Mapping[str, Any]]


def gather_state(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> TrainingState:
    """From all processes together; every process must call it. Tensors are whole and on the CPU."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    nested: Any = get_optimizer_state_dict(model, optimizer, options=options)
    tensors = {
        f"{name}{BETWEEN}{key}": value.contiguous().clone()
        for name, values in nested.get("state", {}).items()
        for key, value in values.items()
    }
    return TrainingState(step, gather_weights(model), tensors, nested.get("param_groups", []))


def gather_weights(model: nn.Module) -> dict[str, Tensor]:
    """What is trained, whole and on the CPU; every process must call it, the first one gets the tensors."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    found: Any = get_model_state_dict(model, options=options)
    return {name: tensor.detach().contiguous().clone() for name, tensor in found.items()}


def restore_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
    """Put a state back; every process must call it. Raises InvalidRecord when it is of another model."""
    options = StateDictOptions(full_state_dict=True, strict=False)
    nested: dict[str, dict[str, Tensor]] = {}
    for flat, tensor in state.optimizer.items():
        name, _, key = flat.rpartition(BETWEEN)
        nested.setdefault(name, {})[key] = tensor
    try:
        missed = set_model_state_dict(model, dict(state.weights), options=options)
        unknown = missed.unexpected_keys
        if unknown:
            raise InvalidRecord(f"the training's state has {unknown[0]}, which the model does not train")
        groups = [dict(group) for group in state.groups]
        held = {"state": nested, "param_groups": groups}
        set_optimizer_state_dict(model, optimizer, held, options=StateDictOptions(full_state_dict=True))
    except (KeyError, RuntimeError) as error:
        raise InvalidRecord(f"the training's state does not fit the model: {error}") from error


def save_state(folder: Path, state: TrainingState, keep: int) -> Path:
    """Write a state, and remove all but the newest ones.

    Args:
        folder: Of all states.
        state: To write.
        keep: How many to leave, this one included.

    Raises:
        RecordingFailed: The disk is full or cannot be written to; older states are still there.
    """
    final = folder / f"{PREFIX}{state.step:08d}"
    partial = folder / f".{final.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(dict(state.weights), partial / WEIGHTS)
        save_file(dict(state.optimizer), partial / OPTIMIZER)
        sizes = {name: (partial / name).stat().st_size for name in (WEIGHTS, OPTIMIZER)}
        entry = {"step": state.step, "groups": list(state.groups), "bytes": sizes}
        (partial / STATE).write_text(json.dumps(entry, indent=1) + "\n")
        for file in partial.iterdir():
            _to_disk(file)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        _to_disk(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RecordingFailed(f"{final}: {error}") from error
    for old in _states(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_newest(folder: Path) -> TrainingState | None:
    """The newest whole state; half-written and damaged ones are passed over. None when there is none."""
    for path in _states(folder):
        try:
            entry = json.loads((path / STATE).read_text())
            if any((path / name).stat().st_size != size for name, size in entry["bytes"].items()):
                continue
            weights, optimizer = (load_file(path / name) for name in (WEIGHTS, OPTIMIZER))
            return TrainingState(entry["step"], weights, optimizer, entry["groups"])
        except (OSError, ValueError, KeyError, SafetensorError):
            continue
    return None


def _states(folder: Path) -> list[Path]:
    """All states, the newest first."""
    return sorted(folder.glob(f"{PREFIX}*"), reverse=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
