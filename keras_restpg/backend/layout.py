"""How a Gemma's weights lie on several devices (JAX).

KerasHub's layout map names dimensions by a weight's path alone and fails
where one does not divide: the single key-value head of a 2B Gemma, a
vocabulary of odd size. Here a dimension is divided only where it can be.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras

# Which dimension of a weight each dimension of the mesh divides.
_LAYOUTS = (
    (r"token_embedding/(reverse_)?embeddings", ("model", "data")),
    (r"attention/(query|key|value)/kernel", ("model", "data", None)),
    (r"attention/attention_output/kernel", ("model", None, "data")),
    (r"ffw_gating(_2)?/kernel", ("data", "model")),
    (r"ffw_linear/kernel", ("model", "data")),
)


class GemmaParallel(keras.distribution.ModelParallel):
    """Prompts and weights of a Gemma 1, 2 or 3 divided among devices.

    Prompts, and with `shard_over_data` weights too ("fully sharded"), are
    divided along the mesh's `data` dimension; heads, feed-forward width and
    vocabulary along `model`. A dimension that does not divide stays whole.
    With `model=1` and no `shard_over_data` it is data parallelism. Losses,
    gradients and samples are those of one device, up to rounding.

    Set it before a model is made: `keras.distribution.set_distribution`.

    Args:
        data: devices along `data`; by default all that `model` leaves.
        model: devices along `model`.
        shard_over_data: whether weights are divided along `data` as well.
        devices: their names; by default all.

    Raises:
        ValueError: the devices are not `data` times `model`.
    """

    def __init__(
        self,
        data: int | None = None,
        model: int = 1,
        shard_over_data: bool = True,
        devices: Sequence[str] | None = None,
    ) -> None:
        devices = list(devices or keras.distribution.list_devices())
        data = len(devices) // model if data is None else data
        if data * model != len(devices):
            raise ValueError(
                "There must be as many devices as the mesh has places. "
                f"Received: {len(devices)} devices, data={data}, model={model}"
            )
        mesh = keras.distribution.DeviceMesh(
            (data, model), ("data", "model"), devices
        )
        super().__init__(
            layout_map=keras.distribution.LayoutMap(mesh),
            batch_dim_name="data",
        )
        self.shard_over_data = shard_over_data

    def get_variable_layout(self, variable: Any) -> Any:
        """The `keras.distribution.TensorLayout` of a variable."""
        axes: list[str | None] = [None] * len(variable.shape)
        for pattern, names in _LAYOUTS:
            if re.search(pattern, variable.path) and len(names) == len(axes):
                axes = [
                    name if self._divides(name, size) else None
                    for name, size in zip(names, variable.shape, strict=True)
                ]
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def _divides(self, name, size):
        if name is None or (name == "data" and not self.shard_over_data):
            return False
        mesh = self.device_mesh
        return size % mesh.shape[mesh.axis_names.index(name)] == 0
