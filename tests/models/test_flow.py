"""The conditional flow: exact densities, an honest vote, stages that resume, and a checkpoint that judges take."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.sheets.sheet import draw_sheet
from bgdata.sources import open_sources
from models.classifiers.backbones import take_off_head
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.classifiers.classifier import Classifier, build_classifier
from models.classifiers.folding import fold_batch_norms
from models.classifiers.judged import judged_classifier
from models.evaluation.accuracy import predict_labels
from models.evaluation.challenge import judge_foregrounds, open_challenge
from models.evaluation.saliency import SETS_READ as SALIENCY_SETS
from models.evaluation.saliency import open_pairs, saliency_score
from models.flow import features, train
from models.flow.density import coverage, gaussian_log_prob, normality, two_sample_test
from models.flow.diagnostics import Z_COUNTS, diagnose, embed_swaps, open_flow
from models.flow.network import FlowHead, vote
from models.flow.picture import COLUMNS, LEGEND, sheet_rows
from models.flow.swaps import Swaps, open_swaps, sets_read
from models.flow.train import Examples, fit_head, joint_loss
from models.training.run import Run, Stored
from models.training.settings import FlowSettings, NamedRecipe
from models.training.train import train_recipe
from tests.models.test_training import SETTINGS, Killed, die_after_saving, generator

CPU = torch.device("cpu")
KINDS = ("nice", "maf")
FLOW: dict[str, Any] = {
    "kind": "nice",
    "width": 6,
    "transforms": 2,
    "hidden": [16],
    "z_count": 5,
    "copies": 2,
    "embedding_epochs": 3,
    "flow_epochs": 3,
    "joint_epochs": 2,
    "log_weight": 1e-3,
    "lr": 0.01,
    "batch_size": 12,
}


def new_head(kind: str = "nice", *, features: int = 7, width: int = 4, z_count: int = 5, seed: int = 0) -> FlowHead:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = FlowHead(features, 3, flow=kind, width=width, transforms=3, hidden=(16, 16), z_count=z_count)
        for parameter in head.flow.parameters():  # far from where it starts, which is almost the identity
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return head.eval()


def trained(sets: Path, folder: Path, **flow: Any) -> tuple[Classifier, list[dict[str, Any]]]:
    classifier = build_classifier("resnet10", input_size=32, classes=9, seed=1)
    recipe = NamedRecipe(name="flow", start="init", data="original", flow=FlowSettings(**FLOW | flow))
    (folder / "state").mkdir(parents=True, exist_ok=True)
    history, parameters = train_recipe(
        classifier,
        recipe,
        SETTINGS.model_copy(update={"batch_size": 18}),
        Run(3, CPU, torch.float32, folder / "state"),
        Stored(sets, folder / "pixels", 1),
    )
    assert (
        parameters["trained"]
        == parameters["head"]
        == sum(value.numel() for value in classifier.network.fc.parameters())
    )
    return classifier.eval(), history


@pytest.fixture(scope="module")
def run(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, list[dict[str, Any]]]:
    return trained(sets, tmp_path_factory.mktemp("flow"))


@pytest.mark.parametrize("kind", KINDS)
def test_samples_and_latents_are_each_others_inverse(kind: str) -> None:
    head = new_head(kind).double()
    given, latents = torch.randn(2, 9, 4, generator=generator(), dtype=torch.float64)
    moved = head.sample(given, latents[:, None])[:, 0]
    assert torch.allclose(head.to_latents(moved, given)[0], latents, atol=1e-9)
    assert not torch.allclose(moved, latents, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_determinant_is_autograds(kind: str) -> None:
    head = new_head(kind).double()
    for given, moved in torch.randn(3, 2, 4, generator=generator(), dtype=torch.float64):
        matrix = jacobian(lambda point, given=given: head.to_latents(point[None], given[None])[0][0], moved)
        latents, determinant = head.to_latents(moved[None], given[None])
        assert torch.allclose(determinant[0], matrix.det().abs().log())
        normal = torch.distributions.Normal(0, 1).log_prob(latents[0]).sum()
        assert torch.allclose(head.log_prob(moved[None], given[None])[0], normal + matrix.det().abs().log())


def test_each_sample_stands_beside_its_own_photo() -> None:
    head = new_head()
    given, latents = torch.randn(5, 4, generator=generator()), torch.randn(5, 3, 4, generator=generator(1))
    together = head.sample(given, latents)
    for row in range(5):
        for column in range(3):
            alone = head.sample(given[row][None], latents[row, column][None, None])[0, 0]
            assert torch.allclose(together[row, column], alone, atol=1e-5)


def test_labels_stand_beside_their_samples_in_the_joint_loss() -> None:
    head = new_head().double()
    pairs = torch.randn(6, 2, 7, generator=generator(), dtype=torch.float64)
    latents = torch.randn(6, 3, 4, generator=generator(1), dtype=torch.float64)
    labels = torch.arange(6) % 3
    expected = []
    for pair, latent, label in zip(pairs, latents, labels, strict=True):
        given, moved = head.embed(pair)
        wrong = [
            -head.classifier(head.sample(given[None], one[None, None])[0, 0]).log_softmax(0)[label] for one in latent
        ]
        expected.append(torch.stack(wrong).mean() - 0.1 * head.log_prob(moved[None], given[None])[0])
    found = joint_loss(head, pairs, labels, latents, log_weight=0.1)
    assert torch.allclose(found, torch.stack(expected).mean())


def logits_of(*winners: int, strength: float = 2.0) -> Tensor:
    """One image's classifications: each of its samples is for one class of three."""
    return strength * torch.eye(3)[list(winners)][None]


