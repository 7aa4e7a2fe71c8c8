"""Who takes part in the next step: requests join and leave between any two. Called by the stepper."""

from collections import deque
from dataclasses import dataclass

from serving_image.engine import prefix
from serving_image.engine.kv import NoRoom, Store
from serving_image.engine.sequence import Plan, Sequence, Work

PREFILL_TOKENS = {"cpu": 256, "cuda": 1024}
# Tokens of a prompt's piece, which attention weighs against all before: it takes memory for each pair of them.
LEAST_PIECE_TOKENS, PAIRS = 512, 2**22
HEADROOM_TOKENS = 64  # of an answer for which a row is chosen at first; it moves to a longer one if need be


@dataclass(frozen=True)
class Limits:
    """How much a step does at most.

    Attributes:
        sequences: That run at a time.
        prefill_tokens: Tokens of prompts in a step that also decodes: bounds the gap between two tokens of others.
        idle_prefill_tokens: The same where nothing decodes.
    """

    sequences: int = 64
    prefill_tokens: int = 256
    idle_prefill_tokens: int = 512


def prefill_tokens(asked: int, device: str) -> int:
    """Of the setting: 0 leaves the choice to us."""
    return asked or PREFILL_TOKENS[device]


class Batch:
    """The running and the waiting sequences, first come, first served."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self.preemptions = 0
        self.prefix_queries = 0
        self.prefix_hits = 0

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self.waiting.append(sequence)

    def plan(self) -> Plan:
        """Choose the next step's tokens and give each a place in the store."""
        plan = Plan()
        for sequence in [each for each in self.running if each.row and each.row.owner != each.owner]:
            self._requeue(sequence)  # it has become a long text: what is stored of it no longer fits
        for sequence in [each for each in self.running if each.missing == 1]:
            if sequence in self.running and self._make_room(sequence, 1):
                plan.decoding.append(self._work(sequence, 1))
        plan.decoding = [work for work in plan.decoding if work.sequence.row]  # not those preempted since
        left = self.limits.prefill_tokens if plan.decoding else self.limits.idle_prefill_tokens
        for sequence in [each for each in self.running if each.missing > 1]:
            left -= self._prefill(plan, sequence, left)
        while left > 0 and self.waiting and len(self.running) < self.limits.sequences:
            sequence = self.waiting[0]
            if not self._admit(plan, sequence):
                break
            self.waiting.popleft()
            self.running.append(sequence)
            left -= self._prefill(plan, sequence, left)
        return plan

    def remove(self, sequence: Sequence) -> None:
        """It is done or cancelled; what its row holds is kept for prompts that begin alike."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        if sequence.row:
            del sequence.row.tokens[sequence.row.ready :]
            sequence.row.pool.give_back(sequence.row)
            sequence.row = None

    def _work(self, sequence: Sequence, count: int) -> Work:
        assert sequence.row
        done = sequence.computed
        sequence.row.tokens += sequence.tokens[done : done + count]
        return Work(sequence, count)

    def _prefill(self, plan: Plan, sequence: Sequence, left: int) -> int:
        most = max(LEAST_PIECE_TOKENS, PAIRS // (sequence.computed + LEAST_PIECE_TOKENS))
        count = min(sequence.missing, left, most)
        if count > 0 and sequence in self.running and self._make_room(sequence, count):
            plan.prefill.append(self._work(sequence, count))
            return count
        return 0

    def _admit(self, plan: Plan, sequence: Sequence) -> bool:
        """Find a row, and with it whatever another sequence has computed of the same beginning."""
        wanted = len(sequence.tokens) + min(HEADROOM_TOKENS, sequence.request.max_tokens)
        wanted = min(wanted, self.store.pools[-1].length)
        try:
            sequence.row, cached = prefix.place(self.store, sequence.tokens, sequence.owner, wanted)
        except NoRoom:
            return False
        self.prefix_queries += len(sequence.tokens)
        self.prefix_hits += cached
        if not sequence.started:
            plan.started.append((sequence, cached))
            sequence.started = True
        return True

    def _make_room(self, sequence: Sequence, count: int) -> bool:
        """Move the sequence to a longer row if it needs one; False where it gave way and waits again."""
        assert sequence.row
        while sequence.computed + count > sequence.row.room:
            try:
                sequence.row = self.store.move(sequence.row, sequence.computed + count)
            except NoRoom:
                self._preempt(self.running[-1])
                if sequence.row is None:
                    return False
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """The newest gives way and is computed anew later, from its prompt and its answer so far."""
        self.preemptions += 1
        self._requeue(sequence)

    def _requeue(self, sequence: Sequence) -> None:
        self.remove(sequence)
        self.waiting.appendleft(sequence)
