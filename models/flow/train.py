"""Training of a flow head, in stages, on the features of a frozen backbone."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float, Float32, Int64
from torch import Generator, Tensor, nn
from tqdm import tqdm

from bgdata.errors import InputError
from models.classifiers.classifier import Classifier
from models.devices import exact_arithmetic
from models.flow.features import image_features, paired_features, take_apart
from models.flow.network import FlowHead
from models.training.batches import full_batches, generator_of
from models.training.distributed import process_count
from models.training.orders import Order
from models.training.recipes import open_recipe, open_validation
from models.training.run import Run, Stored
from models.training.schedule import learning_rate
from models.training.settings import BackgroundSettings, FlowSettings, LoopSettings, NamedRecipe
from models.training.tuning import count_parameters
from models.weights.files import read_torch_file, save_whole

STATE = "state.pt"
# The loss of a batch: features of photos and of their copies on other backgrounds, and labels.
Loss = Callable[[Float32[Tensor, "b 2 d"], Int64[Tensor, " b"], Generator], Tensor]


@dataclass(frozen=True)
class Stage:
    """A part of the training: what it minimises, which modules it trains, and how the head answers meanwhile."""

    epochs: int
    loss: Loss
    trained: nn.ModuleList
    answer: Callable[[Float32[Tensor, "b d"]], Tensor]


@dataclass(frozen=True)
class Examples:
    """Features for the stages: of each copy all photos with their swapped twins, in an order drawn each epoch."""

    views: Sequence[Float32[np.ndarray, "n 2 d"]]
    labels: Int64[Tensor, " n"]
    order: Order
    val_features: Float32[Tensor, "v d"]
    val_labels: Int64[Tensor, " v"]


def fit_flow(
    classifier: Classifier,
    recipe: NamedRecipe,
    settings: LoopSettings,
    run: Run,
    stored: Stored,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Give a classifier a flow head and train that in place (as `train_recipe` does, returning the same).

    `settings` speaks for the crops, the batches and the precision of the backbone's one pass. Copies have another
    background each time (`recipe.background.by`, or any photo's). `val_accuracy` is the embedding's classifier's in
    the first stage, the vote's from then on.

    Raises InputError where the loss stops being a number, or several processes train.
    """
    assert recipe.flow is not None
    if process_count() > 1:
        raise InputError(f"the flow of recipes.{recipe.name} trains in one process: start it without torchrun")
    _add_head(classifier, recipe.flow, seed=run.seed)
    parameters = count_parameters(classifier)
    backbone, head = take_apart(classifier.to(run.device))
    examples = _open_examples(backbone, recipe, settings, run, stored)
    head.standardise(*_statistics(examples.views))
    return fit_head(head, recipe.flow, examples, seed=run.seed, folder=run.folder, label=recipe.name), parameters


