"""Mask R-CNN on any backbone: what it is built of, what teaches it, what it answers, and that it learns the scenes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.geometry import mask_box
from bgdata.masks.rle import decode_rle
from bgdata.synthetic.layouts import write_coco
from bgdata.transfer_sets.base import Instance, LabelledImage
from bgdata.transfer_sets.coco import CocoDetection
from models.training.settings import AugmentSettings
from models.transfer.backbones import Backbone
from models.transfer.detection import Detection, _target
from models.transfer.loading import load_backbone, load_pooled, rebuild_backbone
from models.transfer.modes import fixed_feature
from models.transfer.presets import find_preset
from models.transfer.settings import BackboneSettings, TrainSettings
from models.transfer.task_settings import DetectionSettings
from models.transfer.tasks import Task
from models.transfer.train import TransferRun, train_transfer

pytestmark = pytest.mark.usefixtures("one_thread")

COCO8 = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco8"
CPU = torch.device("cpu")
SMALL = DetectionSettings(
    size=64,
    max_size=96,
    jitter=0.0,
    flip=True,
    channels=16,
    hidden=32,
    mask_layers=1,
    anchor=4.0,
    sampling=2,
    proposals=32,
    samples=16,
    detections=10,
    score=0.05,
)
FULL = DetectionSettings(
    size=800,
    max_size=1333,
    jitter=0.0,
    flip=True,
    channels=256,
    hidden=1024,
    mask_layers=4,
    anchor=8.0,
    sampling=2,
    proposals=2000,
    samples=512,
    detections=100,
    score=0.0,
)

PRIME = {
    "kind": "prime",
    "width": 3,
    "depth": 2,
    "alpha": 1.0,
    "colour": {"cut": 500, "temperature": 0.05, "bandwidth": 20},
    "filter": {"side": 3, "sigma": 4.0},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> CocoDetection:
    """Twenty scenes of about 64 x 80 pixels: the last shows nothing, the tenth and twentieth crowds."""
    root = tmp_path_factory.mktemp("scenes")
    write_coco(root, images=20, size=64, difficulty=0.1, seed=0)
    return CocoDetection(root, split="val")


def drawn(arch: str = "resnet8") -> Backbone:
    return load_backbone(BackboneSettings(arch=arch, weights=None), runs=Path("none"))[0]


def built(settings: DetectionSettings = SMALL, arch: str = "resnet8", *, categories: int = 9) -> nn.Module:
    torch.manual_seed(0)
    return Detection(settings).build(drawn(arch), categories)


def losses(network: nn.Module, batch: list[LabelledImage], *, seed: int = 0) -> dict[str, float]:
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    found = Detection(SMALL).losses(network.train(), batch, device=CPU, generator=generator)
    return {name: float(value.detach()) for name, value in found.items()}


def test_detection_is_a_task() -> None:
    assert isinstance(Detection(SMALL), Task)


@pytest.mark.parametrize("arch", ["resnet8", "resnet10"])
def test_pyramids_stand_on_every_map_and_one_more(arch: str) -> None:
    network, backbone = built(arch=arch), drawn(arch)
    maps = network.backbone(torch.rand(1, 3, 64, 96))
    sizes = {name: tuple(found.shape) for name, found in maps.items()}
    strides = [*backbone.channels]
    whole = {str(stride): (1, 16, 64 // stride, 96 // stride) for stride in strides}
    coarsest = 2 * strides[-1]
    assert sizes == whole | {"pool": (1, 16, -(-64 // coarsest), -(-96 // coarsest))}
    anchors = network.rpn.anchor_generator
    assert anchors.sizes == tuple((4 * stride,) for stride in (*strides, coarsest))
    assert network.roi_heads.box_predictor.cls_score.out_features == 10


def test_the_pyramid_of_full_size_is_that_of_the_papers() -> None:
    network = built(FULL, "resnet18", categories=80)
    assert network.rpn.anchor_generator.sizes == ((32,), (64,), (128,), (256,), (512,))
    assert network.roi_heads.box_roi_pool.canonical_scale == 224
    assert network.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 81


def test_the_backbone_sees_images_as_they_are(scenes: CocoDetection) -> None:
    network = built().eval()
    seen = []
    network.backbone.body.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    found = scenes.read(scenes.ids[0])
    height, width = found.image.shape[:2]
    Detection(replace_settings(size=min(height, width), max_size=200)).predict(network, [found], device=CPU)
    pixels = torch.from_numpy(found.image).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(seen[0][0, :, :height, :width], pixels)


def replace_settings(**values: float) -> DetectionSettings:
    return DetectionSettings(**(SMALL.model_dump() | values))


def test_mirrored_boxes_are_those_of_mirrored_masks(scenes: CocoDetection) -> None:
    for image_id in scenes.ids:
        found = scenes.read(image_id)
        there, back = (_target(found, CPU, mirrored=mirrored) for mirrored in (False, True))
        for mask, box in zip(back["masks"].numpy(), back["boxes"].tolist(), strict=True):
            edges = mask_box(mask.astype(bool))
            assert edges is not None and box == [edges.x0, edges.y0, edges.x1, edges.y1]
        assert torch.equal(there["masks"].flip(2), back["masks"])
        assert torch.equal(there["labels"], back["labels"])


def test_mirroring_is_of_the_image_too(scenes: CocoDetection) -> None:
    found = scenes.read(scenes.ids[0])
    mirrored = replace(
        found,
        image=found.image[:, ::-1],
        instances=tuple(replace(one, mask=one.mask[:, ::-1], box=flipped(one)) for one in found.instances),
    )
    always, never = Detection(SMALL), Detection(replace_settings(flip=False))
    network = built().train()
    said = []
    for task, image in ((always, found), (never, mirrored)):
        torch.manual_seed(0)
        parts = task.losses(network, [image], device=CPU, generator=np.random.default_rng(3))
        said.append({name: float(part.detach()) for name, part in parts.items()})
    assert np.random.default_rng(3).random() < 0.5  # so that the first one is mirrored
    assert said[0] == said[1]


def flipped(one: Instance) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = one.box
    width = one.mask.shape[1]
    return (width - x1, y0, width - x0, y1)


def test_crowds_and_boxes_without_area_teach_nothing(scenes: CocoDetection) -> None:
    found = scenes.read(scenes.ids[0])
    mask = np.zeros(found.image.shape[:2], bool)
    more = (Instance(3, (2.0, 2.0, 30.0, 30.0), ~mask, crowd=True), Instance(4, (5.0, 5.0, 5.0, 9.0), mask))
    network = fixed(built())
    assert losses(network, [found]) == losses(network, [replace(found, instances=(*found.instances, *more))])


def fixed(network: nn.Module) -> nn.Module:
    """Its batch norms do not move from one call to the next."""
    fixed_feature(network.backbone.body)
    return network


def test_images_without_objects_teach_that_there_is_none(scenes: CocoDetection) -> None:
    empty = scenes.read(scenes.ids[-1])
    assert not empty.instances
    alone = losses(built(), [empty])
    assert all(np.isfinite(value) for value in alone.values())
    assert alone["loss_objectness"] > 0 and alone["loss_classifier"] > 0
    assert alone["loss_box_reg"] == alone["loss_mask"] == alone["loss_rpn_box_reg"] == 0
    assert all(np.isfinite(value) for value in losses(built(), [empty, scenes.read(scenes.ids[0])]).values())


def test_losses_come_from_the_generators_alone(scenes: CocoDetection) -> None:
    network, batch = fixed(built(replace_settings(jitter=0.3))), [scenes.read(image_id) for image_id in scenes.ids[:3]]
    one, two, other = (losses(network, batch, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def shown(
    batch: list[LabelledImage], augment: dict[str, object] | None, *, seed: int = 0
) -> tuple[list[Tensor], list[dict[str, Tensor]], float]:
    """What Mask R-CNN is given of a batch in training, images and targets, and the generator's next draw."""
    seen: list[tuple[list[Tensor], list[dict[str, Tensor]]]] = []

    class Noting(nn.Module):
        def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
            seen.append((images, targets))
            return {}

    task = Detection(DetectionSettings.model_validate(SMALL.model_dump() | {"augment": augment}))
    generator = np.random.default_rng(seed)
    task.losses(Noting(), batch, device=CPU, generator=generator)
    return *seen[0], float(generator.random())