def test_the_class_with_most_votes_wins_however_sure_the_others_are() -> None:
    answer = vote(torch.cat((logits_of(1, 1, 1, strength=0.01), logits_of(2, 2, strength=50.0)), 1))
    assert answer.argmax(1).tolist() == [1]
    shares = answer.softmax(1)[0]
    assert torch.allclose(shares, torch.tensor([0.0, 0.6, 0.4]), atol=0.06)
    assert torch.allclose(answer.exp().sum(1), torch.ones(1))


def test_the_mean_probability_breaks_ties() -> None:
    answer = vote(torch.cat((logits_of(0, 0, strength=1.0), logits_of(2, 2, strength=3.0)), 1))
    assert answer.argmax(1).tolist() == [2]
    assert vote(torch.cat((logits_of(0, strength=9.0), logits_of(1, strength=3.0)), 1)).argmax(1).tolist() == [0]


def test_a_vote_is_finite_and_counts_each_sample_once() -> None:
    certain = vote(logits_of(*[1] * 16, strength=1e4))
    assert torch.isfinite(certain).all()
    votes = torch.randint(0, 3, (40, 9), generator=generator())
    answers = vote(torch.cat([logits_of(*row.tolist()) for row in votes]))
    counts = torch.stack([(votes == label).sum(1) for label in range(3)], 1)
    largest = counts.gather(1, answers.argmax(1)[:, None])[:, 0]
    assert torch.equal(largest, counts.amax(1))


def test_one_sample_is_its_own_vote() -> None:
    head = new_head(z_count=1)
    shown = torch.randn(30, 7, generator=generator())
    sampled = head.sample(head.embed(shown), head.latents.expand(30, -1, -1))[:, 0]
    assert torch.equal(head(shown).argmax(1), head.classifier(sampled).argmax(1))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_depends_on_its_image_alone(kind: str) -> None:
    head = new_head(kind)
    shown = torch.randn(8, 7, generator=generator())
    together = head(shown)
    assert torch.equal(together, head(shown))
    assert torch.allclose(together, torch.cat([head(one) for one in shown.split(1)]), atol=1e-6)


def test_features_that_hardly_vary_are_not_blown_up() -> None:
    head = new_head()
    head.standardise(torch.zeros(7), torch.tensor([0.0, *[1.0] * 6]))
    assert torch.isfinite(head(torch.ones(2, 7))).all()
    assert float(head.feature_std.min()) > 0.005


