"""Settings of ingest: the paper's filters and the balance."""

from pydantic import Field

from bgdata.settings import Settings


class FilterSettings(Settings):
    """`ingest.filters`: which photos are let in.

    Source: Xiao et al. 2021 (Noise or Signal), and its authors' data generator.
    """

    require_box: bool = Field(
        description="true: annotated photos alone, as the paper; false: also photos without an annotation"
    )
    max_box_share: float = Field(gt=0, le=1, description="share of the centre crop that the box may cover")
    min_box_kept: float = Field(ge=0, le=1, description="share of the box that must lie inside the centre crop")


class PerClass(Settings):
    """A limit of photos a class, by split; null: all."""

    train: int | None = Field(ge=2)
    val: int | None = Field(ge=2)


class IngestSettings(Settings):
    """`ingest`."""

    filters: FilterSettings
    per_class: PerClass
    exclude_ids: str | None = Field(
        description="file with one photo id a line (official test ids) to leave out, or null"
    )
    val_share: float = Field(
        gt=0,
        lt=1,
        description="share of the photos that become val, near-duplicates together, where a tree is not split",
    )
    max_unreadable: float = Field(ge=0, le=1, description="share of unreadable photos above which the stage fails")
    photos_per_shard: int = Field(ge=1)
