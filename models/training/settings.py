"""Settings of training, and of the parts that recipes are put together from."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bgdata.compose.names import is_further_set
from bgdata.compose.settings import PlacementSettings
from bgdata.settings import Settings

# The sets that are always there; those of `backgrounds` and `correlated` come to them (`is_further_set`).
SETS = (
    "original",
    "mixup",
    "cutmix",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
    "only_fg",
    "no_fg",
    "only_bg_t",
    "only_bg_b",
    "in9l",
)
# Sets with one whole foreground an image, whose background can therefore be replaced; and all further mixed ones.
REPLACEABLE = ("original", "mixed_same", "mixed_rand", "mixed_next", "only_fg")
# The run that holds the weights from which recipes begin that follow no other.
INIT = "init"


def _known_data(name: str) -> str:
    if name not in SETS and not is_further_set(name):
        raise ValueError(f"{name!r} is wrong: it should be one of {', '.join(SETS)}, or a set of `backgrounds`")
    return name


# Of the sets that are there; the whole of params.yaml says which these are.
DataName = Annotated[str, AfterValidator(_known_data)]
Share = Annotated[float, Field(ge=0, le=1)]
# Of the list of classes that the data have; who opens them checks it.
ClassName = Annotated[str, StringConstraints(min_length=1)]
Pattern = Annotated[str, StringConstraints(min_length=1)]


By = Literal["any_class", "same_class", "other_class", "batch", "blur"] | dict[ClassName, dict[ClassName, float]]


class BackgroundSettings(Settings):
    """`recipes.<name>.background`: what becomes of an image's background each time it is shown."""

    by: By = Field(
        description="whose background comes: a photo of any, of its own or of another class; a photo of the same "
        "batch; its own, blurred (7-pixel gaussian); or by weight: {class: {class of the background: weight}}, and "
        "any class for classes that are left out"
    )
    p: Share | Literal["train.p", "adaptive"] | dict[ClassName, Share] = Field(
        description="the probability: a number, train.p, one for each class (0 for those left out), or adaptive: the "
        "accuracy of the model on a class's backgrounds, measured anew after each epoch (0 in the first)"
    )
    choices: int | None = Field(
        default=None, ge=1, description="each image keeps to this many draws of a background; null: all"
    )
    placement: PlacementSettings | None = Field(default=None, description="null: foregrounds stay as they are")
    feather: float | None = Field(
        default=None, gt=0, description="sigma of a soft edge of the foregrounds, pixels; null: hard"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "BackgroundSettings":
        if isinstance(self.by, dict):
            for label, weights in self.by.items():
                if any(weight < 0 for weight in weights.values()) or sum(weights.values()) <= 0:
                    raise ValueError(f"by.{label}: weights must be 0 or more, and one of them more than 0")
        if self.choices is not None and self.by in ("batch", "blur"):
            raise ValueError(f"choices goes with backgrounds of other photos, not with by: {self.by}")
        for name in ("placement", "feather"):
            if self.by == "blur" and getattr(self, name) is not None:
                raise ValueError(f"{name} goes with other backgrounds, not with by: blur, which keeps the own one")
        return self


class MixerSettings(Settings):
    """`recipes.<name>.mixer`: mixup or cutmix of a batch's images and labels, drawn anew each time."""

    kind: Literal["mixup", "cutmix"]
    alpha: float = Field(gt=0, description="both parameters of the Beta distribution of lambda")


class WarpSettings(Settings):
    """`augment.warp` of prime: pixels are moved by smooth random fields."""

    cut: int = Field(ge=3, description="the largest number of half waves across the image")
    temperature: float = Field(ge=0, description="1: up to the largest without folds; 0: nothing moves")


class ColourSettings(Settings):
    """`augment.colour` of prime: smooth random functions of each channel's values."""

    cut: int = Field(ge=1, le=1000, description="the largest number of half waves from black to white")
    temperature: float = Field(ge=0, description="the largest variance of a wave's coefficient")
    bandwidth: int = Field(ge=1, description="waves of a function")


class FilterSettings(Settings):
    """`augment.filter` of prime: convolutions with random kernels."""

    side: int = Field(ge=1, description="of the kernel, pixels; odd")
    sigma: float = Field(ge=0, description="the largest standard deviation of its noise")

    @model_validator(mode="after")
    def _has_a_middle(self) -> "FilterSettings":
        if self.side % 2 == 0:
            raise ValueError(f"side must be odd, not {self.side}: the kernel needs a middle")
        return self


class AugmentSettings(Settings):
    """`recipes.<name>.augment`: images are mixed with what chains of random operations make of them."""

    kind: Literal["augmix", "prime"]
    width: int = Field(ge=0, description="chains of an image; 0: images stay as they are")
    depth: int = Field(ge=1, description="operations of the longest chain; a chain's number is drawn from 1 to it")
    alpha: float = Field(gt=0, description="of the Dirichlet and the Beta distribution of the weights")
    severity: int | None = Field(default=None, ge=0, le=10, description="augmix: the largest level; 0: images stay")
    warp: WarpSettings | None = Field(default=None, description="prime; null: without")
    colour: ColourSettings | None = Field(default=None, description="prime; null: without")
    filter: FilterSettings | None = Field(default=None, description="prime; null: without")
    jsd: float | None = Field(
        default=None,
        gt=0,
        description="images stay, and predictions on them and on two augmented views of each should agree: the weight "
        "of the Jensen-Shannon divergence; null: augmented images take the images' place",
    )

    @model_validator(mode="after")
    def _has_its_own(self) -> "AugmentSettings":
        of_prime = any((self.warp, self.colour, self.filter))
        if of_prime != (self.kind == "prime") or (self.severity is None) != (self.kind == "prime"):
            raise ValueError("kind augmix takes severity, kind prime at least one of warp, colour and filter")
        return self


class AdapterSettings(Settings):
    """`recipes.<name>.adapter`: small matrices that are trained in place of whole layers, and merged at the end."""

    kind: Literal["lora", "oft"]
    layers: list[Pattern] = Field(min_length=1, description="regular expressions that match whole names of layers")
    rank: int | None = Field(default=None, ge=1, description="lora: the rank of the two matrices")
    alpha: float | None = Field(default=None, gt=0, description="lora: their product is scaled by alpha / rank")
    block: int | None = Field(default=None, ge=2, description="oft: side of the rotations along the fan-in")

    @model_validator(mode="after")
    def _has_its_own(self) -> "AdapterSettings":
        needed = {"lora": ("rank", "alpha"), "oft": ("block",)}[self.kind]
        for name in ("rank", "alpha", "block"):
            if (getattr(self, name) is not None) != (name in needed):
                raise ValueError(f"kind {self.kind} takes {' and '.join(needed)}, and nothing else")
        for pattern in self.layers:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"layers: {pattern!r} is no regular expression ({error})") from None
        return self


