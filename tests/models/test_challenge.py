import copy
import dataclasses
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bgdata.classes import plain_class_list
from bgdata.compose.paste import paste_foreground
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.pixels import load_pixels
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.classifiers.programs import Program, load_exported, load_torchscript
from models.evaluation import challenge
from models.evaluation.challenge import SETS_READ, challenge_score, judge_foregrounds, open_challenge
from models.evaluation.pairs import ChallengeData, Margins, _AtRest
from models.evaluation.table import DECIDED, ESTIMATED, UNTRIED, PairTable
from tests.releases import draw_release

CPU = torch.device("cpu")
BOTH = pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)


@pytest.fixture(scope="module")
def classifier() -> Judged:
    """Untrained, with a head that makes its answers depend on the image."""
    classifier = build_classifier("resnet10", input_size=32, seed=2, classes=9).eval()
    with torch.no_grad():
        classifier.network.fc.weight.mul_(20)
    return judged_classifier(classifier, IN9).eval()


@pytest.fixture(scope="module")
def data(classifier: Judged) -> ChallengeData:
    """Foregrounds labelled as the network sees most of them, so that both verdicts occur."""
    rng = np.random.default_rng(1)
    count, backgrounds, side = 24, 16, 40
    foregrounds = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-60, 60, (count, side, side, 3))
    masks = np.zeros((count, side, side), bool)
    for mask in masks:
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 26, left : left + 26] = True
    plain = rng.integers(0, 256, (backgrounds, 1, 1, 3)) + rng.integers(-20, 20, (backgrounds, side, side, 3))
    made = ChallengeData(
        foregrounds=foregrounds.clip(0, 255).astype(np.uint8),
        masks=masks,
        labels=np.zeros(count, np.int64),
        ids=tuple(f"fg{index}" for index in range(count)),
        backgrounds=plain.clip(0, 255).astype(np.uint8),
        background_labels=np.arange(backgrounds) % 9,
        background_ids=tuple(f"bg{index}" for index in range(backgrounds)),
        class_list=IN9,
    )
    labels = [np.bincount(predictions(classifier, made, index)).argmax() for index in range(count)]
    return dataclasses.replace(made, labels=np.array(labels, np.int64))


def predictions(classifier: Judged, data: ChallengeData, index: int) -> np.ndarray:
    """One foreground on each background, one by one, as the definition says: the reference implementation."""
    composites = [paste_foreground(bg, data.foregrounds[index], data.masks[index]) for bg in data.backgrounds]
    with torch.inference_mode():
        images = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in composites]
        return np.array([int(classifier.class_logits(classifier(image)).argmax()) for image in images])


def brute_force(classifier: Judged, data: ChallengeData) -> np.ndarray:
    """Which pairs fool, `n m`."""
    return np.stack([predictions(classifier, data, i) != label for i, label in enumerate(data.labels)])


def fewer_backgrounds(data: ChallengeData, chosen: slice) -> ChallengeData:
    return dataclasses.replace(
        data,
        backgrounds=data.backgrounds[chosen].copy(),
        background_labels=data.background_labels[chosen].copy(),
        background_ids=data.background_ids[chosen],
    )


@BOTH
def test_verdicts_are_those_of_brute_force(classifier: Judged, data: ChallengeData, precision: torch.dtype) -> None:
    verdicts = judge_foregrounds(classifier, data, device=CPU, eval_batch=64, precision=precision)
    fooled = brute_force(classifier, data)
    assert verdicts.vulnerable.tolist() == fooled.any(1).tolist()
    assert 0 < verdicts.vulnerable.sum() < len(data.labels)
    robust = int((~verdicts.vulnerable).sum())
    assert robust * len(data.backgrounds) <= verdicts.forward_passes < len(data.labels) * len(data.backgrounds)
    assert all(fooled[row, by] for row, by in enumerate(verdicts.fooled_by) if by >= 0)
    assert (verdicts.fooled_by >= 0).tolist() == verdicts.vulnerable.tolist()


@BOTH
def test_full_visits_every_pair_and_counts_rates(
    classifier: Judged, data: ChallengeData, precision: torch.dtype
) -> None:
    verdicts = judge_foregrounds(classifier, data, device=CPU, eval_batch=64, precision=precision, full=True)
    fooled = brute_force(classifier, data)
    assert verdicts.forward_passes == fooled.size
    score = challenge_score(verdicts, data, full=True)
    assert [row["fooling_rate"] for row in score["foregrounds"]] == pytest.approx(fooled.mean(1).tolist())
    assert [row["fooling_rate"] for row in score["background_rates"]] == pytest.approx(fooled.mean(0).tolist())
    others = data.labels != data.background_labels[3]
    assert score["background_rates"][3]["fooling_rate_other_classes"] == pytest.approx(fooled[others, 3].mean())


