"""What the README says of model families: each teaches, judges and samples."""

import pathlib
import re

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg import backend
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.reasoning import EngineGenerate, Teacher
from keras_restpg.rewards import LLMJudge
from tests.model import families, gemmas
from tests.rewards.records import example

pytestmark = pytest.mark.backend

README = pathlib.Path(__file__).parent.parent / "README.md"
SAMPLING = Sampling(2, temperature=0.0)
NEW = 4
# Of padded texts.
LENGTH = 704


@pytest.fixture(scope="module", params=families.FAMILIES)
def causal_lm(request):
    made = families.FAMILIES[request.param]()
    for variable in made.backbone.trainable_variables:
        # Larger than at the start of a training: words differ enough.
        if "embedding" in variable.path:
            variable.assign(variable * 4.0)
    return made


def is_gemma3n(causal_lm):
    return isinstance(causal_lm, keras_hub.models.Gemma3nCausalLM)


@pytest.fixture(scope="module")
def log_probs(causal_lm):
    """The model's own, (tokens, vocabulary) of what follows each token."""

    def run(token_ids, mask, places):
        given = {
            "token_ids": token_ids,
            "padding_mask": mask,
            "position_ids": places,
        }
        inputs = {name: given[name] for name in causal_lm.input}
        if is_gemma3n(causal_lm):
            # Its own logits are of the embedding that it was built with.
            hidden = causal_lm.backbone(inputs, training=False)
            head = causal_lm.backbone.language_model.token_embedding
            logits = head(hidden, reverse=True)
        else:
            logits = causal_lm(inputs, training=False)
        return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)

    run = backend.compiled(run, causal_lm.variables)

    def table(token_ids):
        places = np.arange(LENGTH, dtype="int32")[None]
        mask = (places < len(token_ids)).astype("int32")
        ids = np.zeros_like(places)
        ids[0, : len(token_ids)] = token_ids
        found = run(*map(ops.convert_to_tensor, (ids, mask, places)))
        return ops.convert_to_numpy(found)[0, : len(token_ids)]

    return table


def test_samples_are_the_models_own(causal_lm, log_probs):
    with pytest.warns(UserWarning, match="is no Gemma 1, 2 or 3"):
        engine = SamplingEngine(causal_lm, 64, NEW)
    texts = ["the old garden", "a letter from the quiet river"]
    prompts = [engine.codec.encode_prompt(text) for text in texts]
    assert len(prompts[0]) < len(prompts[1])
    samples = engine.sample(prompts, SAMPLING)
    for prompt, rows in zip(prompts, samples, strict=True):
        assert rows[0].token_ids == rows[1].token_ids
        written = list(rows[0].token_ids)
        table = log_probs(prompt + written)[len(prompt) - 1 : -1]
        assert table.argmax(axis=-1).tolist() == written
        assert rows[0].finished or len(written) == NEW
        assert rows[0].log_prob == pytest.approx(
            table.max(axis=-1).sum(), abs=1e-3
        )
    # The same compiled program writes a teacher's reasoning.
    teacher = Teacher(EngineGenerate(engine, SAMPLING, chat_template=False))
    found = teacher.generate(texts, 1, ["e", "f"])
    expected = [[row[0].text] for row in engine.sample(prompts, SAMPLING)]
    assert found == expected


def test_judgements_are_the_models_own(causal_lm, log_probs):
    if is_gemma3n(causal_lm):
        with pytest.raises(ValueError, match="Gemma 3n can teach and sample"):
            LLMJudge(causal_lm)
        return
    judge = LLMJudge(causal_lm, max_tokens=32)
    asked = example(prompt="Write it", expected="the old garden")
    (found,) = judge.judge([asked], ["a letter"])
    prompt, criteria = judge.prompt, judge.prompt.criteria
    fields = prompt.fields(asked.prompt, asked.expected)
    tokens = [*prompt.tokens(*fields, "a letter"), *criteria.chain]
    table = log_probs(tokens)[-len(criteria.chain) - 1 :]
    expected = criteria.log_probs(table[None][..., list(criteria.wanted)])
    np.testing.assert_allclose(
        found.probabilities, np.exp(expected[0]), rtol=1e-3
    )


def test_the_readme_names_these_families():
    text = README.read_text(encoding="utf-8")
    (named,) = re.findall(r"teach, judge and sample: ([^.]*)\.", text)
    listed = [name.strip() for name in re.split(r",\s|\sand\s", named)]
    assert [*listed, "Gemma 3n"] == list(families.FAMILIES)
    assert "Gemma 3n teaches and samples" in " ".join(text.split())
    (trained,) = re.findall(r"Gemma (.*) train", text)
    kinds = {name[len("gemma")] for name in gemmas.KINDS}
    assert re.findall(r"\d", trained) == sorted(kinds)
