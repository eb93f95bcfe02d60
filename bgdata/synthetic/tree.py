"""The demo data as a real ILSVRC tree: photos, annotations, solution and synset files, and the true masks beside."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from bgdata.errors import InputError
from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import CLASS_COUNT, CLASS_NAMES
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generator
from bgdata.shards import partial_path, write_csv, write_text_whole
from bgdata.synthetic.objects import KINDS, Kind, kinds_of
from bgdata.synthetic.scene import Scene, draw_kind
from bgdata.synthetic.scenery import SCENERY_NAMES, choose_scenery

PLAN_FILE = "synthetic.json"
_JPEG_QUALITY = 92
_LEAST_SIDE = 256
_LONGEST_ASPECT = 4 / 3
_CHUNK = 16


@dataclass(frozen=True)
class TreePlan:
    """What a tree is drawn from; two trees of one plan are the same bytes."""

    train_per_class: int
    val_per_class: int
    size: tuple[int, int]
    bias: float
    difficulty: float
    seed: int


@dataclass(frozen=True)
class PlannedImage:
    """One image to draw: its split (`train` or `val`), its id (the file's stem) and its kind."""

    split: str
    image_id: str
    wnid: str

    @property
    def folder(self) -> str:
        """Its folder below the split, as ILSVRC has it: the wnid in train, none in val."""
        return f"train/{self.wnid}" if self.split == "train" else "val"


def write_ilsvrc_tree(
    root: Path,
    *,
    train_per_class: int,
    val_per_class: int,
    size: tuple[int, int],
    bias: float,
    difficulty: float,
    seed: int,
    workers: int,
) -> dict[str, Any]:
    """Draw the demo data into `root`, in ILSVRC's layout, and return its counts.

    `size` is (height, width); its shorter side, at least 256, is every photo's shorter side, and the aspect varies from
    1:1 to 4:3. Images that a killed run left whole are kept. The same bytes come out for any number of workers.

    Returns `images` by split, `classes` and `kinds` by split and name, and `own_scenery_share`, a fraction.

    Raises InputError where `root` holds images of another plan.
    """
    plan = TreePlan(train_per_class, val_per_class, size, bias, difficulty, seed)
    images = plan_images(plan)
    _claim(root, plan)
    for image in images:
        for place in ("ILSVRC/Data/CLS-LOC", "ILSVRC/Annotations/CLS-LOC", "masks"):
            (root / place / image.folder).mkdir(parents=True, exist_ok=True)
    missing = [image for image in images if not _annotation(root, image).is_file()]
    tasks = [(root, plan, missing[i : i + _CHUNK]) for i in range(0, len(missing), _CHUNK)]
    run_tasks(_draw_chunk, tasks, workers=workers, total=len(missing), label="drawing scenes", unit="photo")
    for unfinished in root.rglob("*.tmp"):  # of killed workers
        unfinished.unlink(missing_ok=True)
    _write_tables(root, plan, images)
    return _counts(plan, images)


def plan_images(plan: TreePlan) -> list[PlannedImage]:
    """Return the images of a tree: each class half and half of its two kinds, val numbered in a seeded order."""
    train = []
    for kind, count in _kind_counts(plan.train_per_class):
        train += [PlannedImage("train", f"{kind.wnid}_{n}", kind.wnid) for n in range(1, count + 1)]
    wnids = [kind.wnid for kind, count in _kind_counts(plan.val_per_class) for _ in range(count)]
    order = image_generator(plan.seed, "val", "order").permutation(len(wnids))
    val = [PlannedImage("val", f"ILSVRC2012_val_{n:08d}", wnids[i]) for n, i in enumerate(order.tolist(), start=1)]
    return train + val


def draw_image(plan: TreePlan, image: PlannedImage) -> Scene:
    """Draw one image of a plan; it depends on the plan's seed and the image's id alone."""
    short = max(_LEAST_SIDE, min(plan.size))
    shape = image_generator(plan.seed, image.image_id, "size")
    longer = round(short * shape.uniform(1, _LONGEST_ASPECT))
    size = (short, longer) if shape.random() < 0.5 else (longer, short)
    rng = image_generator(plan.seed, image.image_id, "scene")
    return draw_kind(
        _kind(image.wnid), scenery=image_scenery(plan, image), size=size, difficulty=plan.difficulty, rng=rng
    )


def image_scenery(plan: TreePlan, image: PlannedImage) -> int:
    """Return the scenery (0..8) of an image of a plan, without drawing it."""
    rng = image_generator(plan.seed, image.image_id, "scenery")
    return choose_scenery(_kind(image.wnid).label, bias=plan.bias, rng=rng)


def _claim(root: Path, plan: TreePlan) -> None:
    """Note the plan in the tree, or check that it is the plan already noted there."""
    root.mkdir(parents=True, exist_ok=True)
    path, text = root / PLAN_FILE, json.dumps(asdict(plan), indent=2, sort_keys=True) + "\n"
    if path.is_file() and path.read_text() != text:
        raise InputError(
            f"{root} holds scenes drawn with other settings (its {PLAN_FILE} differs from this run's): "
            "delete the folder or write to another"
        )
    write_text_whole(path, text)


def _draw_chunk(root: Path, plan: TreePlan, images: Sequence[PlannedImage]) -> int:
    """Draw and write some images; return how many. The annotation comes last: where it is, the rest is whole."""
    for image in images:
        scene = draw_image(plan, image)
        _write_whole(root / "masks" / image.folder / f"{image.image_id}.png", encode_mask(scene.mask))
        photo = root / "ILSVRC/Data/CLS-LOC" / image.folder / f"{image.image_id}.JPEG"
        _write_whole(photo, encode_jpeg(scene.image, quality=_JPEG_QUALITY))
        write_text_whole(_annotation(root, image), _voc_xml(image, scene))
    return len(images)


def _annotation(root: Path, image: PlannedImage) -> Path:
    return root / "ILSVRC/Annotations/CLS-LOC" / image.folder / f"{image.image_id}.xml"


def _voc_xml(image: PlannedImage, scene: Scene) -> str:
    """Return the annotation in ImageNet's form; xmax and ymax are the exclusive edge, as our reader takes them."""
    height, width = scene.mask.shape
    x0, y0, x1, y1 = scene.box
    return (
        "<annotation>\n"
        f"\t<folder>{image.wnid if image.split == 'train' else 'val'}</folder>\n"
        f"\t<filename>{image.image_id}</filename>\n"
        "\t<source><database>ILSVRC_2012</database></source>\n"
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        "\t<segmented>0</segmented>\n"
        f"\t<object><name>{image.wnid}</name><pose>Unspecified</pose><truncated>0</truncated>"
        "<difficult>0</difficult>\n"
        f"\t\t<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>\n"
        "</annotation>\n"
    )


def _write_tables(root: Path, plan: TreePlan, images: Sequence[PlannedImage]) -> None:
    """Write the solution of val, the synset names and the scenery of each image."""
    solution = [
        {"ImageId": image.image_id, "PredictionString": f"{image.wnid} {_annotated_box(root, image)} "}
        for image in images
        if image.split == "val"
    ]
    write_csv(root / "LOC_val_solution.csv", ("ImageId", "PredictionString"), solution)
    synsets = sorted(f"{kind.wnid} {kind.name}\n" for kind in KINDS)
    write_text_whole(root / "LOC_synset_mapping.txt", "".join(synsets))
    sceneries = [
        {"id": image.image_id, "label": _kind(image.wnid).label, "scenery": image_scenery(plan, image)}
        for image in images
    ]
    write_csv(root / "scenery.csv", ("id", "label", "scenery"), sceneries)


def _annotated_box(root: Path, image: PlannedImage) -> str:
    """Return the box of a written image as `x0 y0 x1 y1`."""
    box = ElementTree.parse(_annotation(root, image)).getroot().find("object/bndbox")
    if box is None:
        raise InputError(f"{_annotation(root, image)} holds no box: delete it and run again")
    return " ".join(box.findtext(side, "") for side in ("xmin", "ymin", "xmax", "ymax"))


def _counts(plan: TreePlan, images: Sequence[PlannedImage]) -> dict[str, Any]:
    """Return the counts of a tree for its manifest."""
    own = [image_scenery(plan, image) == _kind(image.wnid).label for image in images]
    kinds = Counter((image.split, _kind(image.wnid).name) for image in images)
    classes = Counter((image.split, CLASS_NAMES[_kind(image.wnid).label]) for image in images)
    return {
        "images": dict(Counter(image.split for image in images)),
        "classes": {split: {name: classes[split, name] for name in CLASS_NAMES} for split in ("train", "val")},
        "kinds": {split: {kind.name: kinds[split, kind.name] for kind in KINDS} for split in ("train", "val")},
        "own_scenery_share": float(np.mean(own)) if own else None,
        "sceneries": list(SCENERY_NAMES),
    }


def _kind_counts(per_class: int) -> Iterator[tuple[Kind, int]]:
    """Yield each kind and its share of `per_class` images; an odd one goes to the class's first kind."""
    for label in range(CLASS_COUNT):
        kinds = kinds_of(label)
        for i, kind in enumerate(kinds):
            yield kind, (per_class + len(kinds) - 1 - i) // len(kinds)


def _kind(wnid: str) -> Kind:
    return next(kind for kind in KINDS if kind.wnid == wnid)


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file whole: a kill leaves none or all of it."""
    partial = partial_path(path)
    partial.write_bytes(data)
    partial.replace(path)
