"""`profile: sample`, from the archive to masks: real stages and loading code, small networks and photos."""

import argparse
import csv
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from bgdata.errors import InputError
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.io import encode_jpeg
from bgdata.labels import CLASS_NAMES, in9_label_by_wnid
from bgdata.shards import ImageSet
from models.segmenters import grounding_dino, sam
from pipeline import config, fetch, fetch_weights, ingest, segment
from pipeline.params import WEIGHTS
from tests.conftest import ROOT
from tests.models.tiny_networks import tiny_grounding_dino, tiny_sam, write_bert

pytestmark = pytest.mark.usefixtures("one_thread")

# Two synsets of each class: what is left of the sample here.
WNIDS = {
    wnid: label
    for label in range(9)
    for wnid, label in [pair for pair in in9_label_by_wnid().items() if pair[1] == label][:2]
}


def write_archive(path: Path) -> None:
    """An archive of the form of EliSchwartz/imagenet-sample-images: flat files in one folder, also of other classes."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("imagenet-sample-images-master/README.md", "photos")
        for wnid in [*WNIDS, "n04522168"]:
            image = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (320, 270))
            archive.writestr(f"imagenet-sample-images-master/{wnid}_thing.JPEG", encode_jpeg(image, 90))


def publish(mirror: Path, patch: pytest.MonkeyPatch) -> None:
    """A mirror with the archive and small networks' weights, and a table of sources that knows their hashes."""
    mirror.mkdir()
    bert = write_bert(mirror / "bert")
    for path in bert.iterdir():
        path.rename(mirror / path.name)
    write_bert(mirror / "again")
    torch.save({"model": tiny_grounding_dino(mirror / "again").state_dict()}, mirror / "groundingdino_swint_ogc.pth")
    torch.save(tiny_sam().state_dict(), mirror / "sam_vit_b_01ec64.pth")
    (archive,) = SOURCES["imagenet_sample_images"]
    write_archive(mirror / archive.name)
    for source in ("sam_vit_b", "groundingdino_swint_ogc", "bert_base_uncased", "imagenet_sample_images"):
        files = tuple(
            RemoteFile(file.name, file.url, sha256=hashlib.sha256((mirror / file.name).read_bytes()).hexdigest())
            for file in SOURCES[source]
        )
        patch.setitem(SOURCES, source, files)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml at `profile: sample`, which is the working directory."""
    publish(tmp_path / "mirror", monkeypatch)
    monkeypatch.setattr(grounding_dino, "build_network", lambda _, bert: tiny_grounding_dino(bert, seed=1))
    monkeypatch.setitem(sam.sam_model_registry, "vit_b", lambda: tiny_sam(seed=1))
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["profile"] = "sample"
    lines = [f"{CLASS_NAMES[label]},{wnid}" for wnid, label in WNIDS.items()]
    (tmp_path / "few.csv").write_text("\n".join(["class,wnid", *lines]))
    params["profiles"]["sample"]["classes"] = str(tmp_path / "few.csv")
    params["runtime"] |= {"device": "cpu", "workers": 1, "mirror": (tmp_path / "mirror").as_uri()}
    # What is drawn at random matches nothing well.
    params["segment"]["grounding_dino"] |= {"box_threshold": 0.0, "keep": "best", "precision": "float32"}
    params["segment"]["sam"] |= {"precision": "float32"}
    params["segment"]["quality"] |= {"max_photo_share": 1.0}
    folder = tmp_path / "project"
    folder.mkdir()
    yaml.dump(params, folder / "params.yaml")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("WORK_DIR", raising=False)
    monkeypatch.delenv("IMAGENET", raising=False)
    return folder


@pytest.mark.slow
def test_the_samples_photos_have_no_box_and_get_masks_by_text(project: Path) -> None:
    config.main(argparse.Namespace(changed=False))
    for group in WEIGHTS:
        fetch_weights.main(argparse.Namespace(group=group))
    for stage in (fetch, ingest, segment):
        stage.main(argparse.Namespace())
    fetched = {path.name for path in (project / "data/weights").rglob("*.*") if path.name != "manifest.json"}
    assert fetched == {"sam_vit_b_01ec64.pth", "groundingdino_swint_ogc.pth", "config.json", "vocab.txt"}
    photos = ImageSet(project / "data/in9/photos")
    assert {row.wnid for row in photos.rows} == set(WNIDS)
    assert {(row.split, row.extra["x0"]) for row in photos.rows} == {("val", "")}
    manifest = json.loads((project / "data/in9/masks/manifest.json").read_text())
    assert manifest["method"] == "grounded_sam"
    with (project / "data/in9/masks/detections.csv").open() as file:
        detections = list(csv.DictReader(file))
    kept = [row for row in detections if row["mask_score"]]
    assert len(kept) == len(WNIDS) < len(detections)


def test_weights_that_are_not_those_of_the_table_are_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "sam_vit_b_01ec64.pth").write_bytes(b"another file")
    config.main(argparse.Namespace(changed=False))
    with pytest.raises(InputError, match=r"sam_vit_b_01ec64\.pth"):
        fetch_weights.main(argparse.Namespace(group="segmenters"))
    assert not (project / "data/weights/segmenters").exists()


def test_weights_that_are_there_are_not_fetched_again(project: Path, tmp_path: Path) -> None:
    config.main(argparse.Namespace(changed=False))
    fetch_weights.main(argparse.Namespace(group="segmenters"))
    shutil.rmtree(project / ".work")
    shutil.rmtree(tmp_path / "mirror")
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    params["profiles"]["sample"]["segment"]["method"] = "sam_boxes"
    yaml.dump(params, project / "params.yaml")
    config.main(argparse.Namespace(changed=False))
    fetch_weights.main(argparse.Namespace(group="segmenters"))
    kept = {path.name for path in (project / "data/weights/segmenters").rglob("*.*")}
    assert kept == {"sam_vit_b_01ec64.pth", "manifest.json"}
