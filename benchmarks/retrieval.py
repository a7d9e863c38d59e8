"""Dense retrieval for many users: ours against the benchmark's way.

    python -m benchmarks.retrieval --backend jax --queries 500 \
        --documents 25000 --k 5 --longest 150 --embedder keras-hub \
        --baseline-queries 20

LongLaMP's own code embeds each user's documents when their query comes, four
at a time, and keeps nothing. Here each distinct text is embedded once, in
batches of like lengths, and kept on disk. The embedder is a small BERT of 2
layers of width 128. In the benchmark's way it is called

- with `keras-hub` by KerasHub's own `encode_text`, half a second a call;
- with `keras-hub-batches` by `predict_on_batch`, which prepares no data set;
- with `contriever` by transformers in PyTorch, as in LongLaMP's code.

The benchmark's way is timed on the first `baseline-queries`, all of them cost
as much, and `baseline_seconds` is for all queries. The last line is one JSON
object; the run fails where the two ways find other documents.
"""

import functools
import tempfile
import time

from benchmarks import common


def vocabulary():
    """Words as frequent ones are, whole, and letters for the others."""
    words = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("an", "el", "or")]
    letters = [chr(97 + i) for i in range(26)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    return [*pieces, *(f"##{letter}" for letter in letters), *words], words


def examples_of(args):
    """Users whose documents have 20 to `longest` words; they share a tenth.

    One word in six is none of the vocabulary's and has three tokens, which
    makes 1.3 tokens a word, as English has in Contriever's vocabulary.
    """
    import numpy as np

    from keras_restpg.records import Document, Example

    rng = np.random.default_rng(0)
    _, words = vocabulary()
    words = [*words * 5, *(word[::-1] for word in words)]

    def text(low, high):
        return " ".join(rng.choice(words, rng.integers(low, high)))

    each = args.documents // args.queries
    shared = [text(20, args.longest) for _ in range(each)]
    return [
        Example(
            str(number),
            "t",
            str(number),
            text(8, 16),
            "y",
            tuple(
                Document(shared[i] if i % 10 == 0 else text(20, args.longest))
                for i in range(each)
            ),
        )
        for number in range(args.queries)
    ]


def contriever(folder):
    """A Contriever with random weights: ours, and transformers' way."""
    import torch
    import transformers

    from keras_restpg.retrieval.contriever import Contriever, convert

    pieces, _ = vocabulary()
    with open(f"{folder}/vocab.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(pieces))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast(vocab=f"{folder}/vocab.txt")

    def embed(texts):
        inputs = tokenizer(
            texts, padding=True, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        return ((hidden * mask).sum(1) / mask.sum(1)).numpy()

    convert(folder, f"{folder}/preset")
    return lambda: Contriever.from_preset(f"{folder}/preset", folder), embed


def keras_hub_embedder(folder, own_way="encode_text"):
    """A text embedder with random weights: ours, and its own way."""
    import keras
    import keras_hub

    from keras_restpg.retrieval.dense import DenseRetriever

    pieces, _ = vocabulary()
    keras.utils.set_random_seed(0)
    bert = keras_hub.models.BertBackbone(
        vocabulary_size=len(pieces),
        num_layers=2,
        num_heads=2,
        hidden_dim=128,
        intermediate_dim=512,
    )
    tokenizer = keras_hub.models.BertTokenizer(pieces, lowercase=True)
    embedder = keras_hub.models.BertTextEmbedder(
        bert, keras_hub.models.BertTextEmbedderPreprocessor(tokenizer)
    )
    embedder.save_to_preset(f"{folder}/preset")

    def retriever():
        return DenseRetriever.from_preset(f"{folder}/preset", folder)

    return retriever, getattr(embedder, own_way)


EMBEDDERS = {
    "contriever": contriever,
    "keras-hub": keras_hub_embedder,
    "keras-hub-batches": functools.partial(
        keras_hub_embedder, own_way="predict_on_batch"
    ),
}


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
        longest=150,
        embedder="keras-hub",
        baseline_queries=20,
    )
    examples = examples_of(args)
    with tempfile.TemporaryDirectory() as folder:
        make, embed = EMBEDDERS[args.embedder](folder)

        def ours(retriever):
            start = time.perf_counter()
            found = retriever.retrieve(examples, args.k)
            return found, time.perf_counter() - start

        retriever = make()
        # Compile before the clock starts, both ways.
        retriever.embed([d.text for e in examples[:40] for d in e.documents])
        retriever.embed([e.prompt for e in examples])
        benchmarks_way(embed, examples[:1], args.k)
        found, seconds = ours(retriever)
        again, cached_seconds = ours(make())
        start = time.perf_counter()
        timed = examples[: args.baseline_queries]
        expected = benchmarks_way(embed, timed, args.k)
        baseline = (time.perf_counter() - start) * len(examples) / len(timed)
    if found != again:
        raise SystemExit("Kept vectors find other documents.")
    for example, first, theirs in zip(timed, found, expected, strict=False):
        best = tuple(example.documents[i] for i in theirs)
        if first != best:
            raise SystemExit(f"Other documents for query {example.id}.")
    common.report(
        "retrieval",
        args,
        seconds=round(seconds, 3),
        cached_seconds=round(cached_seconds, 3),
        baseline_seconds=round(baseline, 3),
        speedup=round(baseline / seconds, 1),
        cached_speedup=round(baseline / cached_seconds, 1),
        peak_rss_mib=common.peak_rss_mib(),
    )


if __name__ == "__main__":
    main()
