"""What one action costs: transformers' `generate` beside our decoding, on the same weights, in one process.

    vla-latency
    vla-latency positions=64 dtypes=[float32] batches=[1,8,32]
    vla-latency device=cuda hidden_size=4096 layers=32 heads=32 mlp_size=11008 positions=280 dtypes=[bfloat16]

The paths take turns, so that a busy machine slows all of them down. On a CPU the figure is CPU time, on CUDA wall time with the device
waited for; smallest and median of all rounds. Every path's tokens are compared with those of `generate`. Drafts are made so that a
given number of tokens is right; how often they would have been right in an episode is printed for the checkpoint's own tokens.
"""

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.config_store import ConfigStore
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from vla_runtime.commands.command_line import output_folder, run_command
from vla_runtime.commands.pictures import save_figure
from vla_runtime.config import build_runtime, compose_config
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.stamp import full_stamp
from vla_runtime.models.openvla.action_decoder import ActionDecoder
from vla_runtime.models.openvla.configuration import (
    LlamaConfiguration,
    OpenVLAConfiguration,
    TowerConfiguration,
)
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.recording.files import writable_folder, write_json

COUNT, BINS, PADDING = 7, 256, 64
WARM_UP = 2  # [rounds] that do not count
EPISODES = 4  # [episodes] for the acceptance of real drafts
GEMM_SIDE, COPY_BYTES = 1024, 2**26


@dataclass
class MeasureLatencySettings:
    """The settings of configs/measure_latency.yaml."""

    checkpoint: str | None = None
    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    mlp_size: int = 688
    rows: int = 32_064
    positions: int = 256
    dtypes: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    rounds: int = 12
    prompts: int = 4
    device: str = "cpu"
    threads: int = 1
    out: str | None = None


ConfigStore.instance().store(name="measure_latency_settings", node=MeasureLatencySettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_latency", arguments)
    for name in (
        "hidden_size",
        "layers",
        "heads",
        "mlp_size",
        "rows",
        "positions",
        "rounds",
        "prompts",
        "threads",
    ):
        if config[name] < 1:
            raise ConfigurationError(f"{name}={config[name]}: expected a whole number above 0")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device=cuda: torch sees no CUDA device; expected device=cpu")
    out = writable_folder(output_folder(config.out, "measure_latency"), "out")
    torch.set_num_threads(config.threads)
    console = Console()
    result: dict[str, Any] = {"run_with": full_stamp(), "language_model": {}}
    for dtype in config.dtypes:
        rows, told = _language_model(config, getattr(torch, dtype))
        result["language_model"][dtype] = {"paths": rows, **told}
        _print(console, f"language model, {dtype}, {config.positions} positions", rows)
    if config.checkpoint is not None:
        result["action"] = _whole_action(config)
        for name, value in result["action"].items():
            console.print(f"  {name}: {value}", highlight=False)
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_json(out / "result.json", result)
    if not _plot(out / "latency.png", result["language_model"]):
        print("no latency.png: matplotlib is not installed (pip install 'vla-runtime[plots]')")
    print(f"results: {out}")
    return 0


# ------------------------------------------------------------------------------------------ the language model alone


def _language_model(config: Any, dtype: torch.dtype) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each path's times and tokens on random weights, and the machine's own rates."""
    model, network = _networks(config, dtype)
    generator = torch.Generator().manual_seed(0)
    size = (config.prompts, 1, config.positions, config.hidden_size)
    prompts = list(torch.randn(size, generator=generator).to(config.device, dtype))
    decoder = ActionDecoder(model, COUNT)
    whole = ActionDecoder(model, COUNT, constrain_actions=False)
    right = [_generated(network, prompt) for prompt in prompts]

    def drafted(known: int) -> Callable[[int], tuple[int, ...]]:
        drafts = [
            tuple(t if k < known else _other(t, config) for k, t in enumerate(tokens)) for tokens in right
        ]
        return lambda number: decoder.decode_embeddings(prompts[number], drafts[number]).token_ids

    paths: dict[str, Callable[[int], tuple[int, ...]]] = {
        "generate": lambda number: _generated(network, prompts[number]),
        "generate, static cache": lambda number: _generated(
            network, prompts[number], cache_implementation="static"
        ),
        "one module call per token": lambda number: _by_modules(model, prompts[number]),
        "sequential, all rows": lambda number: whole.decode_embeddings(prompts[number]).token_ids,
        "sequential": lambda number: decoder.decode_embeddings(prompts[number]).token_ids,
        **{f"draft, {known} of 6 right": drafted(known) for known in range(COUNT)},
    }
    rows = _timed(paths, right, config)
    for batch in (int(batch) for batch in config.batches if batch > 1):
        rows[f"batch of {batch}"] = _batched(model, decoder, batch, config, dtype)
    rates = _rates(config.device, dtype)
    return rows, {"rates": rates, "floors_ms": _floors(config, dtype, rates)}


def _networks(config: Any, dtype: torch.dtype) -> tuple[OpenVLA, Any]:
    """Ours and transformers', with the same weights; the read-out favours the action tokens."""
    text = LlamaConfiguration(
        config.rows, config.hidden_size, config.mlp_size, config.layers, config.heads, config.heads
    )
    tower = TowerConfiguration(32, 8, 32, 2, 2, 2.0)
    with torch.device(config.device):
        model = (
            OpenVLA(OpenVLAConfiguration((tower,), text, config.rows - PADDING, pad_token_id=0))
            .to(dtype)
            .eval()
        )
        model.requires_grad_(requires_grad=False)
        torch.manual_seed(0)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, parameter[0].numel() ** -0.5)
        head = model.language_model.lm_head.weight
        head[: config.rows - PADDING - BINS] *= 0.1
        head[config.rows - PADDING :] *= 0.1
        network: Any = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.rows,
                hidden_size=config.hidden_size,
                intermediate_size=config.mlp_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                eos_token_id=None,
                pad_token_id=0,
            )
        )
    network = network.to(dtype).eval()
    network.load_state_dict(model.language_model.state_dict())
    return model, network


