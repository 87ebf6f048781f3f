from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.queue.shoveler.policy import Cell, Load, Policy, Workflow, plan

GOOD = Workflow()


def cells(*texts: str) -> list[Cell]:
    """``"5 acs/ACS 20"``: priority, type/instrument, how many; in the order of age."""
    found = []
    for number, text in enumerate(texts):
        priority, name, waiting = text.split()
        type_, _, instrument = name.partition("/")
        n, _, blocked = waiting.partition("+")
        found.append(Cell(type_, instrument, int(priority), int(n), number, int(blocked or 0)))
    return found


def load(census: list[Cell], **more: object) -> Load:
    return Load(workflows={cell.type: GOOD for cell in census}, **more)


CASES = {
    # what waits, policy, load -> granted by type
    "nothing waits": ([], {}, {}, {}),
    "one type gets the batch": (["0 acs 20"], {"batch": 5}, {}, {"acs": 5}),
    "less waits than a batch": (["0 acs 3"], {"batch": 5}, {}, {"acs": 3}),
    "stop": (["0 acs 3"], {"stop": True}, {}, {}),
    "priority goes first": (["0 acs 9", "5 wf3 4"], {"batch": 5}, {}, {"wf3": 4, "acs": 1}),
    "priority takes all": (["0 acs 9", "5 wf3 9"], {"batch": 5}, {}, {"wf3": 5}),
    "equal shares": (["0 acs 9", "0 wf3 9"], {"batch": 6}, {}, {"acs": 3, "wf3": 3}),
    "odd one to the oldest": (["0 wf3 9", "0 acs 9"], {"batch": 5}, {}, {"acs": 2, "wf3": 3}),
    "weights": (
        ["0 acs 9", "0 wf3 9"],
        {"batch": 8, "weights": {"acs": 3}},
        {},
        {"acs": 6, "wf3": 2},
    ),
    "what runs counts": (
        ["0 acs 9", "0 wf3 9"],
        {"batch": 6},
        {"running": {"acs": 4}},
        {"acs": 1, "wf3": 5},
    ),
    "what was started lately counts": (
        ["0 acs 9", "0 wf3 9"],
        {"batch": 6},
        {"recent": {"acs": 4}, "running": {"acs": 3}},
        {"acs": 1, "wf3": 5},
    ),
    "a small share is filled up by others": (
        ["0 acs 1", "0 wf3 9"],
        {"batch": 6},
        {},
        {"acs": 1, "wf3": 5},
    ),
    "cap of all": (["0 acs 9"], {"max_running": 10}, {"running": {"x": 7}}, {"acs": 3}),
    "cap of all is passed": (["0 acs 9"], {"max_running": 10}, {"running": {"x": 17}}, {}),
    "cap of a type": (
        ["5 acs 9", "0 wf3 9"],
        {"type_caps": {"acs": 4}, "batch": 8},
        {"running": {"acs": 1}},
        {"acs": 3, "wf3": 5},
    ),
    "cap of an instrument spans types": (
        ["0 acs/ACS 9", "0 acs_asn/ACS 9", "0 wf3/WF3 2"],
        {"instrument_caps": {"ACS": 5}},
        {"instruments": {"ACS": 1}},
        {"acs": 2, "acs_asn": 2, "wf3": 2},
    ),
    "a capped instrument leaves its type's others": (
        ["0 ingest/ACS 9", "0 ingest/WF3 9"],
        {"instrument_caps": {"ACS": 1}, "batch": 6},
        {},
        {"ingest": 6},
    ),
    "rate": (["0 acs 9"], {"starts_per_minute": 10}, {"recent": {"acs": 8}}, {"acs": 2}),
    "interval not over": (["0 acs 9"], {"min_interval_s": 5}, {"since_last_s": 2.0}, {}),
    "interval over": (["0 acs 2"], {"min_interval_s": 5}, {"since_last_s": 6.0}, {"acs": 2}),
    "pool has room": (
        ["0 acs 9"],
        {"idle_jobs": 10},
        {"idle_jobs": 3, "not_started": 2},
        {"acs": 5},
    ),
    "pool is full": (["0 acs 9"], {"idle_jobs": 10}, {"idle_jobs": 30}, {}),
    "pool is not known": (["0 acs 9"], {"idle_jobs": 1}, {"idle_jobs": None}, {"acs": 9}),
    "no limit of the pool": (["0 acs 9"], {"idle_jobs": None}, {"idle_jobs": 999}, {"acs": 9}),
    "blocked entries are nothing": (["5 acs 0+9", "0 wf3 2"], {}, {}, {"wf3": 2}),
}


@pytest.mark.parametrize(("waits", "policy", "now", "granted"), CASES.values(), ids=CASES)
def test_plan(waits, policy, now, granted):
    census = cells(*waits)
    assert plan(Policy(**policy), census, load(census, **now)).by_type() == granted


