r"""What LULC-Former is worth: peers trained by the same course on the same chips, side by side.

    mapper train --simulated 1200 --held-out 60 --chip-size 256 --steps 1 --variant micro \
        --out chips.safetensors
    python tests/bench/bench_peers.py --train chips.chips/training --on "chips.chips/held out" \
        --steps 800 --batch 4 --json peers.json

The peers: a U-Net and a SegFormer of segmentation-models-pytorch, from scratch, which are given
both sensors as twelve channels (zeros where a sensor sees nothing), and a gradient-boosted tree of
scikit-learn on single pixels. All see the same chips in the same order with the same augmentation,
loss, optimiser and moving average; the tree sees pixels of the same chips, some of them without a
sensor. Scores are on the held-out chips, with both sensors and with each taken away.

The U-Net and the SegFormer need `pip install segmentation-models-pytorch`; without it they are left
out, and it is said.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from mapper.dynamicworld.lesson import Lesson, lesson_of, weights_of_classes
from mapper.land.legend import CLASS_COUNT
from mapper.lulcformer.augment import Augmentation
from mapper.lulcformer.chips import UNLABELLED, Batch
from mapper.lulcformer.model import VARIANTS, LulcFormer, Variant
from mapper.lulcformer.report import MEASURES
from mapper.lulcformer.scores import ALL_SEEN, Seen, confusion, only
from mapper.lulcformer.training import Stepped, TrainingSettings, train

TREE_PIXELS_PER_CHIP = 400
CHANNELS = 12


@dataclass(frozen=True, slots=True)
class Figures:
    """One competitor."""

    name: str
    parameters: int | None
    """None for the tree."""
    cpu_s: float
    """CPU seconds of training and validation."""
    scores: dict[str, dict[str, float]]
    """By what is shown, by measure."""


class Peer(LulcFormer):
    """Another network behind LULC-Former's face: both sensors as channels of one image."""

    def __init__(self, variant: Variant, inner: nn.Module) -> None:
        nn.Module.__init__(self)
        self.variant = variant
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


def networks(variant: str) -> dict[str, Callable[[Variant], LulcFormer]]:
    """By name, what makes each network; random weights are drawn when it is called."""
    found: dict[str, Callable[[Variant], LulcFormer]] = {f"LULC-Former {variant}": LulcFormer}
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        print(f"no U-Net and no SegFormer: {error}; pip install segmentation-models-pytorch")
        return found
    shape = {"encoder_weights": None, "in_channels": CHANNELS, "classes": CLASS_COUNT}
    found["U-Net, ResNet-18"] = lambda v: Peer(v, smp.Unet("resnet18", **shape))
    found["SegFormer, MiT-B0"] = lambda v: Peer(v, smp.Segformer("mit_b0", **shape))
    return found