def _generated(network: Any, prompt: Tensor, **told: Any) -> tuple[int, ...]:
    mask = torch.ones(prompt.shape[:2], dtype=torch.long, device=prompt.device)
    ids = network.generate(
        inputs_embeds=prompt, attention_mask=mask, max_new_tokens=COUNT, do_sample=False, **told
    )
    return tuple(ids[0, -COUNT:].tolist())


@torch.inference_mode()
def _by_modules(model: OpenVLA, prompt: Tensor) -> tuple[int, ...]:
    logits, cache = model.prefill(prompt, room=COUNT)
    ids = [int(logits[0].argmax())]
    while len(ids) < COUNT:
        ids.append(int(model.decode_one(torch.tensor(ids[-1:], device=prompt.device), cache)[0].argmax()))
    return tuple(ids)


def _other(token: int, config: Any) -> int:
    first = config.rows - PADDING - BINS
    return first + (token - first + 3) % BINS


def _timed(
    paths: dict[str, Callable[[int], tuple[int, ...]]], right: list[tuple[int, ...]], config: Any
) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in paths}
    equal = dict.fromkeys(paths, 0)
    for turn in range(WARM_UP + config.rounds):
        number = turn % len(right)
        for name, path in paths.items():
            took_s, tokens = _clocked(lambda path=path, number=number: path(number), config.device)
            if turn >= WARM_UP:
                times[name].append(took_s)
                equal[name] += sum(a == b for a, b in zip(tokens, right[number], strict=True))
    base = min(times["generate"]), statistics.median(times["generate"])
    return {
        name: {
            "least_ms": 1e3 * min(taken),
            "median_ms": 1e3 * statistics.median(taken),
            "faster": base[0] / min(taken),
            "faster_by_median": base[1] / statistics.median(taken),
            "equal_tokens": f"{equal[name]} of {COUNT * len(taken)}",
        }
        for name, taken in times.items()
    }


