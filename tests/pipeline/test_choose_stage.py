"""The segment stage by leak, from its settings to the index: a tiny SAM, and our own checkpoint as the classifier."""

from pathlib import Path

import pytest

from bgdata.labels import IN9
from bgdata.shards import ImageSet
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from models.segmenters import factory
from models.segmenters.sam import BoxMasks
from models.segmenters.sam_boxes import SamBoxes
from pipeline import fetch, ingest, segment
from tests.models.tiny_networks import tiny_sam
from tests.pipeline.test_data_stages import CONFIG, configure, project, run  # noqa: F401  # project is a fixture

CHOOSE = {
    "by": "leak",
    "keep": 4,
    "classifier": {"arch": "resnet8", "weights": None, "checkpoint": "judge.pt", "entry": None, "in9": True},
    "size": 32,
    "grey_levels": 2,
    "share": 0.1,
    "share_weight": 2.0,
    "order_weight": 0.1,
}


def write_judge(path: Path, *, seed: int) -> None:
    classifier = build_classifier("resnet8", input_size=32, classes=9, seed=seed)
    save_classifier(path, classifier, {"recipe": "original", "seed": 0, "class_list": IN9.to_record()})


def test_another_checkpoint_chooses_anew(
    project: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    masks = BoxMasks(tiny_sam(side=128, patch=16), multimask=True)
    monkeypatch.setitem(factory._BUILDERS, "sam_boxes", lambda job, *_: SamBoxes(masks, factory._candidates(job)))
    sam = {"model": "sam_vit_b", "multimask": True, "precision": "float32"}
    quality = {"min_box_share": 0.0, "max_photo_share": 1.0}
    further = {"method": "sam_boxes", "sam": sam, "choose": CHOOSE, "quality": quality}
    configure(project, "segment", CONFIG["segment"] | further)
    (project / "data/weights/segmenters").mkdir(parents=True)
    (project / "data/weights/segmenters/manifest.json").write_text("{}")
    run(fetch, ingest)
    scores = []
    for seed in (0, 1):
        write_judge(project / "judge.pt", seed=seed)
        run(segment)
        with ImageSet(project / "data/in9/masks") as found:
            assert {row.extra["candidate"] for row in found.rows} <= {"0", "1", "2", "3"}
            scores.append([row.extra["leak_score"] for row in found.rows])
        assert "chosen by leak: another mask than the method's own for" in capsys.readouterr().out
    assert scores[0] != scores[1]