class HeadSettings(Settings):
    """`recipes.<name>.head`: a new head, drawn by the seed, in place of the last layer."""

    kind: Literal["linear", "mlp"]
    hidden: int | None = Field(default=None, ge=1, description="mlp: width of the hidden layer")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="mlp: share of hidden units left out")

    @model_validator(mode="after")
    def _has_its_own(self) -> "HeadSettings":
        if any((value is None) != (self.kind == "linear") for value in (self.hidden, self.dropout)):
            raise ValueError("kind mlp takes hidden and dropout, kind linear neither")
        return self


class PenaltySettings(Settings):
    """`recipes.<name>.penalty`: on the gradient of the cross-entropy with respect to the background's pixels."""

    kind: Literal["absolute", "proportional", "smoothed"] = Field(
        description="absolute: its mean size; proportional: its size as a share of that on the object, less 1; "
        "smoothed: absolute, of the gradient averaged over copies with a noisy background"
    )
    weight: float = Field(gt=0)
    copies: int | None = Field(default=None, ge=1, description="smoothed: copies of an image")
    noise: float | None = Field(default=None, gt=0, description="smoothed: standard deviation; 1 is black to white")

    @model_validator(mode="after")
    def _has_its_own(self) -> "PenaltySettings":
        if any((value is not None) != (self.kind == "smoothed") for value in (self.copies, self.noise)):
            raise ValueError("kind smoothed takes copies and noise, the others neither")
        return self


