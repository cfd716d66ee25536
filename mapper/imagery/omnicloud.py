"""OmniCloudMask as a judge of clouds: an extra, with weights from a local folder.

Source: Wright et al., "Training sensor-agnostic deep learning models for remote sensing: Achieving
state-of-the-art cloud and cloud shadow identification with OmniCloudMask" (Remote Sensing of
Environment 322, 2025). It looks at red, green and near infrared at 10 to 50 m.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.errors import RequestError
from mapper.imagery.clouds import SCL_CIRRUS, SCL_CLEAR, SCL_CLOUD, SCL_SHADOW, CloudMask
from mapper.imagery.resample import Digits

SCL_MASK, OMNICLOUDMASK = "scl", "omnicloudmask"
CLOUD_MASKS = (SCL_MASK, OMNICLOUDMASK)
"""What a recipe's `cloud_mask` may be."""
NO_WEIGHTS = "none"
_WEIGHTS = "PM_model_OCM_*.safetensors"
"""How the package names the weights of its current models."""
_MODEL_VERSION = 4.0
_MARGIN_PX = 128
"""Ground around a block that gives the network context."""
_CLASSES = np.array([SCL_CLEAR, SCL_CLOUD, SCL_CIRRUS, SCL_SHADOW], np.uint8)
"""Of its answers: clear, thick cloud, thin cloud, cloud shadow."""


@dataclass(frozen=True, slots=True)
class OmniCloudMask:
    """The judge, with its weights in a folder; nothing is downloaded."""

    folder: str
    """Absolute path of the folder with the weights."""
    name: str = OMNICLOUDMASK
    bands: tuple[str, ...] = ("B04", "B03", "B8A")
    margin_px: int = _MARGIN_PX

    def __call__(self, pixels: Digits) -> npt.NDArray[np.uint8]:
        """See `CloudMask`."""
        side = min(1000, *pixels.shape[1:])
        answer = _predict()(
            pixels,
            patch_size=side,
            patch_overlap=side * 3 // 10,
            no_data_value=0,
            inference_device="cpu",
            destination_model_dir=self.folder,
            model_version=_MODEL_VERSION,
        )
        return _CLASSES[np.asarray(answer[0], np.intp)]


@lru_cache(maxsize=4)
def cloud_mask_of(name: str, weights: str) -> CloudMask | None:
    """The judge that a recipe names; None for the classification that comes with each scene.

    Raises:
        RequestError: it is not installed, or its weights are not there.
    """
    if name == SCL_MASK:
        return None
    if importlib.util.find_spec("omnicloudmask") is None:
        raise RequestError(
            "cloud_mask is omnicloudmask, which is not installed; in a clone of mapper:"
            " pip install -e '.[clouds]'"
        )
    folder = Path(weights).expanduser().resolve()
    if weights == NO_WEIGHTS or len(list(folder.glob(_WEIGHTS))) < 2:
        raise RequestError(
            f"cloud_weights is {weights}, which has no two files {_WEIGHTS}; download those of"
            " OmniCloudMask 4.0 to a folder and name it"
        )
    return OmniCloudMask(str(folder))


@lru_cache(maxsize=4)
def weights_digest(weights: str) -> str:
    """SHA-256 over the weights in a folder, for what a product is known by."""
    digest = hashlib.sha256()
    for path in sorted(Path(weights).expanduser().glob(_WEIGHTS)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _predict() -> Any:
    """The package's function, imported late: it is an extra, and takes seconds to load."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # weights are local, or an error
    return importlib.import_module("omnicloudmask").predict_from_array
