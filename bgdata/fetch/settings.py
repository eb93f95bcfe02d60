"""Settings of the sources of photos."""

from pydantic import Field

from bgdata.settings import Settings


class HuggingFaceSettings(Settings):
    """`fetch.huggingface`: how many photos a synset are kept of ImageNet; the limits a class are ingest's."""

    train_per_wnid: int | None = Field(ge=0, description="null: all (about 50 GB for the 370 synsets)")
    val_per_wnid: int | None = Field(ge=0, description="null: all, which are 50")
