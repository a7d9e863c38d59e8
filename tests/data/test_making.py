import pytest

from keras_restpg.cli import main as cli
from keras_restpg.data import load_documents, load_folder, write_examples
from keras_restpg.data.making import make_splits
from keras_restpg.data.writing import Writing
from keras_restpg.errors import InputError
from keras_restpg.records import Document


def writing(users=1, texts=5, words=20):
    def document(user, number):
        text = f"{user} {number} " + "word " * (words - 2)
        return Document(
            text.strip(), f"{user}/{number}", date=f"2020-01-{number + 1:02}"
        )

    return Writing(
        {
            f"u{user}": tuple(document(user, n) for n in range(texts))
            for user in range(users)
        },
        {},
        {},
    )


def test_what_is_written_is_what_a_run_reads(tmp_path):
    made = make_splits(writing(users=2))
    paths = write_examples(made.splits, tmp_path / "new" / "own")
    assert [path.name for path in paths] == [
        "own_train.jsonl",
        "own_val.jsonl",
        "own_test.jsonl",
    ]
    for split, examples in made.splits.items():
        read = load_folder(tmp_path / "new" / "own", split)
        for ours, theirs in zip(examples, read, strict=True):
            assert (ours.id, ours.user, ours.prompt, ours.expected) == (
                (theirs.id, theirs.user, theirs.prompt, theirs.expected)
            )
            assert ours.documents == theirs.documents
    with pytest.raises(InputError, match="own_train.jsonl is there already"):
        write_examples(made.splits, tmp_path / "new" / "own")


def test_one_person_is_split_by_time():
    made = make_splits(writing(texts=11))
    sizes = {name: len(part) for name, part in made.splits.items()}
    assert made.way == "time" and sizes == {"train": 8, "val": 1, "test": 1}
    assert not made.warnings()
    (test,) = made.splits["test"]
    assert test.expected.startswith("0 10 ") and len(test.documents) == 10
    assert test.prompt.startswith("Write the text that begins with")


def test_many_people_are_split_by_user():
    made = make_splits(writing(users=10, texts=2))
    users = [{e.user for e in part} for part in made.splits.values()]
    assert made.way == "user" and sum(map(len, users)) == 10
    assert all(users) and len(set.union(*users)) == 10


@pytest.mark.parametrize(
    ("way", "texts", "warnings"),
    [
        ("time", 3, ["test is empty: 3 texts that are worth an example"]),
        ("user", 9, ["val is empty: 3 users", "test is empty: 3 users"]),
    ],
)
def test_empty_splits_are_told(way, texts, warnings):
    made = make_splits(writing(texts=texts), way=way)
    found = made.warnings()
    assert len(found) == len(warnings)
    for sentence, start in zip(found, warnings, strict=True):
        assert sentence.startswith(start)


@pytest.mark.parametrize("given", [{"texts": 1}, {"words": 19}])
def test_too_little_writing_is_told(given):
    with pytest.raises(InputError, match="two texts, .* 20 words or more"):
        make_splits(writing(**given))


def test_the_command_shows_what_it_made(tmp_path, capsys):
    for number in range(1, 4):
        text = f"{number} " + "word " * 30
        (tmp_path / f"2020-01-0{number}.txt").write_text(text)
    (tmp_path / "x.png").write_text("")
    out = tmp_path / "out"
    assert cli.main(["data", "make", str(tmp_path), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert ["train", "1", "1", "31.0", "1.0"] in map(
        str.split, shown.out.splitlines()
    )
    assert "1 left out: files of another kind (.png)." in shown.out
    assert f"Wrote {out}/own_train.jsonl" in shown.out
    assert "warning: test is empty: 3 texts" in shown.err
    assert cli.main(["data", "make", str(tmp_path), "--out", str(out)]) == 2
    with pytest.raises(SystemExit):
        cli.main(["data", "make", "x", "--out", "y", "--columns", "a=b"])
    assert "must be text, title, user or date" in capsys.readouterr().err


def test_writing_for_one_of_several_people_says_who(tmp_path, capsys):
    path = tmp_path / "chat.csv"
    path.write_text("user,text\nann,one\nbob,two\n")
    command = ["write", str(tmp_path), "x", "--documents", str(path)]
    assert cli.main(command) == 2
    assert "2 people: ann (1), bob (1). Say whose" in capsys.readouterr().err
    assert cli.main([*command, "--user", "bob"]) == 2
    # The documents are read; what is missing is the run.
    assert "holds no finished run" in capsys.readouterr().err


def test_files_are_found_below_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.tsv").write_text("user\ttext\nann\tone\n")
    made = make_splits(writing())
    write_examples(made.splits, "~/data")
    assert load_folder("~/data", "val") and load_documents("~/a.tsv")["ann"]
