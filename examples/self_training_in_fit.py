"""REST-PG in a plain `model.fit`, on a small Gemma made here.

    python examples/self_training_in_fit.py [FOLDER]

With weights at hand, take a preset in place of `make_gemma`, your own
examples in place of the world's, and an `LLMJudge` as the reward.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras  # noqa: E402

import keras_restpg as restpg  # noqa: E402
from keras_restpg.demo.world import World  # noqa: E402
from keras_restpg.demo.world.tokenizer import tokenizer_proto  # noqa: E402
from keras_restpg.model.scratch import make_gemma  # noqa: E402
from keras_restpg.run.recipe import Model  # noqa: E402

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/in-fit"
settings = restpg.Settings(
    iterations=1,
    num_samples=4,
    max_prompt_tokens=160,
    max_new_tokens=48,
    tau=0.1,
    steps=20,
    batch_size=32,
    validate_every=10,
)
world = World(seed=1, users=(64, 16, 16))
examples = world.examples("train")
templates = [restpg.prompts.REASONING_PROMPT, restpg.prompts.REASONING_OUTPUT]
size = Model(hidden_dim=32, intermediate_dim=64, head_dim=8)
causal_lm = make_gemma(tokenizer_proto(templates), size, seed=1)

model = restpg.RewardWeightedLM(causal_lm)
model.compile(optimizer=keras.optimizers.Adam(3e-3, global_clipnorm=1.0))
with restpg.RunDirectory(folder).open() as run:
    training = restpg.SelfTrainingCallback(
        examples,
        reward=world.reward,
        validation=world.examples("validation"),
        teacher=[world.teacher(example) for example in examples],
        settings=settings,
        run=run,
    )
    training.set_model(model)
    model.fit(
        training.stream(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        initial_epoch=training.initial_epoch,
        callbacks=[training],
        shuffle=False,
        verbose=0,
    )
writer = restpg.PersonalizedWriter(
    causal_lm, max_prompt_tokens=160, max_new_tokens=48
)
test = world.examples("test")[0]
print(writer.write(test.prompt, test.documents).text)
