"""What an image processor returns: named values with attribute access that move to a device together."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from samovar.errors import ImageError, InputError
from samovar.extras import require

FORMATS = (None, "pt", "np")


class BatchFeature(dict[str, Any]):
    """A mapping whose keys are also attributes: `batch.pixel_values` is `batch["pixel_values"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it holds {', '.join(self)}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move every tensor, as `torch.Tensor.to` would; a `dtype` changes floating-point tensors only."""
        torch = require("torch", feature="Moving a batch to a device")
        whole = [argument for argument in args if not isinstance(argument, torch.dtype)]
        rest = {name: value for name, value in kwargs.items() if name != "dtype"}
        for name, value in self.items():
            if isinstance(value, torch.Tensor):
                if value.is_floating_point():
                    self[name] = value.to(*args, **kwargs)
                elif whole or rest:
                    self[name] = value.to(*whole, **rest)
        return self


def stacked(images: list[np.ndarray], whole: np.ndarray | None, tensors: str | None) -> Any:
    """`images`, each (channels, height, width), in the format that `return_tensors` names.

    `None` gives the list, `"np"` an array and `"pt"` a tensor (batch, channels, height, width). `whole` is the array
    that all of them are views of, where there is one: it is handed over without a copy.
    """
    if tensors is None:
        return images
    if whole is None:
        shapes = " and ".join(str(shape) for shape in dict.fromkeys(image.shape for image in images))
        raise ImageError(
            f"Images of different shapes do not form one {tensors!r} batch: {shapes}.",
            "Pass do_center_crop=True with a crop_size, a size with height and width, do_pad=True, or one at a time.",
        )
    return require("torch", feature='return_tensors="pt"').from_numpy(whole) if tensors == "pt" else whole


def checked_format(tensors: Any) -> str | None:
    """`return_tensors` as `None`, `"pt"` or `"np"`."""
    tensors = getattr(tensors, "value", tensors)  # An enumeration's member counts as its value.
    if tensors not in FORMATS:
        raise InputError(f"return_tensors = {tensors!r} is unknown.", 'Use "pt" (torch), "np" (NumPy) or None (list).')
    return tensors
