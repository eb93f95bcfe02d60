"""Settings of the segment stage."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.settings import Settings

Method = Literal["given", "grabcut", "grabcut_fast", "grounded_sam", "sam_boxes", "sam3", "unet"]
# Names of sources of weights (bgdata.fetch.sources).
MMDetectorName = Literal[
    "mm_grounding_dino_tiny_o365v1_goldg",
    "mm_grounding_dino_tiny_o365v1_goldg_v3det",
    "mm_grounding_dino_base_o365v1_goldg_v3det",
    "mm_grounding_dino_base_all",
    "mm_grounding_dino_large_o365v2_oiv6_goldg",
    "mm_grounding_dino_large_all",
]
DetectorName = Literal["groundingdino_swint_ogc", "groundingdino_swinb_cogcoor", MMDetectorName]
Sam2Name = Literal["sam2_1_hiera_tiny", "sam2_1_hiera_small", "sam2_1_hiera_base_plus", "sam2_1_hiera_large"]
SamHQName = Literal["sam_hq_vit_b", "sam_hq_vit_l", "sam_hq_vit_h"]
SamName = Literal["sam_vit_b", "sam_vit_l", "sam_vit_h", Sam2Name, SamHQName]
Sam3Name = Literal["sam3"]
Prompts = Literal["superclass", "synset", "hypernyms"]
Keep = Literal["all", "best", "best_overlapping"]
Precision = Literal["auto", "float32", "bfloat16"]
PROMPTS = (
    "superclass: `dog`; synset: its English name and its WordNet parent, `basset` and `hound`; hypernyms: `a basset, a "
    "type of hound`, and the same with the next hypernym; without a wnid the class's name"
)
OVERLAP = "least IoU with the annotated box, for best_overlapping"


class GrabCutSettings(Settings):
    """`segment.grabcut`: the paper's box + GrabCut."""

    iterations: int = Field(ge=1, le=50)


class GrabCutFastSettings(Settings):
    """`segment.grabcut_fast`: GrabCut at half size, its edge at full size."""

    iterations: int = Field(ge=2, le=50, description="cuts, the last one at full size")
    band: int = Field(ge=2, le=500, description="how far from the edge the last cut reaches, in pixels of the photo")


class GroundingDinoSettings(Settings):
    """`segment.grounding_dino`: boxes from text, by GroundingDINO or MM-GroundingDINO.

    Source of the usual thresholds (0.35, 0.25): Liu et al. 2023, "Grounding DINO", the authors' demo.
    """

    model: DetectorName
    prompts: Prompts = Field(description=PROMPTS)
    box_threshold: float = Field(ge=0, le=1, description="least score of a box: its best match with any token")
    text_threshold: float = Field(ge=0, le=1, description="least match of a token to be part of the box's phrase")
    nms_iou: float = Field(gt=0, le=1, description="of boxes that overlap more than this the best stays; 1: all")
    keep: Keep = Field(
        description="which boxes become the mask: their union, the best, or the best that overlaps the annotated box"
    )
    min_overlap: float = Field(ge=0, le=1, description=OVERLAP)
    precision: Precision = Field(description="auto: bfloat16 where the hardware computes in it")


class SamSettings(Settings):
    """`segment.sam`: masks from boxes, by SAM, SAM 2.1 or SAM-HQ."""

    model: SamName
    multimask: bool = Field(description="true: three masks a box, the one with the best predicted IoU; false: one")
    precision: Precision = Field(description="of the image encoder; auto: bfloat16 where the hardware computes in it")


class Sam3Settings(Settings):
    """`segment.sam3`: masks from text in one network.

    Source of the usual thresholds (0.3, 0.5): transformers 5.23.0, `post_process_instance_segmentation`.
    """

    model: Sam3Name
    prompts: Prompts = Field(description=PROMPTS)
    score_threshold: float = Field(ge=0, le=1, description="least score of an object; 0.3 is usual")
    mask_threshold: float = Field(ge=0, le=1, description="least probability of a pixel of its mask; 0.5 is usual")
    keep: Keep = Field(
        description="which objects become the mask: their union, the best, or the best whose box overlaps the "
        "annotated one"
    )
    min_overlap: float = Field(ge=0, le=1, description=OVERLAP)
    precision: Precision = Field(description="of the image encoder; auto: bfloat16 where the hardware computes in it")


