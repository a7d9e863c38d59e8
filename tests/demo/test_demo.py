"""The demo on a world so small that nothing is learned in it."""

import pytest

from keras_restpg.demo import demo
from keras_restpg.progress import Progress

SIZE = demo.Size(
    users=(24, 8, 8),
    texts=64,
    base_steps=4,
    judge_steps=4,
    steps=4,
    num_samples=2,
    iterations=1,
)


@pytest.mark.slow
def test_four_methods_are_run_and_told_of(tmp_path):
    out = tmp_path / "demo"
    found = demo.Demo(str(out), 5, SIZE, Progress(quiet=True), "llm")
    results = found.run()
    assert [r.method for r in found.shown()] == [
        "sft",
        "sft-reasoning",
        "rest-em",
        "rest-pg",
    ]
    text = found.summary()
    for part in ("right bullets", "below τ", "the user wrote", "gain"):
        assert part in text
    assert text.count("prompt: ") == 3
    # What was read is shown, best first.
    for example in found._cases():
        read = results[0].documents[example.id]
        lines = [f"  document: {document.text}\n" for document in read]
        assert f"prompt: {example.prompt}\n{''.join(lines)}  the user" in text
    assert "judge on held-out answers" in text
    page = (out / "report.html").read_text()
    assert "right bullets" in page and "Score" not in page[:100]
    # Run again, nothing is made anew.
    again = demo.Demo(str(out), 5, SIZE, Progress(quiet=True), "llm").run()
    for ours, theirs in zip(again, results, strict=True):
        assert ours.outputs == theirs.outputs