SENTENCES = [
    (["0 acs 9"], {"stop": True}, {}, "the shoveler is stopped (owl shoveler start)."),
    (
        ["0 acs 9"],
        {"max_running": 5},
        {"running": {"wf3": 5}},
        "5 DAG runs are in Airflow, 5 are allowed (max_running).",
    ),
    (
        ["0 acs 9"],
        {"starts_per_minute": 5},
        {"recent": {"acs": 2, "wf3": 4}},
        "6 DAG runs were made in the last minute, 5 are allowed (starts_per_minute).",
    ),
    (
        ["0 acs 9"],
        {"idle_jobs": 50},
        {"idle_jobs": 40, "not_started": 11},
        "40 jobs are idle in the pool and 11 DAG runs have not begun, 50 together are allowed "
        "(idle_jobs).",
    ),
    (
        ["0 acs 9"],
        {"min_interval_s": 5},
        {"since_last_s": 1.0},
        "a batch is shoveled every 5 s only (min_interval_s).",
    ),
    (
        ["0 acs 9"],
        {"type_caps": {"acs": 0}},
        {},
        "it has 0 DAG runs, 0 are allowed (type.acs.cap).",
    ),
    (
        ["0 acs/ACS 9"],
        {"instrument_caps": {"ACS": 2}},
        {"instruments": {"ACS": 3}},
        "ACS has 3 DAG runs, 2 are allowed (instrument.ACS.cap).",
    ),
    (["0 acs 0+4"], {}, {}, "4 entries wait for the earlier runs of the same filesets."),
    (
        ["0 acs 9", "5 wf3 9"],
        {"batch": 4},
        {},
        "others have their share (priority, weight); a batch has 4 entries at the most (batch).",
    ),
]


@pytest.mark.parametrize(("waits", "policy", "now", "words"), SENTENCES)
def test_a_type_that_gets_nothing_learns_why(waits, policy, now, words):
    census = cells(*waits)
    assert plan(Policy(**policy), census, load(census, **now)).waits["acs"] == words


@pytest.mark.parametrize(
    ("workflows", "words"),
    [
        ({}, "its DAG is not known to Airflow: no template of this name makes one."),
        ({"acs": Workflow("is paused in Airflow")}, "its DAG is paused in Airflow."),
        (
            {"acs": Workflow(max_active_runs=2)},
            "it has 2 DAG runs, its DAG runs 2 at a time (max_active_runs).",
        ),
    ],
)
def test_dags_that_cannot_run(workflows, words):
    now = Load(workflows=workflows, running={"acs": 2})
    assert plan(Policy(), cells("0 acs 5"), now).waits == {"acs": words}


def test_a_type_that_gets_a_part_learns_why():
    census = cells("0 acs 9", "0 wf3 3", "0 cos 2+4", "0 stis 1")
    decided = plan(Policy(type_caps={"acs": 2}), census, load(census))
    assert decided.by_type() == {"acs": 2, "wf3": 3, "cos": 2, "stis": 1}
    assert decided.rests == {
        "acs": "it has 2 DAG runs, 2 are allowed (type.acs.cap).",
        "cos": "4 entries wait for the earlier runs of the same filesets.",
    }


def test_stop_is_said_before_everything_else():
    decided = plan(Policy(stop=True, type_caps={"acs": 0}), cells("0 acs 9"), Load())
    assert decided.waits == {"acs": "the shoveler is stopped (owl shoveler start)."}


def test_the_oldest_instrument_of_a_type_goes_first_and_then_in_turn():
    census = [Cell("ingest", "WF3", 0, 9, oldest=5), Cell("ingest", "ACS", 0, 9, oldest=8)]
    assert plan(Policy(batch=1), census, load(census)).grants == {("ingest", "WF3"): 1}
    assert plan(Policy(batch=4), census, load(census)).grants == {
        ("ingest", "WF3"): 2,
        ("ingest", "ACS"): 2,
    }


TYPES = ("acs", "wf3", "cos", "ingest")
INSTRUMENTS = ("", "ACS", "WF3")
small = st.integers(0, 12)
maybe = st.none() | small
policies = st.builds(
    Policy,
    max_running=st.integers(0, 40),
    batch=st.integers(1, 20),
    starts_per_minute=maybe,
    idle_jobs=maybe,
    type_caps=st.dictionaries(st.sampled_from(TYPES), small),
    instrument_caps=st.dictionaries(st.sampled_from(INSTRUMENTS[1:]), small),
    weights=st.dictionaries(st.sampled_from(TYPES), st.floats(0.1, 10)),
)
censuses = st.dictionaries(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(INSTRUMENTS), st.integers(-1, 1)),
    st.tuples(small, st.integers(0, 50), small),
).map(lambda found: [Cell(*key, *value) for key, value in found.items()])
loads = st.builds(
    Load,
    running=st.dictionaries(st.sampled_from(TYPES), small),
    instruments=st.dictionaries(st.sampled_from(INSTRUMENTS[1:]), small),
    recent=st.dictionaries(st.sampled_from(TYPES), small),
    idle_jobs=maybe,
    not_started=small,
    workflows=st.dictionaries(
        st.sampled_from(TYPES),
        st.builds(Workflow, st.sampled_from([None, None, "is paused"]), maybe),
        min_size=3,
    ),
)


