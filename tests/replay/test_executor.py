"""The responder: what it answers, what it raises, and what it keeps of both."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from recorded_effects import asked, model, recording, request, tool

from spanreel.exceptions import Divergence, EffectDenied
from spanreel.replay.executor import Executor


def playing(*effects) -> Executor:
    """A responder over these effects."""
    return Executor(recording(*effects))


def test_an_answer_says_where_it_is_from():
    """Run, span and tier of the source go with it."""
    served = playing(model("hi", user="a")).model(request("hi", user="b"))
    assert served is not None
    assert (served.source, served.source_run_id, served.tier, served.status) == (
        "recorded",
        "r1",
        "structural",
        200,
    )


def test_threads_never_get_the_same_answer():
    """Each of 64 recorded answers is given once, whoever asks when."""
    responder = playing(*(replace(model("same"), span_id=f"e{n}") for n in range(64)))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: responder.model(request("same")), range(64)))
    assert Counter(responder.consumed.served.values()) == {1: 64}
    with pytest.raises(Divergence):
        responder.model(request("same"))


def test_an_error_of_ours_lets_nothing_through():
    """What cannot be compared is stopped like what does not match, with the error named."""
    responder = playing(tool("pay", {"n": 1}))
    with pytest.raises(Divergence, match="could not be compared") as raised:
        responder.tool(asked("pay", {"n": object()}))
    assert isinstance(raised.value.__cause__, TypeError)
    assert responder.books.signal is raised.value


def test_the_first_signal_is_the_one_that_is_kept():
    """A denied effect before a divergence stays the cause."""
    responder = playing(model("hi"))
    denied = EffectDenied("connect")
    responder.on_denied(denied)
    with pytest.raises(Divergence):
        responder.model(request("other"))
    assert responder.books.signal is denied


def test_the_end_of_a_cut_recording_is_a_divergence_of_its_own():
    """It names the recorded call that was read further than the recording goes."""
    effect = model("hi")
    cut = replace(effect, answers=(replace(effect.answers[0], whole=False),))
    served = playing(cut).model(request("hi"))
    assert served is not None
    assert served.at_cut is not None
    with pytest.raises(Divergence, match="read further"):
        served.at_cut()
