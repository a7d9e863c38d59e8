"""Dense retrieval for many users: ours against the benchmark's way.

    python -m benchmarks.retrieval --backend jax --queries 500 \
        --documents 25000 --k 5

LongLaMP's own code embeds each user's documents when their query comes, four
at a time, and keeps nothing. Here each distinct text is embedded once, in
batches of like lengths, and kept on disk. The last line is one JSON object;
the run fails where the two ways find other documents.
"""

import tempfile
import time

from benchmarks import common


def examples_of(args):
    """Users whose documents have 20 to 150 words, a tenth of them shared."""
    import numpy as np

    from keras_restpg.records import Document, Example

    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("an", "el", "or")]

    def text(low, high):
        return " ".join(rng.choice(words, rng.integers(low, high)))

    each = args.documents // args.queries
    shared = [text(20, 150) for _ in range(each)]
    return [
        Example(
            str(number),
            "t",
            str(number),
            text(8, 16),
            "y",
            tuple(
                Document(shared[i] if i % 10 == 0 else text(20, 150))
                for i in range(each)
            ),
        )
        for number in range(args.queries)
    ]


def embedder(folder):
    """A small BERT with random weights: 2 layers of width 128."""
    import string

    import keras
    import keras_hub

    from keras_restpg.retrieval.contriever import MeanEmbedder

    letters = [*string.ascii_lowercase]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    path = f"{folder}/vocab.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(pieces))
    keras.utils.set_random_seed(0)
    bert = keras_hub.models.BertBackbone(
        vocabulary_size=len(pieces),
        num_layers=2,
        num_heads=2,
        hidden_dim=128,
        intermediate_dim=512,
    )
    return MeanEmbedder(bert, path)


def benchmarks_way(embed, examples, k):
    """Per query, four documents at a time, nothing kept."""
    import numpy as np

    found = []
    for example in examples:
        texts = [document.text for document in example.documents]
        parts = [texts[i : i + 4] for i in range(0, len(texts), 4)]
        vectors = np.concatenate([embed(part) for part in parts])
        scores = vectors @ embed([example.prompt])[0]
        found.append(np.argsort(-scores, kind="stable")[:k].tolist())
    return found


def main():
    args = common.arguments(
        __doc__.splitlines()[0],
        backend="jax",
        queries=500,
        documents=25_000,
        k=5,
    )
    from keras_restpg.retrieval.dense import DenseRetriever

    examples = examples_of(args)
    with tempfile.TemporaryDirectory() as folder:
        embed = embedder(folder)

        def ours():
            retriever = DenseRetriever(embed, "bench", folder)
            start = time.perf_counter()
            found = retriever.retrieve(examples, args.k)
            return found, time.perf_counter() - start

        four = FourRows(embed)
        # Compile before the clock starts, both ways.
        texts = [d.text for e in examples[:20] for d in e.documents]
        embed(texts)
        benchmarks_way(four, examples[:3], args.k)
        found, seconds = ours()
        again, cached = ours()
        start = time.perf_counter()
        expected = benchmarks_way(four, examples, args.k)
        baseline = time.perf_counter() - start
    for example, ours_, kept, theirs in zip(
        examples, found, again, expected, strict=True
    ):
        if ours_ != kept or ours_ != tuple(
            example.documents[i] for i in theirs
        ):
            raise SystemExit(f"Other documents for query {example.id}.")
    common.report(
        "retrieval",
        args,
        seconds=round(seconds, 3),
        cached_seconds=round(cached, 3),
        baseline_seconds=round(baseline, 3),
        speedup=round(baseline / seconds, 1),
        cached_speedup=round(baseline / cached, 1),
        peak_rss_mib=common.peak_rss_mib(),
    )


class FourRows:
    """The embedder with batches of four rows."""

    def __init__(self, embed):
        self.embed = embed

    def __call__(self, texts):
        self.embed.rows = 4
        try:
            return self.embed(texts)
        finally:
            self.embed.rows = None


if __name__ == "__main__":
    main()
