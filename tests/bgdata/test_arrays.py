"""Arrays in files: what is written item by item is what a memory map reads."""

from pathlib import Path

import numpy as np
import pytest

from bgdata.arrays import ArrayWriter, create_array


def test_items_are_read_back_and_the_rest_stays(tmp_path: Path) -> None:
    create_array(tmp_path / "a.npy", np.uint8, (5, 4, 3))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    items = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(0, 2, 1)
    with ArrayWriter(tmp_path / "a.npy") as array:
        array[3], array[1] = items
    np.testing.assert_array_equal(mapped[[3, 1]], items)
    assert not mapped[[0, 2, 4]].any()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), mapped)


@pytest.mark.parametrize("item", [np.zeros((4, 2), np.uint8), np.zeros((4, 3), bool)])
def test_an_item_of_another_form_is_refused(tmp_path: Path, item: np.ndarray) -> None:
    create_array(tmp_path / "a.npy", np.uint8, (5, 4, 3))
    with ArrayWriter(tmp_path / "a.npy") as array, pytest.raises(ValueError, match="expected an item"):
        array[0] = item
