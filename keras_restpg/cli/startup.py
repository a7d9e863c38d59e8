"""What has to be in the environment before Keras is imported."""

import os

from keras_restpg.errors import InputError

BACKENDS = ("jax", "tensorflow", "torch")


def prepare() -> None:
    """Chooses the backend, and quiets TensorFlow.

    JAX unless `KERAS_BACKEND` names another. `~/.keras/keras.json` is not
    asked: Keras itself writes it, with "tensorflow", when it is first imported
    on a machine, so it says nothing of what anyone chose.

    Raises:
        InputError: `KERAS_BACKEND` names a backend that there isn't.
    """
    backend = os.environ.get("KERAS_BACKEND") or "jax"
    if backend not in BACKENDS:
        raise InputError(
            f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}. Received: "
            f"{backend!r}"
        )
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if backend != "tensorflow":
        # KerasHub loads TensorFlow for its tokenizers, which have no use for
        # oneDNN: without it the notices about it go. Where TensorFlow computes
        # the model it stays, since it changes results and speed.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
