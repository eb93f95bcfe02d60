"""Photos for the engines' tests."""

from tests.bgdata.conftest import photo_sets

__all__ = ["photo_sets"]
