"""The model that a backend's `StepsMixin` is mixed into, for type checkers."""

import keras

from keras_restpg._types import Batch, Logs, Tensor


class Weighted(keras.Model):
    """What the steps need of `training.model.RewardWeightedLM`; see there.

    That room is above this one, so this declares it and is never loaded.
    """

    @property
    def optimizer_skips(self) -> bool: ...

    def draw(self, data: Batch | tuple[Batch, ...]) -> dict[str, Tensor]: ...

    def token_weights(self, batch: Batch) -> Tensor: ...

    def micro_loss(
        self, micro: Batch, weights: Tensor
    ) -> tuple[Tensor, Tensor]: ...

    def loss_scale(self) -> Tensor: ...

    def check(
        self, loss: Tensor, gradients: list[Tensor], scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]: ...

    def marked(
        self, gradients: list[Tensor], finite: Tensor
    ) -> list[Tensor]: ...

    def track(
        self,
        batch: Batch,
        loss: Tensor,
        nll: Tensor,
        norm: Tensor | None = None,
        finite: Tensor | None = None,
    ) -> Logs: ...