class Noisy(Margins):
    """Estimates that are off by much more than bfloat16's."""

    def estimate(self, foregrounds: np.ndarray, backgrounds: np.ndarray) -> np.ndarray:
        exact = super().estimate(foregrounds, backgrounds)
        return exact + np.float32(0.4) * np.sin(17.0 * foregrounds + 5.0 * backgrounds).astype(np.float32)


def test_bad_estimates_cost_decisions_and_change_no_verdict(
    classifier: Judged, data: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    monkeypatch.setattr(challenge, "Margins", Noisy)
    noisy = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    assert (noisy.vulnerable == good.vulnerable).all()
    assert noisy.decided > good.decided
    assert noisy.table.bound > 1


def test_a_growing_error_puts_earlier_estimates_in_doubt() -> None:
    table = PairTable(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8))
    none = np.zeros(1, np.int64)
    table.record(none, none, np.array([-0.5], np.float32), known=ESTIMATED)
    assert table.fooled(none).tolist() == [[True, False, False]]
    table.record(none, none + 1, np.array([0.1], np.float32), known=ESTIMATED)
    table.record(none, none + 1, np.array([0.4], np.float32), known=DECIDED)
    assert table.bound == pytest.approx(0.9)
    assert table.fooled(none).tolist() == [[False, False, False]]
    assert table.doubtful(none).tolist() == [[True, False, False]]
    assert table.known.tolist() == [[ESTIMATED, DECIDED, UNTRIED]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@BOTH
def test_verdicts_on_cuda_are_those_of_the_cpu(classifier: Judged, data: ChallengeData, precision: torch.dtype) -> None:
    on_cpu = judge_foregrounds(copy.deepcopy(classifier), data, device=CPU, eval_batch=64).vulnerable
    cuda = torch.device("cuda")
    on_cuda = judge_foregrounds(copy.deepcopy(classifier), data, device=cuda, eval_batch=64, precision=precision)
    assert (on_cpu == on_cuda.vulnerable).all()


@BOTH
@pytest.mark.parametrize(("eval_batch", "pairs"), [(1, 128), (7, 128), (500, 8), (64, 1)])
def test_batches_and_order_do_not_change_verdicts(
    classifier: Judged, data: ChallengeData, eval_batch: int, pairs: int, precision: torch.dtype
) -> None:
    expected = judge_foregrounds(classifier, data, device=CPU, eval_batch=64).vulnerable
    for tried in (data, fewer_backgrounds(data, slice(None, None, -1))):
        verdicts = judge_foregrounds(
            classifier, tried, device=CPU, eval_batch=eval_batch, round_pairs=pairs, precision=precision
        )
        assert (verdicts.vulnerable == expected).all()


def test_the_batch_does_not_change_the_score(classifier: Judged, data: ChallengeData) -> None:
    one, other = (
        challenge_score(judge_foregrounds(classifier, data, device=CPU, eval_batch=batch), data) for batch in (16, 50)
    )
    assert one == other


def test_more_backgrounds_never_raise_challenge_accuracy(classifier: Judged, data: ChallengeData) -> None:
    before = np.zeros(len(data.labels), bool)
    for count in (1, 3, 8, 16):
        fewer = fewer_backgrounds(data, slice(count))
        vulnerable = judge_foregrounds(classifier, fewer, device=CPU, eval_batch=64).vulnerable
        assert (vulnerable >= before).all()
        before = vulnerable


def test_a_killed_challenge_goes_on_where_it_was(
    classifier: Judged, data: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    estimate, passes = Margins.estimate, []

    def estimate_then_die(self: Margins, foregrounds: np.ndarray, backgrounds: np.ndarray) -> np.ndarray:
        if sum(passes) > 40:
            raise KeyboardInterrupt
        passes.append(len(foregrounds))
        return estimate(self, foregrounds, backgrounds)

    def judge() -> challenge.Verdicts:
        return judge_foregrounds(classifier, data, device=CPU, eval_batch=64, folder=tmp_path, round_pairs=16)

    monkeypatch.setattr(Margins, "estimate", estimate_then_die)
    with pytest.raises(KeyboardInterrupt):
        judge()
    done = sum(passes)
    passes.clear()
    monkeypatch.setattr(Margins, "estimate", lambda *a: passes.append(len(a[1])) or estimate(*a))
    resumed = judge()
    assert (resumed.vulnerable == unbroken.vulnerable).all()
    assert done + sum(passes) == resumed.forward_passes
    passes.clear()
    assert (judge().vulnerable == unbroken.vulnerable).all()
    assert not passes


def test_a_table_of_another_model_is_begun_anew(classifier: Judged, data: ChallengeData, tmp_path: Path) -> None:
    for identity in ("one", "another"):
        verdicts = judge_foregrounds(
            classifier, data, device=CPU, eval_batch=64, folder=tmp_path, identity=identity, full=identity == "one"
        )
    assert verdicts.forward_passes < len(data.labels) * len(data.backgrounds)


def test_parts_fill_one_table(classifier: Judged, data: ChallengeData, tmp_path: Path) -> None:
    whole = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    parts = [
        judge_foregrounds(classifier, data, device=CPU, eval_batch=64, folder=tmp_path, part=(part, 3))
        for part in (1, 2, 3)
    ]
    assert [len(part.rows) for part in parts] == [8, 8, 8]
    joined = judge_foregrounds(classifier, data, device=CPU, eval_batch=64, folder=tmp_path)
    assert joined.vulnerable.tolist() == whole.vulnerable.tolist()
    assert joined.forward_passes == sum(part.forward_passes for part in parts)
    assert all((joined.vulnerable[part.rows] == part.vulnerable).all() for part in parts)


def test_a_part_of_nothing_is_a_sentence(classifier: Judged, data: ChallengeData) -> None:
    with pytest.raises(InputError, match="part 25/30 has no foreground: there are 24"):
        judge_foregrounds(classifier, data, device=CPU, eval_batch=64, part=(25, 30))


def test_the_score_counts_foregrounds_and_classes(sets: Path) -> None:
    model = judged_classifier(build_classifier("resnet10", input_size=32, classes=9), IN9)
    data, without_mask = open_challenge(open_sources(sets, SETS_READ), split="val", workers=2)
    assert without_mask == 0
    score = challenge_score(judge_foregrounds(model, data, device=CPU, eval_batch=64), data)
    assert score["count"] == score["backgrounds"] == len(data.ids) == 18
    assert score["vulnerable"] == sum(row["vulnerable"] for row in score["foregrounds"])
    assert score["challenge_accuracy"] == pytest.approx(1 - score["vulnerable"] / 18)
    assert sum(row["vulnerable"] for row in score["per_class"].values()) == score["vulnerable"]
    assert list(score["per_class"])[2] == "02_wheeled vehicle"
    assert score["per_class"]["00_dog"]["count"] == 2
    first = score["foregrounds"][0]
    assert (first["id"], first["label"]) == (data.ids[0], 0)
    assert (first["fooled_by"] is not None) == first["vulnerable"]


def test_masks_and_photos_that_do_not_match(tmp_path: Path) -> None:
    draw_release(tmp_path, names=SETS_READ, side=32)
    (tmp_path / "fg_mask/val/00_dog/n00000000_1.npy").unlink()
    data, without_mask = open_challenge(open_sources(tmp_path, SETS_READ), split="val", workers=1)
    assert (len(data.ids), without_mask) == (17, 1)
    (tmp_path / "original/val/08_fish/n00000008_2.JPEG").unlink()
    with pytest.raises(InputError, match=r"fg_mask has 1 masks without a photo: 08_fish/n00000008_2.npy has none in"):
        open_challenge(open_sources(tmp_path, SETS_READ), split="val", workers=1)
    shutil.rmtree(tmp_path / "only_bg_t")
    draw_release(tmp_path, names=("only_bg_t", "original"), side=48)
    with pytest.raises(InputError, match=r"differ in size \(original 48x48, fg_mask 32x32, only_bg_t 48x48\)"):
        open_challenge(open_sources(tmp_path, SETS_READ), split="val", workers=1)


def test_the_arrays_are_those_of_the_other_judges(sets: Path, tmp_path: Path) -> None:
    opened = open_sources(sets, SETS_READ)
    originals = load_pixels(
        opened["original"],
        opened["original"].split("val"),
        size=None,
        folder=tmp_path / "original",
        workers=1,
        label="",
    )
    data, _ = open_challenge(opened, split="val", workers=1, folder=tmp_path)
    assert data.foregrounds.filename == originals.filename


def test_two_images_of_one_photo_are_named(tmp_path: Path) -> None:
    draw_release(tmp_path, names=SETS_READ, side=32)
    first = tmp_path / "only_bg_t/val/00_dog/n00000000_1.JPEG"
    first.with_suffix(".JPG").write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=r"only_bg_t has two images of one photo, .*_1.JPEG"):
        open_challenge(open_sources(tmp_path, SETS_READ), split="val", workers=1)


def test_composites_at_rest_are_those_of_tensors(data: ChallengeData) -> None:
    composites = _AtRest(data)
    rng = np.random.default_rng(0)
    for count in (3, 7, 2):
        places = rng.integers(0, len(data.labels), count), rng.integers(0, len(data.backgrounds), count)
        foregrounds, masks = (torch.from_numpy(array[places[0]]) for array in (data.foregrounds, data.masks))
        behind = torch.from_numpy(data.backgrounds[places[1]]).permute(0, 3, 1, 2)
        expected = paste_foreground(behind, foregrounds.permute(0, 3, 1, 2), masks[:, None]).float().div_(255)
        found = composites.paste(*places)
        assert torch.equal(found, expected)
        assert found.stride() == expected.stride()


def test_parts_that_start_together_decode_one_after_the_other(sets: Path, tmp_path: Path) -> None:
    def opened() -> ChallengeData:
        return open_challenge(open_sources(sets, SETS_READ), split="val", workers=1, folder=tmp_path)[0]

    with ThreadPoolExecutor(4) as pool:
        parts = [future.result() for future in [pool.submit(opened) for _ in range(4)]]
    expected = open_challenge(open_sources(sets, SETS_READ), split="val", workers=1)[0]
    for part in parts:
        assert (part.foregrounds == expected.foregrounds).all()
        assert (part.masks == expected.masks).all()
        assert (part.backgrounds == expected.backgrounds).all()


def test_logits_that_are_not_finite_are_a_sentence(classifier: Judged, data: ChallengeData) -> None:
    broken = copy.deepcopy(classifier)
    with torch.no_grad():
        broken.network.fc.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="not finite"):
        judge_foregrounds(broken, data, device=CPU, eval_batch=64)


