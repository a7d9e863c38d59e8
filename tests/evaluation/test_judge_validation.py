import dataclasses

import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.evaluation.judge_validation import (
    agreement,
    read_choices,
    sensitivity,
    swap_profiles,
)
from keras_restpg.records import Document, Example
from tests.evaluation.silent import Silent


def length(example, answer):
    """A reward that likes long answers."""
    return min(len(answer) / 10, 1.0)


def write_csv(path, rows):
    head = "prompt,expected,answer_a,answer_b,choice"
    text = "\n".join([head, *rows])
    # A lone surrogate makes bytes that are not UTF-8.
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def test_agreement_counts_pairs_that_are_far_enough_apart(tmp_path):
    path = write_csv(
        tmp_path / "c.csv",
        [
            "x,y,aaaaaaaaaa,a,a",  # 0.9 apart, agrees
            "x,y,a,aaaaaaaaaa,b",  # 0.9 apart, agrees
            "x,y,aaaaaaaa,a,b",  # 0.7 apart, disagrees
            "x,y,aaa,a,a",  # 0.2 apart, not compared
            "x,y,aaaaaaaaaa,a,tie",  # no choice
        ],
    )
    found = agreement(path, length)
    assert (found.pairs, found.compared) == (5, 3)
    assert found.agreement == pytest.approx(2 / 3)
    expected = np.corrcoef([0.9, -0.9, 0.7, 0.9], [1, -1, -1, 0])[0, 1]
    assert found.pearson == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        (["x,y,a,b,c"], "line 2: `choice` must be"),
        (["x,y,a"], "line 2: 5 columns are named"),
        (["x,y,a,b,a,more"], "line 2: 5 columns are named"),
        (["x,y,a,b,tie", 'x,"y,a,b,a'], "c.csv, line .: not CSV"),
        (["x,y,\ud800,b,a"], "c.csv.*not UTF-8"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        agreement(write_csv(tmp_path / "c.csv", rows), length)
    with pytest.raises(InputError, match="none.csv: there is no such file"):
        agreement(tmp_path / "none.csv", length)
    (tmp_path / "d.csv").write_text("prompt\nx")
    with pytest.raises(InputError, match="Missing: answer_a"):
        agreement(tmp_path / "d.csv", length)


def test_other_columns_and_long_answers_are_read(tmp_path):
    path = tmp_path / "c.csv"
    head = "choice,who,prompt,expected,answer_a,answer_b"
    path.write_text(f"{head}\na,me,x,y,{'a' * 200_000},b", "utf-8-sig")
    ((example, first, second, choice),) = read_choices(path)
    assert (example.prompt, example.expected, second) == ("x", "y", "b")
    assert (len(first), choice) == (200_000, 1.0)


def test_a_judges_tie_agrees_with_nobody(tmp_path):
    path = write_csv(tmp_path / "c.csv", ["x,y,a,b,a", "x,y,aa,b,a"])
    found = agreement(path, length, min_difference=0)
    assert (found.compared, found.agreement) == (2, 0.5)


def test_pairs_without_a_judgement_are_left_out_and_counted(tmp_path):
    path = write_csv(
        tmp_path / "c.csv",
        ["x,y,aaaaaaaaaa,a,a", "x,y,aaaaaaaaaa,a!,b", "x,y,!,a!,b"],
    )
    found = agreement(path, Silent())
    assert (found.pairs, found.unjudged, found.compared) == (3, 2, 1)
    assert found.agreement == 1.0


def examples(task="t", count=20):
    return [
        Example(f"{task}{i}", task, f"u{i}", "x", "y", (Document(f"of u{i}"),))
        for i in range(count)
    ]


def test_profiles_are_swapped_between_users_alone():
    for before, after in zip(
        examples(), swap_profiles(examples()), strict=True
    ):
        assert after.documents != before.documents
        assert dataclasses.replace(after, documents=before.documents) == before
    with pytest.raises(ValueError, match="one user"):
        swap_profiles(examples()[:1])


def test_a_judge_that_knows_users_falls_on_a_line():
    def write(asked):
        return [example.documents[0].text for example in asked]

    def knows(example, answer):
        return float(answer == f"of {example.user}")

    asked = examples() + examples("s", 4)
    found = sensitivity(asked, write, knows)
    line = (1.0, 0.75, 0.5, 0.25, 0.0)
    assert found.means == pytest.approx(line)
    assert set(found.by_task) == {"s", "t"}
    for means in found.by_task.values():
        assert means == pytest.approx(line)
    assert found.slope == pytest.approx(-1.0)
    assert found.r_squared == pytest.approx(1.0)
    assert found.unjudged == 0


def test_examples_without_a_judgement_are_left_out_of_a_line():
    def write(asked):
        own = [e.documents[0].text == f"of {e.user}" for e in asked]
        return [
            "!" if mine and e.id in ("t0", "t1") else "a" * (5 if mine else 1)
            for e, mine in zip(asked, own, strict=True)
        ]

    found = sensitivity(examples(), write, Silent())
    assert found.unjudged == 2
    assert found.means[0] == pytest.approx(0.5)
    assert found.means[-1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="none of 20 examples"):
        sensitivity(examples(), lambda asked: ["!"] * len(asked), Silent())
