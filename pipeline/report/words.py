"""What the report calls things: the variants' groups and meanings, classes and their number."""

from bgdata.classes import ClassList
from bgdata.classes import in_words as in_words  # the templates say `words.in_words`
from bgdata.labels import IN9

# The columns of the big table: what is left of the photo, and which variants leave that. In the order of VARIANTS.
GROUPS = (
    ("photo", "whole", ("original",)),
    ("background alone", "background", ("only_bg_b", "only_bg_t", "no_fg")),
    ("foreground alone", "foreground", ("only_fg",)),
    ("foreground on another background", "foreground", ("mixed_same", "mixed_rand", "mixed_next")),
)
VARIANT_MEANING = {
    "original": "the photo as it is",
    "only_bg_b": "the foreground's box painted black",
    "only_bg_t": "the box covered with tiles of the background",
    "no_fg": "the foreground's shape painted black",
    "only_fg": "all but the foreground black",
    "mixed_same": "on the background of another photo of its class",
    "mixed_rand": "on the background of a random photo",
    "mixed_next": "on a background of the next class",
}
# The corruptions by kind, in the order of CORRUPTIONS; the last are no part of mPC and mCE.
CORRUPTION_KINDS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra four": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
CORRUPTED_REGIONS = {
    "whole": "whole photo",
    "foreground": "foreground alone",
    "background": "background alone",
}
SOURCES = {"ours": "made here (source: ours)", "published": "as published (source: published)"}
# The transfer: what of a backbone is trained, and what is measured.
MODES = {
    "fixed_feature": "fixed features",
    "fixed_weights": "fixed weights",
    "full_network": "full network",
}
METRICS = {
    "box_ap": "box AP",
    "box_ap50": "box AP50",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "miou": "mIoU",
    "accuracy": "accuracy",
}
TRANSFER_TASKS = {
    "detection": "Detection and instance segmentation",
    "segmentation": "Semantic segmentation",
    "classification": "Classification",
}
MIX_MEANING = {
    "mixup": "two photos blended; the label is blended alike",
    "cutmix": "a rectangle of another photo pasted in; the label follows the areas",
}


def subject(classes: ClassList) -> str:
    """What a page is about."""
    return f"{'ImageNet-9' if classes.same_as(IN9) else classes.name} backgrounds"