def of_three_sizes(scenes: CocoDetection) -> list[LabelledImage]:
    found = [scenes.read(image_id) for image_id in scenes.ids[:3]]
    cut = [one.image[: -8 * number or None, : -5 * number or None] for number, one in enumerate(found)]
    assert len({image.shape for image in cut}) == 3
    boxes = ((1.0, 2.0, 20.0, 30.0),)
    objects = [tuple(Instance(4, box, np.ones(image.shape[:2], bool)) for box in boxes) for image in cut]
    return [replace(one, image=image, instances=own) for one, image, own in zip(found, cut, objects, strict=True)]


def test_without_an_augmentation_images_and_draws_are_as_they_were(scenes: CocoDetection) -> None:
    batch = of_three_sizes(scenes)
    images, _, draw = shown(batch, None)
    before = np.random.default_rng(0)
    mirrored = [before.random() < 0.5 for _ in batch]
    assert True in mirrored and False in mirrored
    for image, one, turned in zip(images, batch, mirrored, strict=True):
        pixels = one.image[:, ::-1] if turned else one.image
        assert torch.equal(image, torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255)
    assert draw == before.random()
    assert SMALL.augment is None


def test_an_augmentation_changes_pixels_and_no_truth(scenes: CocoDetection) -> None:
    batch = of_three_sizes(scenes)
    plain, truth, _ = shown(batch, None)
    mixed, same, _ = shown(batch, PRIME)
    assert [image.shape for image in mixed] == [image.shape for image in plain]
    for image, other in zip(mixed, plain, strict=True):
        assert 0.001 < float((image - other).abs().mean()) < 0.5
        assert image.min() >= 0 and image.max() <= 1
    for target, other in zip(same, truth, strict=True):
        assert all(torch.equal(target[name], other[name]) for name in ("boxes", "labels", "masks"))


