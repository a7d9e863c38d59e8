"""Reading LongLaMP: megabytes a second and memory, and a malformed line.

    python -m benchmarks.loading --megabytes 1000

Writes JSONL in the columns of the topic task, tens of documents a row, and
goes through it as `load_longlamp` does, one row in memory. Then a file of
100,000 lines: once whole, once with its last line malformed, which is named
within the time of one pass. The last line is one JSON object.
"""

import json
import pathlib
import tempfile
import time

from benchmarks import common

LINES = 100_000


def row(number, texts, documents):
    """A user with some of the texts; those of two users differ."""
    profile = [
        {
            "author": f"user-{number}",
            "content": texts[(number * 7 + i) % len(texts)],
            "id": f"{number}-{i}",
            "summary": texts[(number + i) % len(texts)][:80],
        }
        for i in range(documents)
    ]
    return {
        "author": f"user-{number}",
        "input": f"Generate the content for a reddit post {number}",
        "output": texts[number % len(texts)],
        "profile": profile,
    }


def texts_of(count, words):
    """Distinct texts with quotes, lines and letters beyond ASCII."""
    import numpy as np

    rng = np.random.default_rng(0)
    pool = ["garden", "café", 'said "no"', "train\n", "river", "of", "the"]
    pool += [f"word{i}" for i in range(200)]
    return [" ".join(rng.choice(pool, words)) for _ in range(count)]


def write(path, texts, size):
    """Writes rows of 20 to 59 documents until the file has `size` bytes."""
    number = written = 0
    with open(path, "w", encoding="utf-8") as file:
        while written < size:
            values = row(number, texts, 20 + number % 40)
            line = json.dumps(values, ensure_ascii=False) + "\n"
            written += len(line.encode())
            file.write(line)
            number += 1
    return written


def read(path):
    """Seconds of one pass, and the message of what does not fit."""
    from keras_restpg.data import stream_longlamp
    from keras_restpg.errors import InputError

    start, message = time.perf_counter(), ""
    try:
        for _ in stream_longlamp("topic", "train", path):
            pass
    except InputError as error:
        message = str(error)
    return time.perf_counter() - start, message


def main():
    args = common.arguments(
        __doc__.splitlines()[0], backend="jax", megabytes=1000
    )
    texts = texts_of(500, 200)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "topic_train.jsonl"
        megabytes = write(path, texts, args.megabytes * 10**6) / 10**6
        base = common.peak_rss_mib()
        seconds, message = read(path)
        if message:
            raise SystemExit(message)
        peak = common.peak_rss_mib()
        line = json.dumps(row(0, texts, 1)) + "\n"
        path.write_text(line * LINES)
        one_pass, _ = read(path)
        path.write_text(line * (LINES - 1) + line[:-20] + "\n")
        malformed, message = read(path)
    common.report(
        "loading",
        args,
        seconds=round(seconds, 3),
        megabytes_per_second=round(megabytes / seconds, 1),
        peak_rss_mib=peak,
        base_rss_mib=base,
        one_pass_seconds=round(one_pass, 3),
        malformed_seconds=round(malformed, 3),
        message=message,
    )


if __name__ == "__main__":
    main()