def test_a_known_gaussian_is_learned(tmp_path: Path) -> None:
    """Pairs that are one linear map and correlated noise apart; nats a dimension against the truth."""
    head = new_head(features=2, width=2)
    head.embedding = torch.nn.Sequential(torch.nn.Identity())  # the flow alone: embeddings are what is given
    slope, noise = torch.tensor([[0.6, -0.3], [0.2, 0.5]]), torch.tensor([[0.5, 0.0], [0.4, 0.3]])
    given = torch.randn(4000, 2, generator=generator())
    moved = given @ slope + torch.randn(4000, 2, generator=generator(1)) @ noise.T
    pairs, held_out = torch.stack((given, moved), 1)[:3000].numpy(), (given[3000:], moved[3000:])
    flow = FlowSettings(**FLOW | {"flow_epochs": 15, "joint_epochs": 0, "embedding_epochs": 1, "batch_size": 100})
    examples = Examples([pairs], torch.zeros(3000).long(), lambda _: np.arange(3000), given[:2], torch.zeros(2).long())
    history = fit_head(head, flow, examples, seed=0, folder=tmp_path, label="toy")
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=noise)
    best = float(truth.log_prob(held_out[1] - held_out[0] @ slope).mean()) / 2
    with torch.no_grad():
        found = float(head.log_prob(held_out[1], held_out[0]).mean()) / 2
        latents = head.to_latents(held_out[1], held_out[0])[0].double()
    assert best - 0.05 < found < best + 0.05
    assert -history[-1]["train_loss"] == pytest.approx(best, abs=0.05)
    assert normality(latents)[0] < 0.06
    assert coverage(latents, (0.5, 0.95)) == pytest.approx([0.5, 0.95], abs=0.05)
    fitted = (given[:3000].double(), moved[:3000].double())
    baseline = gaussian_log_prob(fitted, held_out[0].double(), held_out[1].double(), ridge=1e-6)
    assert float(baseline.mean()) / 2 == pytest.approx(best, abs=0.02)


def test_the_two_sample_test_tells_samples_apart_and_equal_ones_not() -> None:
    first, second = torch.randn(2, 60, 3, generator=generator(), dtype=torch.float64)
    _, same = two_sample_test(first, second, permutations=199, generator=generator())
    statistic, other = two_sample_test(first, 1.8 * second, permutations=199, generator=generator())
    assert same > 0.05
    assert other <= 0.01
    assert statistic > 0
    assert two_sample_test(first, first, permutations=9, generator=generator())[0] == pytest.approx(0, abs=1e-12)


def test_coverage_and_normality_know_a_standard_normal() -> None:
    latents = torch.randn(3000, 5, generator=generator(), dtype=torch.float64)
    assert coverage(latents, (0.5, 0.8, 0.95)) == pytest.approx([0.5, 0.8, 0.95], abs=0.03)
    assert coverage(3 * latents, (0.95,))[0] < 0.5
    assert normality(latents)[0] < 0.03
    assert normality(latents + 0.5)[1] == 1.0


def test_the_history_has_a_row_an_epoch_and_the_backbone_stays(run: tuple[Classifier, list[dict[str, Any]]]) -> None:
    classifier, history = run
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert all(set(row) == {"epoch", "lr", "train_loss", "val_accuracy"} for row in history)
    assert history[2]["train_loss"] < history[0]["train_loss"]
    assert history[5]["train_loss"] < history[3]["train_loss"]
    before = build_classifier("resnet10", input_size=32, classes=9, seed=1).network.state_dict()
    after = classifier.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before if not key.startswith("fc."))
    assert not torch.equal(classifier.network.fc.feature_mean, torch.zeros(512))


