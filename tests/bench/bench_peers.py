r"""What LULC-Former is worth: peers trained by the same course on the same chips, side by side.

    pip install -e '.[test,peers]'
    mapper train --simulated 200 --held-out 40 --chip-size 256 --steps 1 --variant micro \
        --out chips.safetensors
    python tests/bench/bench_peers.py --train chips.chips/training --on chips.chips/held-out \
        --steps 300 --batch 2 --json peers.json
    python tests/bench/bench_peers.py --train chips.chips/training --on chips.chips/held-out \
        --steps 0 --checkpoint tiny.safetensors

The peers are a U-Net of MONAI (its BasicUNet with batch norm, which unlike its instance norm keeps
how bright a place is) and the SegFormer-B0 of transformers, from scratch. They are given both
sensors as twelve channels, zeros where a sensor sees nothing. All networks see the same chips in
the same order with the same augmentation, loss, optimiser and moving average; none was tuned.

The single-pixel tree is gradient boosting of scikit-learn, on pixels of the same chips with the
same class weights. It is three trees, each trained on what it is shown: both sensors, optical
alone, radar alone, so that none spends itself on sensors that are missing.

A checkpoint is scored as it is, by its own normalisation and in windows of its own size: smaller
chips have void around them there, which costs it some accuracy, so give it chips of 512 px. All
scores are on the held-out chips; of the trees, which are slow, on some thousand pixels of each.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from mapper.dynamicworld.lesson import Lesson, chips_for, lesson_of, weights_of_classes
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.imagery.bands import OPTICAL_BANDS, RADAR_BANDS
from mapper.land.legend import CLASS_COUNT
from mapper.lulcformer.checkpoint import load, model_of
from mapper.lulcformer.chips import UNLABELLED, Batch, Chips
from mapper.lulcformer.events import Stepped
from mapper.lulcformer.model import VARIANTS, LulcFormer, Variant
from mapper.lulcformer.report import MEASURES
from mapper.lulcformer.scores import ALL_SEEN, Seen, confusion, only, score
from mapper.lulcformer.settings import PRECISIONS, TrainingSettings
from mapper.lulcformer.training import train

UNET_WIDTHS = (16, 32, 64, 128, 256, 16)
"""From full resolution down, and of the last layer: MONAI's own, halved where pixels are many."""
TREE_PIXELS_PER_CHIP = 400
"""What a tree learns from."""
TRIED_PIXELS_PER_CHIP = 8000
"""What a tree is tried on: 70 microseconds of CPU each."""
CHANNELS = len(OPTICAL_BANDS) + len(RADAR_BANDS)
CHANNELS_OF: dict[Seen, slice] = {
    "both": slice(None),
    "optical": slice(0, len(OPTICAL_BANDS)),
    "radar": slice(len(OPTICAL_BANDS), None),
}
"""The channels that are left when a sensor is taken away."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One competitor."""

    name: str
    parameters: int | None
    """None for the trees."""
    cpu_s: float | None
    """CPU seconds of training and scoring; None for what was trained elsewhere."""
    scores: Mapping[Seen, dict[str, float]]
    """By what is shown, by measure."""


class Peer(nn.Module):
    """Another network that is given both sensors as channels of one image."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self,
        optical: Tensor,
        radar: Tensor,
        optical_valid: Tensor | None = None,
        radar_valid: Tensor | None = None,
    ) -> Tensor:
        if optical_valid is not None:
            optical = optical.masked_fill(~optical_valid, 0)
        if radar_valid is not None:
            radar = radar.masked_fill(~radar_valid, 0)
        logits: Tensor = self.inner(torch.cat([optical, radar], dim=1))
        return logits.float()


def networks(variant: str) -> dict[str, Callable[[Variant], nn.Module]]:
    """By name, what makes each network; random weights are drawn when it is called."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # transformers would look for newer files of its own
    found: dict[str, Callable[[Variant], nn.Module]] = {f"LULC-Former {variant}": LulcFormer}
    try:
        from monai.networks.nets import BasicUNet
        from transformers import SegformerConfig, SegformerForSemanticSegmentation
    except ImportError as error:
        print(f"no U-Net and no SegFormer: {error}; pip install -e '.[peers]'")
        return found

    class Segformer(SegformerForSemanticSegmentation):
        """Logits of every pixel; its own are of every fourth."""

        def forward(self, pixels: Tensor) -> Tensor:
            logits: Tensor = super().forward(pixels).logits
            return F.interpolate(logits, pixels.shape[-2:], mode="bilinear", align_corners=False)

    b0 = SegformerConfig(num_channels=CHANNELS, num_labels=CLASS_COUNT)
    found["SegFormer-B0 (transformers)"] = lambda _: Peer(Segformer(b0))
    found["U-Net (MONAI)"] = lambda _: Peer(
        BasicUNet(2, CHANNELS, CLASS_COUNT, features=UNET_WIDTHS, norm="batch")
    )
    return found


def trained(
    name: str, make: Callable[[Variant], nn.Module], lesson: Lesson, settings: TrainingSettings
) -> Figures:
    """One network, trained and tried."""
    started = time.process_time()

    def tell(event: Any) -> None:
        if isinstance(event, Stepped) and event.step % 100 == 0:
            print(f"  {name}: step {event.step} of {event.of}, loss {event.loss:.3f}", flush=True)

    found = train(settings, lesson.training, lesson.validation, tell, network=make)
    parameters = sum(p.numel() for p in make(settings.variant).parameters())
    seconds = time.process_time() - started
    return Figures(name, parameters, seconds, {s: measured(found.confusions[s]) for s in ALL_SEEN})


def measured(matrix: Tensor) -> dict[str, float]:
    return {name: measure(matrix) for name, measure in MEASURES.items()}