def _batched(
    model: OpenVLA, decoder: ActionDecoder, batch: int, config: Any, dtype: torch.dtype
) -> dict[str, Any]:
    """Prompts of different lengths with images at once, beside the same one by one."""
    generator = torch.Generator().manual_seed(1)
    longest = max(config.positions - model.configuration.patches, 8)
    lengths = torch.randint(max(longest // 2, 4), longest + 1, (batch,), generator=generator).tolist()
    prompts = [
        torch.randint(3, config.rows - 400, (1, n), generator=generator).to(config.device) for n in lengths
    ]
    images = torch.randn(batch, 3, 32, 32, generator=generator).to(config.device, dtype)
    alone = [decoder.decode(prompt, images[row : row + 1]).token_ids for row, prompt in enumerate(prompts)]
    singles, together, equal = [], [], 0
    for _ in range(max(config.rounds // 2, 3)):
        took_s, _ = _clocked(
            lambda: [decoder.decode(prompt, images[row : row + 1]) for row, prompt in enumerate(prompts)],
            config.device,
        )
        singles.append(took_s)
        took_s, told = _clocked(lambda: decoder.decode_batch(prompts, images), config.device)
        together.append(took_s)
        equal = sum(
            a == b
            for one, ids in zip(told, alone, strict=True)
            for a, b in zip(one.token_ids, ids, strict=True)
        )
    return {
        "least_ms": 1e3 * min(together),
        "median_ms": 1e3 * statistics.median(together),
        "actions_per_s": batch / min(together),
        "faster_than_one_by_one": min(singles) / min(together),
        "equal_tokens": f"{equal} of {COUNT * batch}",
    }


def _clocked(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    if device == "cpu":
        began_s = time.process_time()
        made = work()
        return time.process_time() - began_s, made
    torch.cuda.synchronize()
    began_s = time.perf_counter()
    made = work()
    torch.cuda.synchronize()
    return time.perf_counter() - began_s, made


def _rates(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Best of several: a product of square matrices [GFLOP/s], a copy [GB/s read and written]."""
    a, b = (torch.randn(GEMM_SIDE, GEMM_SIDE, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    product_s = min(_clocked(lambda: a @ b, device)[0] for _ in range(10))
    copy_s = min(_clocked(lambda: target.copy_(source), device)[0] for _ in range(10))
    return {"gflops": 2 * GEMM_SIDE**3 / product_s / 1e9, "gb_per_s": 2 * COPY_BYTES / copy_s / 1e9}


def _floors(config: Any, dtype: torch.dtype, rates: dict[str, float]) -> dict[str, float]:
    """The least that these rates allow: products of the prompt, and one reading of all weights for each further token."""
    weights = config.layers * (4 * config.hidden_size**2 + 3 * config.hidden_size * config.mlp_size)
    head = BINS * config.hidden_size
    bytes_of_one = torch.tensor([], dtype=dtype).element_size()
    prefill_s = 2 * weights * config.positions / (rates["gflops"] * 1e9)
    pass_s = (weights + head) * bytes_of_one / (rates["gb_per_s"] * 1e9)
    return {"one_pass": 1e3 * prefill_s, "sequential": 1e3 * (prefill_s + (COUNT - 1) * pass_s)}


def _print(console: Console, title: str, rows: dict[str, Any]) -> None:
    table = Table(
        "path", "least", "median", "faster", "tokens equal", title=title, box=None, title_justify="left"
    )
    for name, row in rows.items():
        faster = row.get("faster", row.get("faster_than_one_by_one"))
        table.add_row(
            name,
            f"{row['least_ms']:.1f} ms",
            f"{row['median_ms']:.1f} ms",
            f"{faster:.2f}",
            row["equal_tokens"],
        )
    console.print(table, soft_wrap=True)


def _plot(file: Path, models: dict[str, Any]) -> bool:
    """Bars of the least times by path and dtype, with the floors. Returns whether there is matplotlib."""
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        return False
    figure, columns = plt.subplots(
        1, max(len(models), 1), figsize=(6.5 * max(len(models), 1), 4.5), squeeze=False
    )
    for axes, (dtype, told) in zip(columns[0], models.items(), strict=False):
        names = [name for name in told["paths"] if not name.startswith("batch")]
        axes.barh(names, [told["paths"][name]["least_ms"] for name in names], color="#2b6cb0")
        for name, floor in told["floors_ms"].items():
            axes.axvline(
                floor, color="#c4483c", linestyle="--" if name == "one_pass" else "-", label=f"floor, {name}"
            )
        axes.invert_yaxis()
        axes.set(title=dtype, xlabel="least time of an action [ms]")
        axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, file)
    return True


# ------------------------------------------------------------------------------------------------- whole actions


def _whole_action(config: Any) -> dict[str, Any]:
    """Wall time from picture to action on a checkpoint, what of it is outside the network, and how drafts would do."""
    overrides = ["policy=openvla", f"policy.checkpoint={config.checkpoint}", "recorder=none"]
    runtime = build_runtime(compose_config("run_episode", overrides))
    policy: Any = runtime.policy
    streams: list[list[tuple[int, ...]]] = []
    whole: list[float] = []
    prepared: list[float] = []
    for seed in range(EPISODES):
        runtime.environment.reset(seed)
        policy.reset(seed)
        tokens: list[tuple[int, ...]] = []
        while not runtime.environment.done:
            seen = runtime.environment.observe(0.0)
            began_s = time.perf_counter()
            chunk = policy.act(seen)
            action = policy.unnormalizer.unnormalize(chunk.proposals[0].action)
            whole.append(time.perf_counter() - began_s)
            prepared.append(chunk.preprocessing_s)
            tokens.append(chunk.proposals[0].tokens.ids)
            runtime.environment.act(action)
        streams.append(tokens)
    runtime.environment.close()
    p50, p95, p99 = (1e3 * float(value) for value in np.percentile(whole, [50, 95, 99]))
    passes = [
        1 + sum(a != b for a, b in zip(before[:-1], now[:-1], strict=True))
        for stream in streams
        for before, now in pairwise(stream)
    ]
    return {
        "whole_ms": {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)},
        "preprocessing_ms": round(1e3 * statistics.median(prepared), 3),
        "passes_with_the_last_action_as_draft": {
            "mean": round(statistics.mean(passes), 2),
            "share_by_passes": {n: round(passes.count(n) / len(passes), 3) for n in range(1, COUNT + 1)},
        },
        "actions": len(whole),
    }


def run() -> None:
    """Entry point of the console command vla-latency."""
    run_command(main)