def after(now: Load, grants: dict[tuple[str, str], int]) -> tuple[Counter[str], Counter[str]]:
    types, instruments = Counter(now.running), Counter(now.instruments)
    for (type_, instrument), number in grants.items():
        types[type_] += number
        instruments[instrument] += number
    return types, instruments


def limits(policy: Policy, now: Load) -> list[int]:
    found = [policy.batch, policy.max_running - sum(now.running.values())]
    if policy.starts_per_minute is not None:
        found.append(policy.starts_per_minute - sum(now.recent.values()))
    if policy.idle_jobs is not None and now.idle_jobs is not None:
        found.append(policy.idle_jobs - now.idle_jobs - now.not_started)
    return found


@given(policies, censuses, loads)
def test_no_limit_is_ever_passed(policy, census, now):
    decided = plan(policy, census, now)
    types, instruments = after(now, decided.grants)
    assert decided.total <= max(0, min(limits(policy, now)))
    for (type_, instrument), number in decided.grants.items():
        assert number <= sum(
            c.waiting for c in census if (c.type, c.instrument) == (type_, instrument)
        )
        assert now.workflows[type_].obstacle is None
        assert types[type_] <= policy.type_caps.get(type_, 10**6)
        most = now.workflows[type_].max_active_runs
        assert most is None or types[type_] <= most
        assert instruments[instrument] <= policy.instrument_caps.get(instrument, 10**6)


@given(policies, censuses, loads)
def test_nothing_is_left_that_could_be_shoveled(policy, census, now):
    decided = plan(policy, census, now)
    types, instruments = after(now, decided.grants)
    if decided.total == max(0, min(limits(policy, now))):
        return
    left = Counter({(c.type, c.instrument): 0 for c in census})
    for cell in census:
        left[cell.type, cell.instrument] += cell.waiting
    for (type_, instrument), number in left.items():
        workflow = now.workflows.get(type_)
        if (
            workflow is None
            or workflow.obstacle
            or number == decided.grants.get((type_, instrument), 0)
        ):
            continue
        most = 10**6 if workflow.max_active_runs is None else workflow.max_active_runs
        assert types[type_] >= min(policy.type_caps.get(type_, 10**6), most) or (
            instrument and instruments[instrument] >= policy.instrument_caps.get(instrument, 10**6)
        )


@given(policies, censuses, loads)
def test_every_type_that_gets_nothing_learns_why(policy, census, now):
    decided = plan(policy, census, now)
    there = {c.type for c in census if c.waiting or c.blocked}
    assert set(decided.waits) == there - set(decided.by_type())
    assert all(words.endswith(".") and words[:-1] for words in decided.waits.values())


@given(
    st.dictionaries(st.sampled_from(TYPES), st.floats(0.2, 5), min_size=2),
    st.integers(1, 7),
    st.integers(4, 30),
)
def test_no_type_starves_beside_others_of_its_priority(weights, batch, most):
    """Endless work and short runs: each type keeps its share of what is started."""
    policy = Policy(batch=batch, max_running=most, weights=weights)
    census = [Cell(type_, "", 0, 10_000, n) for n, type_ in enumerate(weights)]
    started: list[str] = []
    for _ in range(60):
        alive = started[-3:]  # the earlier ones have ended
        now = Load(
            running=Counter(alive),
            recent=Counter(started[-200:]),
            workflows=dict.fromkeys(weights, GOOD),
        )
        for type_, number in plan(policy, census, now).by_type().items():
            started += [type_] * number
    seen, total = Counter(started[-200:]), sum(weights.values())
    for type_, weight in weights.items():
        share = min(200, len(started)) * weight / total
        assert seen[type_] >= int(share) - batch - 4


@given(policies, censuses, loads)
def test_a_lower_priority_gets_something_only_if_the_higher_cannot(policy, census, now):
    """What a priority gets does not depend on what waits behind it."""
    decided = plan(policy, census, now)
    top = [cell for cell in census if cell.priority == 1]
    alone = plan(policy, top, now).grants
    assert all(decided.grants[key] >= number for key, number in alone.items())