def test_an_augmentation_comes_from_the_generator(scenes: CocoDetection) -> None:
    batch = [replace(one, id=str(number)) for number, one in enumerate([scenes.read(scenes.ids[0])] * 3)]
    one, two, other = (shown(batch, PRIME, seed=seed)[0] for seed in (0, 0, 1))
    assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(one, other, strict=True))
    # Each image has draws of its own, mirrored or not.
    assert not torch.equal(one[0], one[1]) and not torch.equal(one[0].flip(2), one[1])


def test_without_chains_an_augmentation_leaves_images(scenes: CocoDetection) -> None:
    batch = of_three_sizes(scenes)
    for image, other in zip(shown(batch, PRIME | {"width": 0})[0], shown(batch, None)[0], strict=True):
        assert torch.equal(image, other)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"kind": "augmix", "colour": None, "filter": None, "severity": 3},
            r"^augment augmix moves pixels, whose labels stay where they are: take prime without warp$",
        ),
        (
            {"warp": {"cut": 10, "temperature": 1.0}},
            r"^augment\.warp moves pixels, whose labels stay where they are: leave it out$",
        ),
    ],
)
def test_augmentations_that_move_pixels_are_refused(changed: dict[str, object], words: str) -> None:
    augment = AugmentSettings.model_validate(PRIME | changed)
    with pytest.raises(InputError, match=words):
        Detection(SMALL.model_copy(update={"augment": augment}))


def test_sizes_of_training_spread_around_that_of_evaluation(scenes: CocoDetection) -> None:
    network = fixed(built(replace_settings(jitter=0.25)))
    seen: set[int] = set()
    network.backbone.body.register_forward_hook(lambda _, given, __: seen.add(min(given[0].shape[2:])))
    found = scenes.read(scenes.ids[0])
    for seed in range(12):
        losses(network, [found], seed=seed)
    assert min(seen) == 48 and max(seen) == 80
    seen.clear()
    for _ in range(3):
        Detection(SMALL).predict(network.eval(), [found], device=CPU)
    assert seen == {64}


