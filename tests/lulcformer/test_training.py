"""Training learns, repeats itself, survives a kill, and says when it cannot go on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mapper.errors import OutputError, RequestError
from mapper.lulcformer import training
from mapper.lulcformer.augment import NONE, Augmentation
from mapper.lulcformer.chance import draw
from mapper.lulcformer.chips import Some, TensorChips
from mapper.lulcformer.descent import decay_groups, learning_rate
from mapper.lulcformer.events import Event, Learned, Stepped, Validated
from mapper.lulcformer.model import MICRO, LulcFormer, Variant
from mapper.lulcformer.parallel import Processes
from mapper.lulcformer.scores import overall_accuracy
from mapper.lulcformer.settings import TrainingSettings
from mapper.lulcformer.state import read_state
from mapper.lulcformer.trainer import TrainedWeights, Trainer
from mapper.lulcformer.training import train

SETTINGS = TrainingSettings(
    variant=replace(MICRO, missing_token=True),
    steps=100,
    batch=4,
    learning_rate=2e-3,
    warmup_steps=10,
    average_decay=0.95,
    validate_every=100,
)


def fields(chips: int, seed: int, side: int = 64) -> TensorChips:
    """Square fields of four classes. Optical shows one bit of the class well and the other faintly,
    radar the other way round, both under noise; so context and both sensors are worth something."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 4, (chips, 1, side // 16, side // 16), generator=generator)
    label = F.interpolate(coarse.float(), (side, side))[:, 0].long()
    high, low = label // 2 * 2.0 - 1, label % 2 * 2.0 - 1
    optical = 0.7 * torch.randn(chips, 10, side, side, generator=generator)
    radar = 0.7 * torch.randn(chips, 2, side, side, generator=generator)
    optical[:, 0] += high
    optical[:, 1] += 0.3 * low
    radar[:, 0] += low
    radar[:, 1] += 0.3 * high
    valid = torch.ones(chips, 1, side, side, dtype=torch.bool)
    return TensorChips(optical, radar, valid, valid, label.to(torch.uint8))


@pytest.fixture(scope="module")
def chips() -> tuple[TensorChips, TensorChips]:
    return fields(64, seed=1), fields(8, seed=2)


