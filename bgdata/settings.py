"""What every room's settings share: unknown keys are errors, values are fixed once read."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A section of params.yaml: typed and bounded here, valued there."""

    # strict: params.yaml's "0.2" (a string) or true (for a number) is a mistake, not a value.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