class UNetStudentSettings(Settings):
    """`segment.unet`: a trained U-Net as the segmenter."""

    checkpoint: str | None = Field(description="a copy of runs/unet/model.pt (of another run: dvc knows no circles)")


class ChoosingClassifier(Settings):
    """`segment.choose.classifier`: who looks at the candidates, as the judges' arguments of the same names say it."""

    arch: str = Field(min_length=1, description="torchvision's or timm's name")
    weights: str | None = Field(description="published ones by name; null: the best, or the checkpoint's")
    checkpoint: str | None = Field(description="a file: a copy of a runs/<recipe>/model.pt, or weights for arch")
    entry: str | None = Field(
        description="module:function that gives the network; the checkpoint, if any, is given to it"
    )
    in9: bool = Field(description="an output a class of the list; false: ImageNet's thousand")


class ChooseSettings(Settings):
    """`segment.choose`: which of several masks becomes the photo's.

    Source of the score and of its usual numbers (31 levels; 2, 0.1, 0.1): ForAug (Nauen et al. 2025), its choice among
    versions of a mask.
    """

    by: Literal["score", "leak"] = Field(
        description="score: the method's own choice; leak: the one whose foreground a classifier knows on grey, and "
        "whose background it does not"
    )
    keep: int = Field(ge=2, le=64, description="candidates of a photo that are looked at")
    classifier: ChoosingClassifier
    size: int = Field(ge=16, le=1024, description="side to which photos are resized for it, pixels")
    grey_levels: int = Field(ge=1, le=256, description="greys behind the foreground, evenly from black to white")
    share: float = Field(ge=0, lt=1, description="share of the photo that foregrounds have at best")
    share_weight: float = Field(ge=0, description="of log(1 - |share of the mask - share|); 0: sizes count for nothing")
    order_weight: float = Field(
        ge=0, description="of log(1 - place / candidates), by the method's order; 0: ties alone"
    )


class SegmentSettings(Settings):
    """`segment`."""

    method: Method = Field(
        description="given: masks that came with the data; grabcut, grabcut_fast, sam_boxes: from the annotated box; "
        "grounded_sam, sam3: from the class's name; unet: by a student trained on such masks"
    )
    grabcut: GrabCutSettings
    grabcut_fast: GrabCutFastSettings
    grounding_dino: GroundingDinoSettings
    sam: SamSettings
    sam3: Sam3Settings
    unet: UNetStudentSettings
    choose: ChooseSettings
    clean: CleanSettings
    quality: QualitySettings

    @model_validator(mode="after")
    def _has_a_choice(self) -> "SegmentSettings":
        if self.choose.by == "leak" and self.method not in WITH_CANDIDATES:
            raise ValueError(
                f"choose.by is leak, but {self.method} gives one mask a photo: set choose.by to score, or method to "
                f"one of {', '.join(WITH_CANDIDATES)}"
            )
        return self


# Those that have several masks of a photo.
WITH_CANDIDATES: tuple[Method, ...] = ("grounded_sam", "sam_boxes", "sam3")
# The sections that each method reads.
SECTIONS: dict[Method, tuple[str, ...]] = {
    "given": (),
    "grabcut": ("grabcut",),
    "grabcut_fast": ("grabcut_fast",),
    "grounded_sam": ("grounding_dino", "sam"),
    "sam_boxes": ("sam",),
    "sam3": ("sam3",),
    "unet": ("unet",),
}


class SegmentJob(Settings):
    """What one run of the segment stage reads: `segment` without the methods that it does not use."""

    method: Method
    grabcut: GrabCutSettings | None = None
    grabcut_fast: GrabCutFastSettings | None = None
    grounding_dino: GroundingDinoSettings | None = None
    sam: SamSettings | None = None
    sam3: Sam3Settings | None = None
    unet: UNetStudentSettings | None = None
    choose: ChooseSettings | None = Field(default=None, description="None: by the method's own score")
    clean: CleanSettings
    quality: QualitySettings
