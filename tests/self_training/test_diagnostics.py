from keras_restpg.self_training import diagnostics, selection
from tests.rewards.records import scored

TASKS = {"e": "email", "f": "email", "g": "abstract"}


def iteration():
    return [
        scored(1.0, index=0, text="same"),
        scored(1.0, index=1, text="same"),
        scored(0.3, index=2, finished=False),
        scored(0.0, index=0, example_id="f", reason="no answer sentence"),
        scored(0.7, index=0, example_id="g"),
    ]


def test_counts_by_task():
    samples = iteration()
    kept = selection.select(samples)
    found = diagnostics.diagnose(samples, kept, TASKS)
    assert list(found) == ["abstract", "email", "all"]
    assert found["email"] == diagnostics.Diagnostics(
        task="email",
        examples=2,
        samples=4,
        accepted=2,
        accept_rate=0.5,
        kept=1,
        unparsable=1,
        below=1,
        repeated=1,
        beyond=0,
        examples_without=1,
        unfinished=1,
        mean_reward=2.3 / 4,
        histogram={"0.0": 1, "0.3": 1, "1.0": 2},
        unjudged=0,
        tau=1.0,
        asked_tau=1.0,
        why="",
    )
    assert found["abstract"].examples_without == 1
    assert found["all"].samples == 5


def test_every_sample_is_kept_or_has_a_reason():
    samples = [scored(1.0, index=i, text=f"text {i // 2}") for i in range(30)]
    samples += iteration()[2:]
    kept = selection.select(samples, limit=10)
    found = diagnostics.diagnose(samples, kept, TASKS)["all"]
    assert (found.kept, found.repeated, found.beyond) == (10, 15, 5)
    assert (found.below, found.unparsable) == (2, 1)
    assert found.samples == 33


def test_an_empty_iteration_has_zeros():
    found = diagnostics.diagnose([], [], {})
    assert found["all"].samples == 0
    assert found["all"].accept_rate == 0.0
