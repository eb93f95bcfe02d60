import hashlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask
from bgdata.labels import in9_label_by_wnid
from bgdata.synthetic.objects import KINDS, kinds_of
from bgdata.synthetic.scene import draw_scene, tight_box
from bgdata.synthetic.scenery import choose_scenery, draw_scenery
from bgdata.synthetic.tree import write_ilsvrc_tree

PLAN = {"train_per_class": 2, "val_per_class": 1, "size": (256, 256), "bias": 0.6, "difficulty": 0.5, "seed": 3}


def _digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    counts = write_ilsvrc_tree(root, **PLAN, workers=1)
    assert counts["images"] == {"train": 18, "val": 9}
    return root


def test_each_kind_is_an_imagenet_class_of_its_superclass() -> None:
    assert [in9_label_by_wnid()[kind.wnid] for kind in KINDS] == [kind.label for kind in KINDS]
    assert len({kind.wnid for kind in KINDS}) == 18
    assert all(len(kinds_of(label)) == 2 for label in range(9))


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
@pytest.mark.parametrize("label", range(9))
def test_a_scene_passes_the_filters_of_imagenet_9(label: int, difficulty: float) -> None:
    for seed in range(5):
        size = ((256, 256), (256, 341), (300, 256))[seed % 3]
        scene = draw_scene(
            label=label, size=size, bias=0.5, difficulty=difficulty, rng=np.random.default_rng([seed, label])
        )
        assert scene.image.shape == (*size, 3) and scene.image.dtype == np.uint8
        assert scene.mask.shape == size and scene.mask.any()
        assert scene.box == tight_box(scene.mask)
        assert in9_label_by_wnid()[scene.wnid] == scene.label == label
        x0, y0, x1, y1 = scene.box
        area = (x1 - x0) * (y1 - y0)
        side = 224 / 256 * min(size)
        left, top = (size[1] - side) / 2, (size[0] - side) / 2
        inside = (min(x1, left + side) - max(x0, left)) * (min(y1, top + side) - max(y0, top))
        assert inside >= 0.5 * area
        assert inside <= 0.9 * side**2
        assert np.count_nonzero(scene.mask) >= 0.1 * area


def test_tight_box_is_counted_by_hand() -> None:
    mask = np.zeros((5, 8), bool)
    mask[1, 2] = mask[3, 6] = True
    assert tight_box(mask) == (2, 1, 7, 4)
    with pytest.raises(ValueError, match="empty mask has no box"):
        tight_box(np.zeros((5, 8), bool))


def test_one_generator_state_draws_one_scene() -> None:
    first, second = (
        draw_scene(label=4, size=(256, 256), bias=0.5, difficulty=0.5, rng=np.random.default_rng(7)) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image) and np.array_equal(first.mask, second.mask)


@pytest.mark.parametrize("bias", [0.0, 1 / 9, 0.8, 1.0])
def test_the_share_of_own_scenery_is_the_bias(bias: float) -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([choose_scenery(3, bias=bias, rng=rng) for _ in range(4000)])
    assert np.mean(drawn == 3) == pytest.approx(bias, abs=0.025 if 0 < bias < 1 else 0)
    others = np.bincount(drawn[drawn != 3], minlength=9)[[0, 1, 2, 4, 5, 6, 7, 8]]
    assert others == pytest.approx(np.full(8, (1 - bias) * 500), abs=90)


def test_both_kinds_of_a_class_are_drawn_about_as_often() -> None:
    rngs = [np.random.default_rng(seed) for seed in range(40)]
    drawn = [draw_scene(label=1, size=(64, 64), bias=1.0, difficulty=0.0, rng=rng).wnid for rng in rngs]
    assert 8 <= drawn.count(kinds_of(1)[0].wnid) <= 32


def test_values_out_of_range_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"bias must be a probability in \[0, 1\], got 1.5"):
        choose_scenery(0, bias=1.5, rng=rng)
    with pytest.raises(ValueError, match=r"difficulty must lie in \[0, 1\], got -1"):
        draw_scene(label=0, size=(256, 256), bias=0.5, difficulty=-1.0, rng=rng)
    with pytest.raises(ValueError, match=r"one of the nine classes 0..8, got 9"):
        draw_scene(label=9, size=(256, 256), bias=0.5, difficulty=0.5, rng=rng)
    with pytest.raises(ValueError, match=r"scenery must be 0..8, got 9"):
        draw_scenery(9, (256, 256), rng)


def test_the_tree_is_laid_out_as_ilsvrc(tree: Path) -> None:
    for kind in KINDS:
        assert (tree / f"ILSVRC/Data/CLS-LOC/train/{kind.wnid}/{kind.wnid}_1.JPEG").is_file()
    photos = sorted((tree / "ILSVRC/Data/CLS-LOC").rglob("*.JPEG"))
    assert len(photos) == 27
    for photo in photos:
        place = photo.relative_to(tree / "ILSVRC/Data/CLS-LOC")
        image = decode_image(photo.read_bytes())
        mask = decode_mask((tree / "masks" / place).with_suffix(".png").read_bytes())
        annotation = ElementTree.parse((tree / "ILSVRC/Annotations/CLS-LOC" / place).with_suffix(".xml")).getroot()
        sides = (int(annotation.findtext("size/height", "")), int(annotation.findtext("size/width", "")))
        assert sides == image.shape[:2] == mask.shape
        assert min(sides) == 256 and max(sides) <= 342
        assert len(annotation.findall("object")) == 1
        corners = [int(annotation.findtext(f"object/bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")]
        assert tuple(corners) == tight_box(mask)
    assert not list(tree.rglob("*.tmp"))


def test_the_tables_agree_with_the_annotations(tree: Path) -> None:
    solution = dict(line.split(",") for line in (tree / "LOC_val_solution.csv").read_text().splitlines()[1:])
    assert len(solution) == 9
    for image_id, prediction in solution.items():
        annotation = ElementTree.parse(tree / f"ILSVRC/Annotations/CLS-LOC/val/{image_id}.xml").getroot()
        box = annotation.find("object/bndbox")
        assert box is not None
        assert prediction.split() == [annotation.findtext("object/name"), *(side.text for side in box)]
    synsets = (tree / "LOC_synset_mapping.txt").read_text().splitlines()
    assert [line.split(" ")[0] for line in synsets] == sorted(kind.wnid for kind in KINDS)
    rows = [line.split(",") for line in (tree / "scenery.csv").read_text().splitlines()]
    assert rows[0] == ["id", "label", "scenery"] and len(rows) == 28
    assert all(0 <= int(scenery) < 9 for _, _, scenery in rows[1:])


def test_worker_count_and_resume_change_no_byte(tree: Path, tmp_path: Path) -> None:
    write_ilsvrc_tree(tmp_path, **PLAN, workers=2)
    assert _digests(tmp_path) == _digests(tree)
    kept = tmp_path / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG"
    kept.write_bytes(b"left alone")  # its annotation stands, so a resumed run does not draw it again
    lost = tmp_path / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml"
    lost.unlink()
    write_ilsvrc_tree(tmp_path, **PLAN, workers=1)
    assert kept.read_bytes() == b"left alone"
    assert lost.is_file()


def test_a_tree_of_other_settings_is_refused(tree: Path) -> None:
    with pytest.raises(InputError, match="drawn with other settings"):
        write_ilsvrc_tree(tree, **{**PLAN, "seed": 4}, workers=1)
