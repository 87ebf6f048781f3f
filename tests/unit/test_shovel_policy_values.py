from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.queue.shoveler.policy import Policy
from htcondor_operator.queue.shoveler.policy_values import (
    change,
    from_json,
    parse_assignment,
    to_json,
    values,
)
from htcondor_operator.vocabulary import OwlError


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("max_running=40", "max_running", 40),
        ("batch = 7", "batch", 7),
        ("starts_per_minute=none", "starts_per_minute", None),
        ("idle_jobs=0", "idle_jobs", 0),
        ("min_interval_s=0.5", "min_interval_s", 0.5),
        ("type.acs_asn.cap=3", "type_caps", {"acs_asn": 3}),
        ("type.acs.weight=2.5", "weights", {"acs": 2.5}),
        ("instrument.WF3.cap=0", "instrument_caps", {"WF3": 0}),
    ],
)
def test_values_are_set(text, field, value):
    assert getattr(change(Policy(), *parse_assignment(text)), field) == value


def test_a_cap_is_taken_away():
    policy = Policy(type_caps={"acs": 3, "wf3": 4})
    assert change(policy, *parse_assignment("type.acs.cap=none")).type_caps == {"wf3": 4}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_running", "'max_running' is not key=value"),
        ("max_running=-1", "max_running -1 is not right: give a whole number from 0 to 100000"),
        ("max_running=1.5", "max_running 1.5"),
        ("max_running=many", "max_running 'many'"),
        ("max_running=none", "max_running None"),
        ("batch=0", "from 1 to 1000"),
        ("min_interval_s=nan", "min_interval_s nan"),
        ("starts_per_minute=x", "or none for no limit"),
        ("max_runing=4", "there is no such key; known are max_running, batch"),
        ("type.acs.cup=4", "there is no such key"),
        ("type..cap=4", "there is no such key"),
        ("type.ACS.cap=4", "type 'ACS' is not valid"),
        ("type.acs.weight=0", "give a number from 0.001 to 1000"),
        ("stop=1", "there is no such key"),
    ],
)
def test_wrong_values_name_key_value_and_fix(text, words):
    with pytest.raises(OwlError) as caught:
        change(Policy(), *parse_assignment(text))
    assert words in caught.value.message


@pytest.mark.parametrize(
    "stored",
    [
        [],
        {"stop": "yes"},
        {"speed": 3},
        {"batch": True},
        {"type_caps": [1]},
        {"weights": {"acs": "much"}},
        {"max_running": None},
    ],
)
def test_a_stored_policy_that_is_wrong_is_refused(stored):
    with pytest.raises(OwlError, match="Policy"):
        from_json(stored)


@given(
    st.builds(
        Policy,
        stop=st.booleans(),
        max_running=st.integers(0, 100),
        starts_per_minute=st.none() | st.integers(0, 100),
        min_interval_s=st.floats(0, 60),
        type_caps=st.dictionaries(st.sampled_from(["acs", "wf3"]), st.integers(0, 9)),
        weights=st.dictionaries(st.sampled_from(["acs", "wf3"]), st.floats(0.5, 9)),
        instrument_caps=st.dictionaries(st.sampled_from(["ACS", "a.b"]), st.integers(0, 9)),
    )
)
def test_a_policy_survives_storage(policy):
    assert from_json(json.loads(json.dumps(to_json(policy)))) == policy
    again = Policy(stop=policy.stop)
    for key, value in values(policy):
        if key != "stop":
            again = change(again, key, value)
    assert again == policy


def test_nothing_stored_is_the_default():
    assert from_json(None) == from_json({}) == Policy()
