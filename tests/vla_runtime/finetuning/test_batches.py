"""What is wrong with an example reaches the user in one line, also out of a worker."""

import os
import signal
from dataclasses import dataclass

import pytest
import torch

from vla_runtime.errors import InvalidDataset, InvalidExample, WorkerLost
from vla_runtime.finetuning.batches import MixedExamples, Split, load_batches, lost_workers
from vla_runtime.finetuning.collator import Collator
from vla_runtime.finetuning.examples import Example
from vla_runtime.finetuning.mixture import Mixture
from vla_runtime.models.openvla.model import IGNORED


@dataclass(frozen=True)
class Numbered:
    """Eight examples, of which one cannot be read and one teaches nothing."""

    damaged: int | None = None
    empty: int | None = None
    name: str = "numbered"

    def __len__(self) -> int:
        return 8

    def example(self, row: int, number: int) -> Example:
        if row == self.damaged:
            raise InvalidDataset("front/file-002.mp4: cannot be read as a video")
        label = IGNORED if row == self.empty else row
        ids = torch.tensor([1, row])
        return Example(ids, torch.tensor([IGNORED, label]), torch.zeros(3, 2, 2))


def loaded(source: Numbered, batch_size: int, workers: int) -> list[int]:
    examples = MixedExamples([source], Mixture([len(source)], [1.0], seed=0))
    batches = load_batches(
        examples, Collator(32_000), Split(batch_size, batch_size), 0, 8 // batch_size, workers
    )
    return [int(row) for batch in batches for row in batch.input_ids[:, 1]]


def test_whole_data_is_loaded_once() -> None:
    assert sorted(loaded(Numbered(), 2, 0)) == list(range(8))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_one_line(workers: int) -> None:
    with pytest.raises(InvalidExample) as refused:
        loaded(Numbered(damaged=5), 2, workers)
    assert str(refused.value) == "front/file-002.mp4: cannot be read as a video"


def test_a_batch_that_teaches_nothing_is_one_line() -> None:
    with pytest.raises(InvalidExample, match="a batch of 1 texts has no label within 2048 tokens"):
        loaded(Numbered(empty=3), 1, 0)


@dataclass(frozen=True)
class InProcess:
    """Examples that tell in which process, and in which group of processes, they were made."""

    killed: bool = False
    name: str = "in process"

    def __len__(self) -> int:
        return 2

    def example(self, row: int, number: int) -> Example:
        if self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        ids = torch.tensor([os.getpid(), os.getpgrp()])
        return Example(ids, torch.tensor([IGNORED, 1]), torch.zeros(3, 2, 2))


def in_process(*, killed: bool) -> list[list[int]]:
    examples = MixedExamples([InProcess(killed)], Mixture([2], [1.0], seed=0))
    batches = load_batches(examples, Collator(32_000), Split(1, 1), 0, 2, workers=1)
    with lost_workers():
        return [batch.input_ids[0].tolist() for batch in batches]


def test_what_stops_the_training_does_not_reach_its_workers() -> None:
    """A terminal's Ctrl-C goes to a whole group."""
    assert {group for _, group in in_process(killed=False)} != {os.getpgrp()}
    assert all(process == group for process, group in in_process(killed=False))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(WorkerLost, match=r"a process that prepares batches was killed .*; expected memory"):
        in_process(killed=True)