def trained(
    name: str, make: Callable[[Variant], LulcFormer], lesson: Lesson, settings: TrainingSettings
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


def tree(lesson: Lesson, settings: TrainingSettings) -> Figures:
    """Gradient boosting on single pixels: what context and a network add to."""
    started = time.process_time()
    random = np.random.default_rng(settings.seed)
    pixels, labels = zip(
        *(
            sample(lesson.training.take(torch.tensor([place])), random)
            for place in range(len(lesson.training))
        ),
        strict=True,
    )
    features, truth = np.concatenate(pixels), np.concatenate(labels)
    how = settings.augmentation
    lost = random.random(len(features))
    features[lost < how.radar_dropout, -2:] = np.nan
    features[lost > 1 - how.optical_dropout, :-2] = np.nan
    assert settings.class_weights is not None
    model = HistGradientBoostingClassifier(max_iter=200, random_state=settings.seed)
    model.fit(features, truth, sample_weight=np.array(settings.class_weights)[truth])
    scores = {seen: measured(tried(model, lesson, seen)) for seen in ALL_SEEN}
    return Figures("single-pixel tree", None, time.process_time() - started, scores)


def values(batch: Batch) -> np.ndarray[Any, Any]:
    """(pixel, 12) float32, NaN where a sensor saw nothing."""
    optical = batch.optical.masked_fill(~batch.optical_valid, torch.nan)
    radar = batch.radar.masked_fill(~batch.radar_valid, torch.nan)
    stacked = torch.cat([optical, radar], dim=1).permute(0, 2, 3, 1)
    return stacked.reshape(-1, CHANNELS).numpy()


def sample(
    batch: Batch, random: np.random.Generator
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Some labelled pixels of a chip, and their classes."""
    label = batch.label.flatten().numpy()
    places = np.flatnonzero(label != UNLABELLED)
    places = random.choice(places, min(TREE_PIXELS_PER_CHIP, len(places)), replace=False)
    return values(batch)[places], label[places]


def tried(model: HistGradientBoostingClassifier, lesson: Lesson, seen: Seen) -> Tensor:
    """The tree's confusion matrix on all labelled held-out pixels that a shown sensor sees."""
    total = torch.zeros(CLASS_COUNT, CLASS_COUNT, dtype=torch.int64)
    for place in range(len(lesson.validation)):
        shown = only(lesson.validation.take(torch.tensor([place])), seen)
        label = shown.label.flatten()
        kept = label != UNLABELLED
        if kept.any():
            answer = torch.from_numpy(model.predict(values(shown)[kept.numpy()]))
            total += confusion(label[kept], answer, CLASS_COUNT)
    return total


def table(found: list[Figures]) -> str:
    """The figures as Markdown: overall and balanced accuracy and mean IoU by what is shown."""
    shown = ("overall accuracy", "balanced accuracy", "mean IoU")
    header = [f"{name}, {seen}" for name in shown for seen in ALL_SEEN]
    rows = [["network", "parameters", "CPU s", *header], ["---"] * (3 + len(header))]
    for one in found:
        numbers = [f"{one.scores[seen][name]:.3f}" for name in shown for seen in ALL_SEEN]
        size = "" if one.parameters is None else f"{one.parameters:,}"
        rows.append([one.name, size, f"{one.cpu_s:.0f}", *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Train all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="folder of chips")
    parser.add_argument("--on", type=Path, required=True, help="folder of held-out chips")
    parser.add_argument("--variant", default="tiny", choices=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--class-balance", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    lesson = lesson_of(given.train, given.on)
    if given.device != "cpu":
        lesson = replace(
            lesson,
            training=lesson.training.to(torch.device(given.device)),
            validation=lesson.validation.to(torch.device(given.device)),
        )
    settings = TrainingSettings(
        variant=replace(VARIANTS[given.variant], missing_token=True),
        steps=given.steps,
        batch=given.batch,
        learning_rate=given.learning_rate,
        warmup_steps=max(1, min(100, given.steps // 10)),
        average_decay=min(0.999, 1 - 12 / max(given.steps, 24)),
        class_weights=weights_of_classes(lesson, given.class_balance),
        augmentation=Augmentation(),
        validate_every=given.steps,
        seed=given.seed,
        device=given.device,
        precision=given.precision,
    )
    found = [
        trained(name, make, lesson, settings) for name, make in networks(given.variant).items()
    ]
    lesson = replace(
        lesson,
        training=lesson.training.to(torch.device("cpu")),
        validation=lesson.validation.to(torch.device("cpu")),
    )
    found.append(tree(lesson, settings))
    what = "simulated" if lesson.simulated else "real"
    print(
        f"{len(lesson.training)} training and {len(lesson.validation)} held-out chips of "
        f"{lesson.window_px} px ({what}), {given.steps} steps of {given.batch}, seed {given.seed}\n"
    )
    print(table(found))
    if given.json:
        rows = [
            {"name": f.name, "parameters": f.parameters, "cpu_s": f.cpu_s, "scores": f.scores}
            for f in found
        ]
        settled = {key: str(value) for key, value in vars(given).items()}
        given.json.write_text(json.dumps({"settings": settled, "found": rows}, indent=1))


if __name__ == "__main__":
    main()