def as_torchscript(network: nn.Module, path: Path) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.rand(2, 3, 32, 32)).save(path)
    return load_torchscript(path)


def as_exported(network: nn.Module, path: Path) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, (torch.rand(5, 3, 32, 32),)), path)
    return load_exported(path)


@BOTH
@pytest.mark.parametrize("make", [as_torchscript, as_exported])
def test_programs_get_the_verdicts_of_their_network(
    classifier: Judged, data: ChallengeData, tmp_path: Path, make: Callable, precision: torch.dtype
) -> None:
    program = make(copy.deepcopy(classifier.network), tmp_path / "program.pt2")
    statistics = {"mean": classifier.mean.flatten().tolist(), "std": classifier.std.flatten().tolist()}
    model = Judged(program, class_list=IN9, classes=9, size=classifier.size, **statistics)
    verdicts = judge_foregrounds(model, data, device=CPU, eval_batch=8, precision=precision)
    assert verdicts.vulnerable.tolist() == brute_force(classifier, data).any(1).tolist()


class Stubborn(nn.Module):
    """Does what neither tracing nor bfloat16 allows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.network(images if images.mean() > -99 else -images)
        return found @ torch.eye(9) if found.dtype == torch.float32 else torch.mv(found, torch.ones(9))


def test_models_that_cannot_be_made_fast_are_judged_as_they_are(classifier: Judged, data: ChallengeData) -> None:
    stubborn = copy.deepcopy(classifier)
    stubborn.network = Stubborn(stubborn.network)
    verdicts = judge_foregrounds(stubborn, data, device=CPU, eval_batch=8)
    assert verdicts.vulnerable.tolist() == brute_force(classifier, data).any(1).tolist()
    with pytest.raises(InputError, match="does not run in bfloat16"):
        judge_foregrounds(stubborn, data, device=CPU, eval_batch=8, precision=torch.bfloat16)


def test_a_model_of_another_list_than_the_data_is_a_sentence(classifier: Judged, data: ChallengeData) -> None:
    others = dataclasses.replace(data, class_list=plain_class_list("digits", [str(label) for label in range(9)]))
    with pytest.raises(InputError, match=r"the model has the classes in9 .*, but the data has digits \(9 classes: 0"):
        judge_foregrounds(classifier, others, device=CPU, eval_batch=8)