class ConsistencySettings(Settings):
    """`recipes.<name>.consistency`: predictions on a photo and on its copy with another background should agree."""

    weight: float = Field(gt=0)
    gamma: float = Field(ge=0, description="focal: photos that are sure and right count (1 - probability) ** gamma")


class GroupDROSettings(Settings):
    """`recipes.<name>.group_dro`: the worst group of (class, class of the background) counts most."""

    step: float = Field(gt=0, description="step size of the groups' weights")


class AveragingSettings(Settings):
    """`recipes.<name>.averaging`: the weights that are kept are an average over training."""

    kind: Literal["swa", "ema"]
    start: float | None = Field(default=None, ge=0, lt=1, description="swa: share of the epochs before the first one")
    lr: float | None = Field(default=None, gt=0, description="swa: constant rate from there on")
    decay: float | None = Field(default=None, gt=0, lt=1, description="ema: share of the average kept at each step")

    @model_validator(mode="after")
    def _has_its_own(self) -> "AveragingSettings":
        needed = {"swa": ("start", "lr"), "ema": ("decay",)}[self.kind]
        if any((getattr(self, name) is not None) != (name in needed) for name in ("start", "lr", "decay")):
            raise ValueError(f"kind {self.kind} takes {' and '.join(needed)}, and nothing else")
        return self


class FlowSettings(Settings):
    """`recipes.<name>.flow`: a conditional flow over embeddings, on a frozen backbone, in place of the head."""

    kind: Literal["nice", "maf"]
    width: int = Field(ge=2, description="of the embedding that the flow models")
    transforms: int = Field(ge=1)
    hidden: list[int] = Field(min_length=1, description="widths of the hidden layers of each transform")
    z_count: int = Field(ge=1, description="embeddings that are sampled for an image; the majority of them decides")
    copies: int = Field(ge=1, description="swapped copies of each photo that are embedded")
    embedding_epochs: int = Field(ge=1, description="first stage: the embedding and its classifier")
    flow_epochs: int = Field(ge=1, description="second stage: the flow, by likelihood")
    joint_epochs: int = Field(ge=0, description="third stage: cross-entropy of samples less log_weight * likelihood")
    log_weight: float = Field(ge=0)
    lr: float = Field(gt=0)
    batch_size: int = Field(ge=2)


class TrainOverrides(Settings):
    """`recipes.<name>.train`: what a recipe sets otherwise than `train` does."""

    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    crop_scale: float | None = Field(default=None, gt=0, le=1)
    precision: Literal["auto", "float32", "bfloat16"] | None = None


