"""What a training of the embedded VLA came to: training.json beside the weights, and a picture of its curve."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from vla_runtime.commands.embedded_collecting import DONE, FIRST_SEED, FRAMES
from vla_runtime.commands.embedded_scoring import FIRST_SCORED_SEED, SCORES
from vla_runtime.commands.pictures import save_figure
from vla_runtime.lines import whole_lines
from vla_runtime.pretraining.session import METRICS
from vla_runtime.recording.files import write_json

TOLD = "training.json"
PICTURE = "training.png"
WINDOW = 50  # [steps] that a point of the curve averages


def report(config: DictConfig, folder: Path, checkpoint: Path) -> bool:
    """Write what the checkpoint was made from. Returns False where matplotlib is not installed: no picture then.

    Args:
        config: Of the training.
        folder: Of the training.
        checkpoint: Gets training.json: settings, seeds, frames, hours and scores of every round.
    """
    steps, scores = whole_lines(folder / METRICS), _scores(folder)
    rounds = [json.loads(path.read_text()) for path in sorted((folder / FRAMES).glob(f"round_*/{DONE}"))]
    settings: Any = OmegaConf.to_container(config)
    left_out = ("out", "chosen", "view", "workers")
    collected_s, trained_s = sum(r["seconds"] for r in rounds), sum(s["step_s"] for s in steps)
    told = {
        "first_seed_of_lessons": FIRST_SEED,
        "first_seed_of_scores": FIRST_SCORED_SEED,
        "frames": sum(r["frames"] for r in rounds),
        "episodes": sum(r["episodes"] for r in rounds),
        "steps": len(steps),
        "processes": config.workers,
        "collecting_h": round(collected_s / 3600, 3),
        "training_h": round(trained_s / 3600, 3),
        "rounds": rounds,
        "scores": scores,
        "settings": {name: value for name, value in settings.items() if name not in left_out},
    }
    if not (checkpoint / TOLD).exists():
        write_json(checkpoint / TOLD, told)
    return _draw(steps, scores, folder / PICTURE)


def _scores(folder: Path) -> list[dict[str, Any]]:
    return whole_lines(folder / SCORES) if (folder / SCORES).exists() else []


def _draw(steps: list[dict[str, Any]], scores: list[dict[str, Any]], file: Path) -> bool:
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, places = plt.subplots(1, 3, figsize=(12, 3.4))
    curves = (("off_bins", "mean error of an action [bins]"), ("found", "named thing's patch found [1]"))
    at = [row["step"] for row in steps]
    for place, (name, title) in zip(places, curves, strict=False):
        place.plot(_averaged(at), _averaged([row[name] for row in steps]))
        place.set(title=title, xlabel="step")
    places[0].set_yscale("log")
    for task in dict.fromkeys(score["task"] for score in scores):
        own = [score for score in scores if score["task"] == task]
        rates = [100 * score["successes"] / score["episodes"] for score in own]
        places[2].plot(range(len(own)), rates, marker="o", label=task)
    if scores:
        places[2].set(title="closed loop, with guards [%]", xlabel="round", ylim=(0, 100))
        places[2].legend()
    save_figure(figure, file)
    return True


def _averaged(values: list[float]) -> list[float]:
    """Means of windows."""
    return [float(np.mean(values[i : i + WINDOW])) for i in range(0, len(values), WINDOW)]
