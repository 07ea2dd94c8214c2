"""The README.md of an exported checkpoint: what it was made of, and how to run it."""

import json
from collections.abc import Mapping
from typing import Any

AXES = (
    ("x", "m"),
    ("y", "m"),
    ("z", "m"),
    ("roll", "rad"),
    ("pitch", "rad"),
    ("yaw", "rad"),
    ("gripper", "opening"),
)


def model_card(
    base: str, settings: Mapping[str, Any], scores: Mapping[str, Any], versions: Mapping[str, Any], size: int
) -> str:
    """The text.

    Args:
        base: Name of the checkpoint that was trained.
        settings: Of the training: recipe, seed, sources, steps.
        scores: Of the last look at frames and at the closed loop.
        versions: Of packages.
        size: Side of the model's pictures [px].
    """
    recipe = settings["recipe"]
    rates = {source["fps"] for source in settings["sources"].values() if source["fps"] is not None}
    run = "vla-run policy=openvla policy.checkpoint=THIS_FOLDER"
    if len(rates) == 1:
        run += f" policy.control_hz={rates.pop():g}"
    if recipe["augment"]:
        run += f" 'policy.evaluation_path={middle_crop(size)}'"
    parts = [
        "---\nlibrary_name: vla-runtime\ntags: [robotics, vla, openvla]\n---",
        f"# A fine-tuned {base}",
        "Trained with `vla-finetune`; the layout is OpenVLA's. Statistics of the actions are in dataset_statistics.json "
        "and count before those in config.json.",
        f"```sh\n{run}\n```",
        "## Data\n\n" + _table(("source", "examples", "weight", "fps [Hz]", "path"), _sources(settings)),
        f"## Training\n\n{settings['steps']} steps of {recipe['batch_size']} examples, seed {settings['seed']}.\n\n"
        + _table(("setting", "value"), [(key, json.dumps(value)) for key, value in recipe.items()]),
        "## Scores\n\n" + _scores(scores),
        "## Versions\n\n" + _table(("package", "version"), versions.items()),
    ]
    return "\n\n".join(parts) + "\n"


def middle_crop(size: int) -> str:
    """The evaluation path that a model trained with augmentation is to be run with, as an override of vla-run."""
    return f"{{_target_:vla_runtime.models.openvla.images.EvaluationPath,size:{size},centre_crop:true,jpeg:false}}"


def _sources(settings: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (name, source["examples"], source["weight"], source["fps"] or "", source["path"])
        for name, source in settings["sources"].items()
    ]


def _scores(scores: Mapping[str, Any]) -> str:
    """By teacher forcing: the right tokens are given up to each one that is predicted."""
    rows, rest = [], []
    for name, found in scores.items():
        if "l1" not in found:
            rest += [(f"{name}: {key}", value) for key, value in found.items()]
            continue
        units = AXES if len(found["l1"]) == len(AXES) else [(str(i), "") for i in range(len(found["l1"]))]
        far = ", ".join(
            f"{axis} {value:.3g} {unit}".strip()
            for (axis, unit), value in zip(units, found["l1"], strict=True)
        )
        rows.append(
            (name, found["frames"], f"{100 * found['token_accuracy']:.1f} %", f"{found['loss']:.3f}", far)
        )
    head = ("frames of", "frames", "token accuracy", "loss [nats]", "mean distance to the recorded action")
    text = "Token accuracy and distance by teacher forcing.\n\n" + _table(head, rows)
    return text + ("\n\n" + _table(("other", "value"), rest) if rest else "")


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