class RecipeSettings(Settings):
    """`recipes.<name>`: where it starts, what it is shown, and the parts that make it differ; null: without the part.

    dvc.yaml reads `start` and `data`, so each recipe names them.
    """

    start: str = Field(pattern=r"^[a-z0-9_]+$", description="init (train.weights, or drawn), or another recipe's name")
    data: DataName
    background_from: str = Field(
        default="t", description="which backgrounds its parts take: t (tiled), or a source of `backgrounds`"
    )
    background: BackgroundSettings | None = None
    mixer: MixerSettings | None = None
    augment: AugmentSettings | None = None
    adapter: AdapterSettings | None = None
    head: HeadSettings | None = None
    tuned: Literal["all", "head"] = Field(default="all", description="head: the backbone stays as it is")
    backbone_lr: float = Field(default=1.0, gt=0, description="rate of all but the head, as a share of train.lr")
    balance: Literal["none", "groups"] = Field(
        default="none", description="groups: each (class, class of the background) is drawn equally often"
    )
    penalty: PenaltySettings | None = None
    consistency: ConsistencySettings | None = None
    group_dro: GroupDROSettings | None = None
    averaging: AveragingSettings | None = None
    flow: FlowSettings | None = None
    train: TrainOverrides = TrainOverrides()

    @model_validator(mode="after")
    def _has_a_foreground(self) -> "RecipeSettings":
        wanting = {"background": self.background, "penalty": self.penalty, "consistency": self.consistency}
        for name, part in (wanting | {"flow": self.flow}).items():
            if part is not None and not _is_replaceable(self.data):
                raise ValueError(f"{name} needs data with a foreground ({', '.join(REPLACEABLE)}), not {self.data}")
        return self

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "RecipeSettings":
        mixed = self.mixer is not None or self.data in ("mixup", "cutmix")
        for name in ("penalty", "consistency", "group_dro", "flow"):
            if mixed and getattr(self, name) is not None:
                raise ValueError(f"{name} knows no mixed images: leave out mixer, and data mixup and cutmix")
        if self.flow is not None:
            for name in ("augment", "adapter", "head", "penalty", "consistency", "group_dro", "averaging"):
                if getattr(self, name) is not None:
                    raise ValueError(f"flow trains itself on a frozen backbone: leave out {name}")
        if self.augment is not None and self.augment.jsd is None:
            for name in ("penalty", "consistency"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"augment moves the pixels of images, and {name} compares them with masks or twins that stay: "
                        "give augment.jsd, which leaves images as they are, or leave one of the two out"
                    )
        if self.adapter is not None and self.tuned != "all":
            raise ValueError("adapter trains itself and the head: leave out tuned")
        return self


def reads_backgrounds(recipe: RecipeSettings) -> bool:
    """Whether a recipe needs the backgrounds of its source alone."""
    part = recipe.background
    replaced = part is not None and (part.by != "blur" or part.p == "adaptive")
    return replaced or recipe.consistency is not None or recipe.flow is not None


def _is_replaceable(data: str) -> bool:
    return data in REPLACEABLE or (is_further_set(data) and data.startswith("mixed_"))


def named_classes(recipe: RecipeSettings) -> list[str]:
    """Every class that a recipe's `background.by` and `background.p` name, once, as they are first mentioned."""
    part = recipe.background
    named: list[str] = []
    if part is not None and isinstance(part.by, dict):
        named += [*part.by, *(other for weights in part.by.values() for other in weights)]
    if part is not None and isinstance(part.p, dict):
        named += part.p
    return list(dict.fromkeys(named))


class LoopSettings(Settings):
    """What the loop reads."""

    arch: str = Field(description="resnet8, resnet10, or a name of torchvision's (resnet50) or timm's (timm:resnet26d)")
    size: int = Field(ge=16, description="side of the network's input, pixels")
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1, description="sgd: Nesterov's")
    weight_decay: float = Field(ge=0)
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    label_smoothing: float = Field(ge=0, lt=1)
    crop_scale: float = Field(gt=0, le=1, description="random resized crop: the smallest share of the image's area")
    flip: bool
    jitter: float = Field(ge=0, lt=1, description="largest relative change of brightness, contrast and saturation")
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="auto: bfloat16 where the machine has it")
    compile: bool = Field(description="torch.compile; on a CPU it does not pay (benchmarks/README.md)")


class TrainSettings(LoopSettings):
    """`train`: what all recipes share."""

    weights: str | None = Field(
        description="start weights: a local file, the name of published ones (IMAGENET1K_V2; timm's: a1_in1k), or null"
    )
    p: Share = Field(description="the probability of recipes whose background.p is train.p")


class NamedRecipe(RecipeSettings):
    """A recipe with the name under which its run and scores are kept."""

    name: str


class TrainJob(Settings):
    """One recipe's resolved settings, as the train stage reads them: every number in its place.

    `recipe.background.p` is a number where params.yaml says train.p, so a change of it reruns no recipe without it.
    """

    recipe: NamedRecipe
    train: LoopSettings
    seeds: list[int]