@pytest.fixture(autouse=True)
def one_thread() -> object:
    """One thread, so that a sum is added up in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def accuracies(trained: TrainedWeights) -> dict[str, float]:
    return {seen: overall_accuracy(matrix) for seen, matrix in trained.confusions.items()}


def test_a_network_learns_and_dropout_lets_it_do_without_a_sensor(
    chips: tuple[TensorChips, TensorChips],
) -> None:
    events: list[Event] = []
    with_dropout = accuracies(train(SETTINGS, *chips, events.append))
    without = accuracies(train(replace(SETTINGS, augmentation=NONE), *chips))
    assert with_dropout["both"] > 0.88 and without["both"] > 0.88
    assert with_dropout["optical"] > 0.8 and with_dropout["radar"] > 0.8
    for sensor in ("optical", "radar"):
        assert without[sensor] < with_dropout[sensor] - 0.08
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert len(losses) == 10 and losses[0] > 1.2 and losses[-1] < 0.6
    assert [event.best for event in events if isinstance(event, Validated)] == [True]


SHORT = replace(SETTINGS, steps=6, validate_every=2, batch=2)


def test_one_seed_gives_the_same_weights_and_another_seed_others(
    chips: tuple[TensorChips, TensorChips],
) -> None:
    variant = replace(SHORT.variant, drop_path=0.2)
    first, again, other = (
        train(replace(SHORT, seed=seed, variant=variant), *chips) for seed in (1, 1, 2)
    )
    assert all(torch.equal(first.weights[n], t) for n, t in again.weights.items())
    assert not torch.equal(first.weights["head.pred.weight"], other.weights["head.pred.weight"])


def test_killed_and_resumed_gives_the_same_weights(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    whole = train(SHORT, *chips)

    class Killed(Exception):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, Validated) and event.step == 4:
            raise Killed

    with pytest.raises(Killed):
        train(SHORT, *chips, kill, state_file=state)
    steps: list[int] = []
    resumed = train(SHORT, *chips, lambda event: steps.append(event.step), state_file=state)
    assert min(steps) > 2
    assert resumed.step == whole.step
    assert all(torch.equal(resumed.weights[n], t) for n, t in whole.weights.items())
    finished = train(SHORT, *chips, pytest.fail, state_file=state)
    assert all(torch.equal(finished.weights[n], t) for n, t in whole.weights.items())


def test_stopped_after_any_step_gives_the_same_weights_and_losses(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    """Before the first validation, between two, and after one; losses are reported every 5."""
    few = Some(chips[0], torch.arange(8)), Some(chips[1], torch.arange(2))
    settings = replace(SHORT, report_every=5)
    told: list[Event] = []
    whole = train(settings, *few, told.append)
    for last in (1, 3, 4):
        resumed, again = stopped_and_resumed(settings, few, last, tmp_path / f"state {last}")
        assert min(event.step for event in again) == last + 1, "not from an earlier step"
        assert resumed.step == whole.step
        assert all(torch.equal(resumed.weights[n], t) for n, t in whole.weights.items())
        assert losses_in(again) == losses_in(told) and len(losses_in(told)) == 2


def losses_in(events: list[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Stepped)]


def stopped_and_resumed(
    settings: TrainingSettings, chips: tuple[Some, Some], last: int, state: Path
) -> tuple[TrainedWeights, list[Event]]:

    class Stopped(BaseException):
        pass

    def stop(event: Event) -> None:
        if event == Learned(last):
            raise Stopped

    with pytest.raises(Stopped):
        train(settings, *chips, stop, state_file=state)
    again: list[Event] = []
    return train(settings, *chips, again.append, state_file=state), again


def test_a_long_training_is_kept_between_validations(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "KEEP_EVERY_S", 0.0)
    state = tmp_path / "state"
    kept: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, Learned):
            kept.append(int(read_state(state)["step"]))

    few = Some(chips[0], torch.arange(8)), Some(chips[1], torch.arange(2))
    train(replace(SHORT, steps=3, validate_every=3), *few, look, state_file=state)
    assert kept == [1, 2, 3]


def test_a_state_of_another_training_is_refused(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    state, once = tmp_path / "state", replace(SHORT, steps=1)
    first = train(once, *chips, state_file=state)
    with pytest.raises(RequestError, match=r"was written with steps 1, now it is 6.*remove it"):
        train(SHORT, *chips, state_file=state)
    with pytest.raises(RequestError, match=r"with training chips 64 of .*, now it is 63 of"):
        train(once, Some(chips[0], torch.arange(63)), chips[1], state_file=state)
    with pytest.raises(RequestError, match="with validation chips 8 of"):
        train(once, chips[0], fields(8, seed=9), state_file=state)
    with pytest.raises(RequestError, match="with weights to start from none"):
        train(once, *chips, state_file=state, start=first.weights)


def test_weights_to_start_from_are_known_again_in_any_order(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    """A file of weights gives its tensors in another order each time it is read."""
    state, once = tmp_path / "state", replace(SHORT, steps=1)
    start = LulcFormer(SHORT.variant).state_dict()
    first = train(once, *chips, state_file=state, start=start)
    other_way = {name: start[name] for name in reversed(start)}
    again = train(once, *chips, pytest.fail, state_file=state, start=other_way)
    assert all(torch.equal(again.weights[n], t) for n, t in first.weights.items())


def test_a_state_that_cannot_be_read_or_written_is_said(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    state, once = tmp_path / "state", replace(SHORT, steps=1)
    with pytest.raises(OutputError, match=r"cannot be written .No such file"):
        train(once, *chips, state_file=tmp_path / "absent" / "state")
    train(once, *chips, state_file=state)
    whole = state.read_bytes()
    for damaged in (b"", whole[:1000], b"\0" * 500, b"no state"):
        state.write_bytes(damaged)
        with pytest.raises(RequestError, match="is damaged or none; remove it"):
            train(once, *chips, state_file=state)
    for other in ({"weights": torch.zeros(1)}, [torch.zeros(1)]):
        torch.save(other, state)
        with pytest.raises(RequestError, match="is another file of torch's; remove it"):
            train(once, *chips, state_file=state)


def test_a_step_whose_scaled_gradients_overflow_is_left_out(
    chips: tuple[TensorChips, TensorChips],
) -> None:
    settings = replace(SHORT, precision="fp16")
    trainer = Trainer(settings)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**26)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.learn(chips[0])
    assert trainer.scaler.get_scale() == 2.0**25
    assert all(torch.equal(before[name], p) for name, p in trainer.model.named_parameters())
    resumed = Trainer(settings)
    resumed.restore(trainer.state())
    assert resumed.scaler.get_scale() == 2.0**25, "a resumed training scales by what it had found"
    while torch.equal(before["head.pred.weight"], trainer.model.head.pred.weight):
        trainer.learn(chips[0])
        resumed.learn(chips[0])
    assert 1 < trainer.step < 26
    for name, tensor in trainer.model.state_dict().items():
        assert torch.isfinite(tensor).all()
        assert torch.equal(resumed.model.state_dict()[name], tensor)


def test_a_diverged_training_ends_with_advice(chips: tuple[TensorChips, TensorChips]) -> None:
    training, validation = chips
    training = replace(training, optical=torch.full_like(training.optical, torch.nan))
    with pytest.raises(RequestError, match="the loss is nan at step 2; lower the learning rate"):
        train(replace(SHORT, report_every=2), training, validation)


def test_weights_that_are_no_numbers_are_neither_tried_nor_kept(
    chips: tuple[TensorChips, TensorChips], tmp_path: Path
) -> None:
    """The state is that of the last good validation, whatever happens between two reports."""
    state, settings = tmp_path / "state", replace(SHORT, report_every=100, validate_every=2)

    def spoil(event: Event) -> None:
        if isinstance(event, Learned) and event.step == 3:
            with torch.no_grad():
                spoilt[0].fill_(torch.nan)

    spoilt: list[torch.Tensor] = []
    learn = Trainer.learn

    def watched(trainer: Trainer, training: TensorChips) -> torch.Tensor:
        spoilt[:] = [trainer.model.get_parameter("head.pred.weight")]
        return learn(trainer, training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "learn", watched)
        with pytest.raises(RequestError, match="the loss is nan at step 4"):
            train(settings, *chips, on_event=spoil, state_file=state)
    kept = torch.load(state, weights_only=False)
    assert kept["step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in kept["model"].values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"precision": "int8"}, "fp32, bf16, fp16"), ({"steps": 0}, "steps is 0")],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        replace(SETTINGS, **wrong)


def test_training_without_chips_is_refused(chips: tuple[TensorChips, TensorChips]) -> None:
    with pytest.raises(RequestError, match="0 training and 8 validation chips"):
        train(SHORT, fields(0, seed=3), chips[1])


def test_validation_chips_that_no_sensor_saw_are_refused(
    chips: tuple[TensorChips, TensorChips],
) -> None:
    nothing = torch.zeros_like(chips[1].optical_valid)
    dark = replace(chips[1], optical_valid=nothing, radar_valid=nothing)
    with pytest.raises(RequestError, match="no labelled pixel of the 8 validation chips is seen"):
        train(replace(SHORT, validate_every=1), chips[0], dark)


def test_a_lost_sensor_counts_as_often_as_training_loses_it() -> None:
    how = replace(NONE, radar_dropout=0.2, optical_dropout=0.1)
    trainer = Trainer(replace(SHORT, augmentation=how))
    right, half = torch.diag(torch.full((9,), 3)), torch.full((9, 9), 1)
    merits = [
        trainer.merit({"both": both, "optical": half, "radar": radar})
        for both in (right, half)
        for radar in (right, half, torch.zeros_like(half))
    ]
    assert merits == sorted(merits, reverse=True)
    low = 1 / 17  # of nine classes, each answered alike: one pixel of 9 + 9 - 1
    assert merits[1] == pytest.approx(0.7 + 0.3 * low)
    assert merits[3] == pytest.approx(0.9 * low + 0.1)
    assert merits[5] == pytest.approx(0.9 * low), "what is not there is left out"


def test_trained_weights_fit_the_network(chips: tuple[TensorChips, TensorChips]) -> None:
    trained = train(replace(SHORT, precision="bf16", augmentation=Augmentation()), *chips)
    LulcFormer(trained.variant).load_state_dict(trained.weights)
    assert all(torch.isfinite(t).all() for t in trained.weights.values())
    assert trained.weights["head.bn.running_var"].dtype == torch.float32


def test_every_chip_is_drawn_once_before_any_is_drawn_again() -> None:
    stream = torch.cat([draw(10, 4, step, seed=0) for step in range(5)]).tolist()
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [
        learning_rate(step, steps=1000, warmup_steps=100, peak=2e-3, final=5e-6)
        for step in range(1000)
    ]
    assert rates[:100] == sorted(rates[:100]) and rates[100:] == sorted(rates[100:], reverse=True)
    assert max(rates) == rates[100] == 2e-3
    assert rates[-1] == pytest.approx(5e-6)


def test_norms_biases_and_tokens_do_not_decay() -> None:
    model = LulcFormer(SETTINGS.variant)
    decaying, kept = (set(map(id, group["params"])) for group in decay_groups(model, 0.01))
    for name, parameter in model.named_parameters():
        is_vector = name.endswith("bias") or "norm" in name or "_n" in name or "bn" in name
        wanted = kept if is_vector or name.startswith("missing") else decaying
        assert id(parameter) in wanted, name


def test_parts_add_up_to_the_whole_batch(chips: tuple[TensorChips, TensorChips]) -> None:
    """Without BatchNorm and dropout, which know their part, a batch may be cut at will."""
    found = []
    for parts in (1, 2, 4):
        trainer = Trainer(
            replace(SHORT, batch=4, parts=parts, class_weights=(0.5, 1.5) + (1.0,) * 7)
        )
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout2d):
                module.forward = lambda x: x
        losses = [float(trainer.learn(chips[0])) for _ in range(2)]
        found.append((losses, dict(trainer.model.named_parameters())))
    for losses, weights in found[1:]:
        assert losses == pytest.approx(found[0][0], rel=1e-5)
        for name, tensor in found[0][1].items():
            assert torch.allclose(weights[name], tensor, atol=2e-5), name


def test_statistics_are_the_mean_over_parts(chips: tuple[TensorChips, TensorChips]) -> None:
    trainer = Trainer(replace(SHORT, batch=4, parts=4))
    trainer.learn(chips[0])
    norm = trainer.model.get_submodule("head.bn")
    assert int(norm.num_batches_tracked) == 1
    assert 0.9 < float(norm.running_var.mean()) < 1, "once towards the batch's, not four times"
    with pytest.raises(RequestError, match="cannot be cut into 3 equal parts"):
        replace(SHORT, batch=4, parts=3)
    with pytest.raises(RequestError, match="3 processes cannot share 4 parts"):
        train(replace(SHORT, batch=4, parts=4), *chips, processes=Processes(0, 3))


class PixelByPixel(torch.nn.Module):
    """One convolution over all twelve bands."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.pixel = torch.nn.Conv2d(12, variant.classes, 1)

    def forward(self, optical, radar, optical_valid=None, radar_valid=None):  # type: ignore[no-untyped-def]
        return self.pixel(torch.cat([optical * optical_valid, radar * radar_valid], dim=1))


class TooLarge(PixelByPixel):
    """Asks for more memory than any machine has."""

    def forward(self, optical, radar, optical_valid=None, radar_valid=None):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_batch_too_large_for_a_device_is_said(chips: tuple[TensorChips, TensorChips]) -> None:
    with pytest.raises(RequestError, match="cpu has too little memory for a batch of 2 in 1 parts"):
        train(SHORT, *chips, network=TooLarge)


def test_another_network_is_trained_by_the_same_course(
    chips: tuple[TensorChips, TensorChips],
) -> None:
    settings = replace(SHORT, steps=40, learning_rate=0.05, validate_every=40)
    found = train(settings, *chips, network=PixelByPixel)
    assert set(found.weights) == {"pixel.weight", "pixel.bias"}
    assert overall_accuracy(found.confusions["both"]) > 0.5