def fit_head(
    head: FlowHead, flow: FlowSettings, examples: Examples, *, seed: int, folder: Path, label: str
) -> list[dict[str, Any]]:
    """Train a flow head in place, stage after stage, each with an Adam of its own whose rate falls as a cosine.

    The state is kept in `folder` after each epoch: a killed run ends in the same weights as an unbroken one.
    """
    state = read_torch_file(folder / STATE) if (folder / STATE).is_file() else {"history": []}
    history: list[dict[str, Any]] = state["history"]
    if history:
        head.load_state_dict(state["head"])
    stages, begun = _stages(head, flow), 0
    with tqdm(total=sum(stage.epochs for stage in stages), initial=len(history), desc=label, unit="epoch") as bar:
        for stage in stages:
            optimizer = torch.optim.Adam([*stage.trained.parameters()], lr=flow.lr)
            if begun < len(history) < begun + stage.epochs:
                optimizer.load_state_dict(state["optimizer"])
            for epoch in range(len(history), begun + stage.epochs):
                with exact_arithmetic():
                    loss = _train_epoch(head, stage, optimizer, flow, examples, epoch, begun, seed)
                    accuracy = _accuracy(head, stage, examples)
                if not math.isfinite(loss):
                    raise InputError(
                        f"the loss of {label} is no longer a number in epoch {epoch + 1}: lower "
                        f"recipes.{label}.flow.lr (it is {flow.lr})"
                    )
                rate = optimizer.param_groups[0]["lr"]
                history.append({"epoch": epoch + 1, "lr": rate, "train_loss": loss, "val_accuracy": accuracy})
                saved = {"head": head.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
                save_whole(saved, folder / STATE)
                bar.set_postfix(loss=f"{loss:.3f}", val=f"{accuracy:.3f}", refresh=False)
                bar.update()
            begun += stage.epochs
    head.eval()
    return history


def embedding_loss(head: FlowHead, pairs: Float[Tensor, "b 2 d"], labels: Int64[Tensor, " b"]) -> Tensor:
    """Cross-entropy of photos and of their copies."""
    logits = head.classifier(head.embed(pairs.flatten(0, 1)))
    return F.cross_entropy(logits, labels.repeat_interleave(2))


def likelihood_loss(head: FlowHead, pairs: Float[Tensor, "b 2 d"]) -> Tensor:
    """The mean negative log-likelihood of the copies' embeddings given the photos', nats a dimension."""
    given, moved = _embed_pairs(head, pairs)
    return -head.log_prob(moved, given).mean() / given.shape[1]


def joint_loss(
    head: FlowHead,
    pairs: Float[Tensor, "b 2 d"],
    labels: Int64[Tensor, " b"],
    latents: Float[Tensor, "b z w"],
    *,
    log_weight: float,
) -> Tensor:
    """Cross-entropy of sampled embeddings less `log_weight` times the copies' log-likelihood (nats)."""
    given, moved = _embed_pairs(head, pairs)
    logits = head.classifier(head.sample(given, latents)).flatten(0, 1)  # b*z k
    wrong = F.cross_entropy(logits, labels.repeat_interleave(latents.shape[1]))
    return wrong - log_weight * head.log_prob(moved, given).mean()


def _embed_pairs(head: FlowHead, pairs: Float[Tensor, "b 2 d"]) -> tuple[Tensor, Tensor]:
    """The embeddings of photos and of their copies; together, as batch statistics are of both."""
    given, moved = head.embed(pairs.flatten(0, 1)).view(len(pairs), 2, -1).unbind(1)
    return given, moved


def _stages(head: FlowHead, flow: FlowSettings) -> tuple[Stage, ...]:
    def joint(pairs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        latents = torch.randn(len(pairs), *head.latents.shape, generator=generator).to(pairs.device)
        return joint_loss(head, pairs, labels, latents, log_weight=flow.log_weight)

    return (
        Stage(
            flow.embedding_epochs,
            lambda pairs, labels, _: embedding_loss(head, pairs, labels),
            nn.ModuleList((head.embedding, head.classifier)),
            lambda features: head.classifier(head.embed(features)),
        ),
        Stage(flow.flow_epochs, lambda pairs, *_: likelihood_loss(head, pairs), nn.ModuleList((head.flow,)), head),
        Stage(flow.joint_epochs, joint, nn.ModuleList((head.embedding, head.flow, head.classifier)), head),
    )


def _train_epoch(
    head: FlowHead,
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    flow: FlowSettings,
    examples: Examples,
    epoch: int,
    begun: int,
    seed: int,
) -> float:
    """One pass over one copy of the photos; returns the mean loss. The stage began with epoch `begun`."""
    head.eval().requires_grad_(False)
    stage.trained.train().requires_grad_(True)
    view, device = examples.views[epoch % len(examples.views)], head.latents.device
    order, noise = (generator_of(seed, f"epoch {epoch}", word) for word in ("order", "latents"))
    batches = full_batches(examples.order(order), flow.batch_size)
    total = torch.zeros((), device=device)
    for number, rows in enumerate(batches):
        step = (epoch - begun) * len(batches) + number
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, stage.epochs * len(batches), peak=flow.lr, warmup=0.0)
        loss = stage.loss(torch.from_numpy(np.array(view[rows])).to(device), examples.labels[rows].to(device), noise)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach()
    return float(total) / len(batches)


@torch.inference_mode()
def _accuracy(head: FlowHead, stage: Stage, examples: Examples) -> float:
    head.eval()
    parts = torch.split(examples.val_features, 256)
    answers = torch.cat([stage.answer(features.to(head.latents.device)).argmax(1).cpu() for features in parts])
    return float((answers == examples.val_labels).double().mean())


def _add_head(classifier: Classifier, flow: FlowSettings, *, seed: int) -> None:
    shape = flow.model_dump(include={"width", "transforms", "hidden", "z_count"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier.requires_grad_(False).replace_head({"kind": "flow", "flow": flow.kind} | shape)


def _open_examples(
    backbone: Classifier,
    recipe: NamedRecipe,
    settings: LoopSettings,
    run: Run,
    stored: Stored,
) -> Examples:
    assert recipe.flow is not None
    background = recipe.background or BackgroundSettings(by="any_class", p=1.0)
    swapping = recipe.model_copy(update={"flow": None, "background": background.model_copy(update={"p": 1.0})})
    opened = open_recipe(swapping, settings, stored, seed=run.seed)
    views = paired_features(backbone, opened, settings, run, copies=recipe.flow.copies, label=recipe.name)
    images, labels = open_validation(stored, size=settings.size)
    return Examples(
        views,
        torch.from_numpy(opened.data.labels),
        opened.order,
        image_features(backbone, images, batch=settings.batch_size, precision=run.precision),
        torch.from_numpy(labels),
    )


def _statistics(views: Sequence[Float32[np.ndarray, "n 2 d"]]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over all photos and copies."""
    mean = np.mean([view.mean((0, 1), dtype=np.float64) for view in views], 0)
    variance = np.mean([np.square(view - mean).mean((0, 1)) for view in views], 0)
    return torch.from_numpy(mean).float(), torch.from_numpy(variance).sqrt().float()
