"""The bounded queue by itself: how many requests and how many of their tokens may wait."""

import pytest

from serving_image.api.admission import Gate
from serving_image.api.refusals import Refusal


def refusal(gate: Gate, tokens: int, answers: int = 1, running: int = 0) -> Refusal:
    with pytest.raises(Refusal) as caught, gate.admit(tokens, answers, running):
        pass
    return caught.value


def test_prompts_that_wait_have_a_limit_in_tokens_and_the_first_may_be_longer_than_it():
    gate = Gate(max_requests=10, max_tokens=100)
    with gate.admit(150, 1, 0) as tickets:
        found = refusal(gate, 1)
        assert (found.status, found.retry_after) == (429, 2) and "150 prompt tokens wait and 100 may" in found.message
        gate.started(tickets[0])
        with gate.admit(60, 1, 0):
            assert "60 prompt tokens wait" in refusal(gate, 50).message
            with gate.admit(40, 1, 0):
                assert gate.waiting_tokens == 100


def test_every_answer_to_a_prompt_takes_a_place():
    gate = Gate(max_requests=3, max_tokens=1000)
    assert "0 requests wait and 3 may" in refusal(gate, 10, answers=4).message
    with gate.admit(10, 4, 1), gate.admit(10, 1, 2):
        assert gate.waiting_requests == 5 and refusal(gate, 10, running=2).code == "queue_full"
    assert (gate.waiting_requests, gate.waiting_tokens, gate.inside) == (0, 0, 0)


def test_a_refused_request_leaves_nothing_behind():
    gate = Gate(max_requests=0, max_tokens=10)
    refusal(gate, 5)
    assert (gate.waiting_requests, gate.waiting_tokens, gate.inside) == (0, 0, 0)