def test_answers_are_cocos_results_in_the_pixels_of_the_image(scenes: CocoDetection) -> None:
    batch = [scenes.read(image_id) for image_id in scenes.ids[:3]]
    large = replace(batch[0], image=np.repeat(np.repeat(batch[0].image, 3, 0), 3, 1), instances=())
    answers = Detection(SMALL).predict(built().eval(), [*batch, large], device=CPU)
    assert json.loads(json.dumps(answers)) == answers
    assert sum(map(len, answers)) > 0
    for image, found in zip([*batch, large], answers, strict=True):
        height, width = image.image.shape[:2]
        assert len(found) <= SMALL.detections
        scores = [one["score"] for one in found]
        assert scores == sorted(scores, reverse=True) and all(score > SMALL.score for score in scores)
        for one in found:
            x, y, w, h = one["bbox"]
            assert 0 <= x <= x + w <= width + 1e-3 and 0 <= y <= y + h <= height + 1e-3
            assert 1 <= one["category_id"] <= 9
            assert decode_rle(one["segmentation"], (height, width)).shape == (height, width)
    assert max(one["bbox"][2] for one in answers[3]) > batch[0].image.shape[1]


def test_a_backbone_without_maps_is_refused() -> None:
    pooled = load_pooled(BackboneSettings(arch="resnet8", weights=None), runs=Path("none"), size=32)[0]
    with pytest.raises(
        InputError, match=r"^detection stands on feature maps, and this backbone has none: take another"
    ):
        Detection(SMALL).build(pooled, 9)


def test_it_learns_a_few_scenes_by_heart_and_its_weights_come_back(scenes: CocoDetection, tmp_path: Path) -> None:
    class Few:
        name, task, split, categories, digest = scenes.name, scenes.task, scenes.split, scenes.categories, "few"
        ids = scenes.ids[:4]
        read = staticmethod(scenes.read)

    task = Detection(replace_settings(flip=False))
    how = TrainSettings(mode="full_network", optimizer="adamw", lr=0.003, steps=40, batch=4, clip=5.0)
    backbone, record = load_backbone(BackboneSettings(arch="resnet8", weights=None), runs=Path("none"))
    network, history = train_transfer(
        task, backbone, Few(), find_preset("detection"), how, TransferRun(0, CPU, tmp_path, 1)
    )
    assert history[-1]["loss"] < history[0]["loss"] / 2
    truth = [scenes.read(image_id) for image_id in Few.ids]
    answers = task.predict(network, truth, device=CPU)
    values = task.score(answers, truth, Few.categories).values
    assert values["box_ap50"] > 0.5 and values["mask_ap50"] > 0.3
    again = task.build(rebuild_backbone(record), 9)
    again.load_state_dict(network.state_dict())
    assert task.predict(again.eval(), truth, device=CPU) == answers


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet50", "swin_t"])
@pytest.mark.skipif(not COCO8.is_dir(), reason="shared/data/coco8 is not on this machine")
def test_full_size_over_real_photos(arch: str) -> None:
    """The path is real; a network that has learned nothing finds nothing."""
    photos = CocoDetection(COCO8, split="val")
    task, truth = Detection(FULL), [photos.read(image_id) for image_id in photos.ids]
    network = built(FULL, arch, categories=len(photos.categories)).eval()
    answers = [found for one in truth for found in task.predict(network, [one], device=CPU)]
    values = task.score(answers, truth, photos.categories).values
    assert [len(found) for found in answers] == [100] * len(truth)
    assert all(0 <= value < 0.05 for value in values.values())
    network.train()
    parts = task.losses(network, truth[:1], device=CPU, generator=np.random.default_rng(0))
    assert all(bool(torch.isfinite(part)) for part in parts.values())
