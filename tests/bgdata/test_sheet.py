"""The picture sheet: what is drawn where, and the same bytes each time."""

import numpy as np
import pytest

from bgdata.io import decode_image
from bgdata.sheets.sheet import SheetCell, SheetRow, draw_sheet

COLUMNS = ("best", "worst")


def cell(size: tuple[int, int] = (60, 90), *, found: bool = True) -> SheetCell:
    truth, mask = np.zeros((2, *size), bool)
    truth[20:40, 20:40] = True
    mask[20:40, 30:60] = True
    grey = np.full((*size, 3), 90, np.uint8)
    return SheetCell(grey, truth, mask if found else None, ("dog: IoU 0.200", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"))


def test_a_sheet_has_a_row_a_method_and_a_column_a_name() -> None:
    one, two, wide = (
        decode_image(draw_sheet([SheetRow("grabcut", (cell(),) * count)] * rows, title="x", columns=COLUMNS * columns))
        for count, rows, columns in ((2, 1, 1), (2, 2, 1), (4, 1, 2))
    )
    assert one.shape[1] == two.shape[1] == 8 + 2 * 228
    assert wide.shape[1] == 8 + 4 * 228
    assert two.shape[0] - one.shape[0] == 18 + 8 + round(60 * 220 / 90) + 44


def test_a_sheet_without_methods_and_a_row_without_photos_are_drawn() -> None:
    assert decode_image(draw_sheet([], title="none", columns=COLUMNS)).shape[0] < 60
    assert decode_image(draw_sheet([SheetRow("unet", ())], title="none", columns=COLUMNS)).shape[0] < 130


def test_the_same_cells_give_the_same_bytes() -> None:
    rows = [SheetRow("grabcut", (cell(), cell((90, 60), found=False)))]
    assert draw_sheet(rows, title="coco", columns=COLUMNS) == draw_sheet(rows, title="coco", columns=COLUMNS)


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (700, 400)])
def test_what_was_found_is_orange_within_the_fitted_photo(size: tuple[int, int]) -> None:
    image = cell(size).draw(side=220).astype(int)
    assert max(image.shape[:2]) == 220
    scale = 220 / max(size)
    orange = image[round(30 * scale), round(55 * scale)]
    assert orange[0] - orange[2] > 60
    outside = image[round(52 * scale), round(52 * scale)]
    np.testing.assert_allclose(outside, 90, atol=2)


def test_the_truths_outline_is_drawn_where_nothing_was_found() -> None:
    image = cell(found=False).draw(side=90).astype(int)
    edge, inside = image[30, 20], image[30, 30]
    assert edge[2] - edge[0] > 60
    np.testing.assert_allclose(inside, 90, atol=2)


def test_the_photo_itself_is_left_as_it_was() -> None:
    one = cell()
    before = one.image.copy()
    one.draw(side=90)
    np.testing.assert_array_equal(one.image, before)