def known(path: Path, on: Path, settings: TrainingSettings) -> Figures:
    """A trained checkpoint on the held-out chips, which it must not have learned from."""
    checkpoint = load(path)
    model = model_of(checkpoint).to(settings.device)
    chips, precision = chips_for(checkpoint, on), PRECISIONS[settings.precision]
    scores = {
        s: measured(score(model, chips, CLASS_COUNT, seen=s, precision=precision)) for s in ALL_SEEN
    }
    parameters = sum(p.numel() for p in model.parameters())
    return Figures(f"{path.name}, as it is", parameters, None, scores)


def trees(lesson: Lesson, settings: TrainingSettings) -> Figures:
    """Gradient boosting on single pixels: what context and a network add to."""
    started = time.process_time()
    assert settings.class_weights is not None
    weights = np.array(settings.class_weights)
    random = np.random.default_rng(settings.seed)
    sampled = samples(lesson.training, random)
    scores = {}
    for seen, (features, truth) in sampled.items():
        model = HistGradientBoostingClassifier(max_iter=200, random_state=settings.seed)
        model.fit(features, truth, sample_weight=weights[truth])
        scores[seen] = measured(tried(model, lesson.validation, seen, random))
    return Figures("single-pixel trees", None, time.process_time() - started, scores)


Pixels = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""(pixel, channel) float32 features, NaN where a sensor saw nothing, and (pixel,) classes."""


def samples(chips: Chips, random: np.random.Generator) -> dict[Seen, Pixels]:
    """By what is shown, some labelled pixels of every chip; the same number of each."""
    parts: dict[Seen, list[Pixels]] = {seen: [] for seen in ALL_SEEN}
    for place in range(len(chips)):
        batch = chips.take(torch.tensor([place]))
        for seen, found in parts.items():
            found.append(sample(batch, seen, TREE_PIXELS_PER_CHIP, random))
    return {
        seen: (np.concatenate([f for f, _ in found]), np.concatenate([t for _, t in found]))
        for seen, found in parts.items()
    }


def sample(batch: Batch, seen: Seen, pixels: int, random: np.random.Generator) -> Pixels:
    """Some of the labelled pixels that a shown sensor sees; all if there are no more."""
    shown = only(batch, seen)
    optical = shown.optical.masked_fill(~shown.optical_valid, torch.nan)
    radar = shown.radar.masked_fill(~shown.radar_valid, torch.nan)
    channels = torch.cat([optical, radar], dim=1)[:, CHANNELS_OF[seen]].permute(0, 2, 3, 1)
    kept = shown.label != UNLABELLED
    features, label = channels[kept].numpy(), shown.label[kept].numpy()
    places = random.choice(len(label), min(pixels, len(label)), replace=False)
    return features[places], label[places]


def tried(
    model: HistGradientBoostingClassifier, chips: Chips, seen: Seen, random: np.random.Generator
) -> Tensor:
    """A tree's confusion matrix on some pixels of every chip."""
    total = torch.zeros(CLASS_COUNT, CLASS_COUNT, dtype=torch.int64)
    for place in range(len(chips)):
        batch = chips.take(torch.tensor([place]))
        features, label = sample(batch, seen, TRIED_PIXELS_PER_CHIP, random)
        if len(label):
            answer = torch.from_numpy(model.predict(features))
            total += confusion(torch.from_numpy(label), answer, CLASS_COUNT)
    return total


def table(found: list[Figures]) -> str:
    """The figures as Markdown: overall and balanced accuracy and mean IoU by what is shown."""
    shown = ("overall accuracy", "balanced accuracy", "mean IoU")
    header = [f"{name}, {seen}" for name in shown for seen in ALL_SEEN]
    rows = [["network", "parameters", "CPU s", *header], ["---"] * (3 + len(header))]
    for one in found:
        numbers = [f"{one.scores[seen][name]:.3f}" for name in shown for seen in ALL_SEEN]
        size = "" if one.parameters is None else f"{one.parameters:,}"
        seconds = "" if one.cpu_s is None else f"{one.cpu_s:.0f}"
        rows.append([one.name, size, seconds, *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="folder of chips")
    parser.add_argument("--on", type=Path, required=True, help="folder of held-out chips")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="to score too")
    parser.add_argument("--variant", default="tiny", choices=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=300, help="0 trains no network")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--class-balance", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    return parser.parse_args()


def main() -> None:
    """Train all, print the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    lesson = lesson_of(given.train, given.on)
    recipe = TrainingRecipe(
        variant=given.variant,
        steps=max(given.steps, 1),
        validate_every=max(given.steps, 1),
        batch=given.batch,
        learning_rate=given.learning_rate,
        seed=given.seed,
        precision=given.precision,
    )
    settings = recipe.settings(given.device, weights_of_classes(lesson, given.class_balance))
    makers = networks(given.variant) if given.steps else {}
    rows = [partial(trained, name, make, lesson, settings) for name, make in makers.items()]
    rows.append(partial(trees, lesson, settings))
    rows += [partial(known, path, given.on, settings) for path in given.checkpoint]
    what = "simulated" if lesson.simulated else "real"
    print(
        f"{len(lesson.training)} training and {len(lesson.validation)} held-out chips of "
        f"{lesson.window_px} px ({what}), {given.steps} steps of {given.batch}, learning rate "
        f"{given.learning_rate:g}, class balance {given.class_balance:g}, seed {given.seed}"
    )
    found: list[Figures] = []
    for row in rows:
        found.append(row())
        print(f"\n{table(found)}\n", flush=True)
        if given.json:
            settled = {key: str(value) for key, value in vars(given).items()}
            figures = {"settings": settled, "found": [asdict(one) for one in found]}
            given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