@pytest.mark.parametrize("saves", [1, 3, 5])
def test_a_killed_training_ends_in_the_same_weights(
    sets: Path,
    tmp_path: Path,
    run: tuple[Classifier, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    saves: int,
) -> None:
    saved = die_after_saving(monkeypatch, saves, train)
    with pytest.raises(Killed):
        trained(sets, tmp_path)
    monkeypatch.setattr(features, "_view", None)  # what is embedded stays so
    classifier, history = trained(sets, tmp_path)
    assert len(saved) == 8
    assert history == run[1]
    for key, value in run[0].network.state_dict().items():
        assert torch.equal(value, classifier.network.state_dict()[key]), key


def test_a_checkpoint_answers_as_before(tmp_path: Path, run: tuple[Classifier, list[dict[str, Any]]]) -> None:
    classifier, _ = run
    save_classifier(tmp_path / "model.pt", classifier, {"recipe": {"name": "flow"}, "seed": 3})
    loaded, record = load_classifier(tmp_path / "model.pt")
    assert (record["head"]["kind"], record["head"]["flow"]) == ("flow", "nice")
    images = torch.rand(4, 3, 32, 32, generator=generator())
    with torch.inference_mode():
        assert torch.equal(classifier(images), loaded(images))


def test_judges_take_it(sets: Path, run: tuple[Classifier, list[dict[str, Any]]]) -> None:
    model = judged_classifier(run[0], IN9)
    folded = fold_batch_norms(model.network)
    assert folded is not None
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    data, _ = open_challenge(open_sources(sets, sets_read("t")), split="val", workers=1)
    found = judge_foregrounds(model, data, device=CPU, eval_batch=16, precision=torch.bfloat16, full=True)
    fooled = found.table.fooled(found.rows)
    for row, label in enumerate(data.labels):
        assert fooled[row].tolist() == [other != label for other in labels_on_backgrounds(run[0], data, row)]
    pairs = open_pairs(open_sources(sets, SALIENCY_SETS), split="val", per_class=1, seed=0, workers=1)
    assert saliency_score(model, pairs, device=CPU)["variants"]


def labels_on_backgrounds(classifier: Classifier, data: Any, row: int) -> list[int]:
    """The predictions of a foreground on every background."""
    image, mask = data.foregrounds[row], data.masks[row][..., None]
    pasted = np.stack([np.where(mask, image, behind) for behind in data.backgrounds])
    return predict_labels(classifier, pasted, device=CPU, batch=4).tolist()


@pytest.fixture(scope="module")
def swaps(sets: Path) -> dict[str, Swaps]:
    sources = open_sources(sets, sets_read("t"))
    return {
        split: open_swaps(sources, split=split, size=32, most=None, folder=None, workers=1)
        for split in ("train", "val")
    }


def test_swaps_show_the_foreground_on_another_photos_background(swaps: dict[str, Swaps]) -> None:
    val = swaps["val"]
    swapped = val.swapped(seed=0)
    np.testing.assert_array_equal(swapped[val.masks], val.photos[val.masks])
    for place in range(len(val.ids)):
        drawn = val.draw(place, 200, seed=0)
        assert val.own[place] not in drawn
        assert set(drawn) == set(range(18)) - {place}


def test_diagnostics_and_picture(swaps: dict[str, Swaps], run: tuple[Classifier, list[dict[str, Any]]]) -> None:
    backbone, head = open_flow(run[0])
    embedded = {split: embed_swaps(backbone, head, found, seed=0) for split, found in swaps.items()}
    score = diagnose(head, embedded["train"], embedded["val"], seed=0)
    assert score == diagnose(head, embedded["train"], embedded["val"], seed=0)
    assert (score["kind"], score["width"], score["count"]) == ("nice", 6, 18)
    assert set(score["likelihood"]) == {"flow", "gaussian", "flow_on_train"}
    assert all(math.isfinite(value) for value in score["likelihood"].values())
    assert 0 < score["two_sample"]["p_value"] <= 1
    shares = [*score["calibration"]["coverage"].values()]
    assert shares == sorted(shares)
    for accuracies in score["accuracy"].values():
        assert set(accuracies) == {"embedding", *map(str, Z_COUNTS), "5"}
    assert score["accuracy"]["original"]["embedding"] >= run[1][2]["val_accuracy"] - 0.3
    rows = sheet_rows(backbone, head, swaps["val"], embedded["val"], count=3, seed=0)
    sheets = [draw_sheet(rows, title="x", columns=COLUMNS, legend=LEGEND) for _ in range(2)]
    assert len({row.title.split(" (")[0] for row in rows}) == 3
    assert sheets[0] == sheets[1]


def test_what_has_no_flow_or_learns_nothing_is_a_sentence(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the checkpoint has no flow: train a recipe with `flow`"):
        open_flow(build_classifier("resnet10", input_size=32, classes=9))
    with pytest.raises(InputError, match=r"loss of flow is no longer a number in epoch \d: lower recipes.flow.flow.lr"):
        trained(sets, tmp_path, lr=1e30)


def test_a_flow_comes_off_whole(run: tuple[Classifier, list[dict[str, Any]]]) -> None:
    classifier = copy.deepcopy(run[0])
    assert take_off_head(copy.deepcopy(classifier.network))(torch.rand(2, 3, 32, 32)).shape == (2, 512)
    classifier.replace_head({"kind": "linear"})
    assert (classifier.network.fc.in_features, classifier.network.fc.out_features) == (512, 9)
