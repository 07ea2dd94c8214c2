"""Where a policy runs while the loop goes on: in a thread, or at once with the result held back until its time."""

import queue
import threading
import time
from dataclasses import dataclass
from typing import Protocol, final

from vla_runtime.errors import InferenceStuck
from vla_runtime.interfaces import Clock, Policy
from vla_runtime.types import ActionChunk, Observation

RESET_WITHIN_S = 10.0  # [s] that a running inference may take to end before a new episode


@dataclass(frozen=True)
class Finished:
    """An inference that is done.

    Attributes:
        chunk: What came out.
        observation: What went in.
        latency_s: From capture to result [s], on the loop's clock.
    """

    chunk: ActionChunk
    observation: Observation
    latency_s: float


class Worker(Protocol):
    """Runs one inference at a time."""

    @property
    def busy(self) -> bool:
        """Whether an inference is under way or not collected yet."""
        ...

    def start(self, observation: Observation) -> None:
        """Begin an inference."""
        ...

    def collect(self) -> Finished | None:
        """The finished inference, once; None while there is none."""
        ...

    def close(self) -> None:
        """Wait for the inference that is under way, and throw it away."""
        ...


@final
class HeldBack:
    """Runs the policy at once, and gives the result when the simulated clock says that it is due."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        """Args: policy: to run; clock: says how long it counts."""
        self._policy, self._clock = policy, clock
        self._due: tuple[float, Finished] | None = None

    @property
    def busy(self) -> bool:
        """Whether a result is held back."""
        return self._due is not None

    def start(self, observation: Observation) -> None:
        """Run the policy."""
        began_s = time.perf_counter()
        chunk = self._policy.act(observation)
        latency_s = self._clock.charge_s(time.perf_counter() - began_s)
        self._due = (self._clock.now_s() + latency_s, Finished(chunk, observation, latency_s))

    def collect(self) -> Finished | None:
        """The result, if it is due."""
        if self._due is None or self._clock.now_s() < self._due[0] - 1e-9:
            return None
        finished, self._due = self._due[1], None
        return finished

    def close(self) -> None:
        """Throw the result away."""
        self._due = None


@final
class Threaded:
    """Runs the policy in a thread of its own, so that the loop never waits for it."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        """Args: policy: to run, by this thread only; clock: of the loop."""
        self._policy, self._clock = policy, clock
        self._asked: queue.SimpleQueue[Observation | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Finished | BaseException] = queue.SimpleQueue()
        self._under_way = False
        self._thread = threading.Thread(target=self._serve, name="inference", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether an inference is under way or not collected yet."""
        return self._under_way

    def start(self, observation: Observation) -> None:
        """Hand it to the thread."""
        self._under_way = True
        self._asked.put(observation)

    def collect(self) -> Finished | None:
        """The result, if there is one. What the policy raised is raised here."""
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return None
        self._under_way = False
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the thread. Raises InferenceStuck when the policy does not come back."""
        self._asked.put(None)
        self._thread.join(RESET_WITHIN_S)
        if self._thread.is_alive():
            raise InferenceStuck(f"the policy has not come back for {RESET_WITHIN_S:g} s: start anew")

    def _serve(self) -> None:
        while (observation := self._asked.get()) is not None:
            try:
                chunk = self._policy.act(observation)
            except BaseException as error:  # noqa: BLE001 it is raised again by `collect`, in the loop
                self._answers.put(error)
            else:
                latency_s = self._clock.now_s() - observation.capture_time_s
                self._answers.put(Finished(chunk, observation, latency_s))
