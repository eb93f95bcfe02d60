"""What sets are called: the variants of ImageNet-9, and those of further sources of backgrounds.

A source says what stands where the foreground was. `t`, the paper's tiles, is always there and belongs to `render`; the
others are named in params.yaml (`backgrounds`), and each has a set of backgrounds and the mixed variants on them.
"""

import re

# In the order in which tables show them.
VARIANTS = (
    "original",
    "only_bg_b",
    "only_bg_t",
    "no_fg",
    "only_fg",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
)
MIXED = ("mixed_same", "mixed_rand", "mixed_next")
FG_MASK = "fg_mask"
TILED = "t"


def background_set(source: str) -> str:
    """The set of a source's backgrounds alone: `only_bg_t`, `only_bg_f` ..."""
    return f"only_bg_{source}"


def mixed_sets(source: str) -> dict[str, str]:
    """The sets of a source's mixed variants, by variant: `mixed_rand` (tiled), `mixed_rand_f` ..."""
    return {variant: variant if source == TILED else f"{variant}_{source}" for variant in MIXED}


def source_sets(source: str) -> tuple[str, ...]:
    """All sets of a source, its backgrounds first."""
    return (background_set(source), *mixed_sets(source).values())


def correlated_set(name: str) -> str:
    """The set of a chosen correlation between class and background (`correlated.<name>`)."""
    return f"mixed_correlated_{name}"


def is_further_set(name: str) -> bool:
    """Whether a name is one that a set of `backgrounds` or `correlated` can have."""
    return re.fullmatch(r"(only_bg|mixed_same|mixed_rand|mixed_next|mixed_correlated)_[a-z0-9_]+", name) is not None
