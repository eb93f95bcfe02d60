"""Attribution over a photo: bright where it is, with the foreground's outline."""

import numpy as np

from bgdata.io import decode_image
from bgdata.sheets.heat import HeatCell
from bgdata.sheets.sheet import SALIENCY, SheetRow, draw_sheet


def cell(heat: bool = True) -> HeatCell:
    image = np.full((64, 64, 3), (30, 120, 60), np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[8:32, 8:32] = True
    hot = np.zeros((64, 64), np.float32)
    hot[40:60, 40:60] = 1
    return HeatCell(image, mask, hot if heat else None, "words")


def test_what_explains_is_bright() -> None:
    picture = cell().draw(side=64).astype(int)
    assert picture[50, 50].sum() > picture[50, 20].sum() + 300
    edge = picture[20, 8]
    assert edge[2] - edge[0] > 60


def test_the_photo_itself_stays_as_it_is() -> None:
    np.testing.assert_array_equal(cell(heat=False).draw(side=64), cell().image)
    assert cell(heat=False).draw(side=32).shape == (32, 32, 3)


def test_the_same_cells_give_the_same_bytes() -> None:
    rows = [SheetRow("dog", (cell(heat=False), cell()))]
    first, second = (draw_sheet(rows, title="x", columns=("a", "b"), legend=SALIENCY) for _ in range(2))
    assert first == second
    assert decode_image(first).shape[1] == 8 + 2 * 228
