"""`segment.choose`: refused where there is one mask, and in the stage's settings only where it is used."""

from pathlib import Path
from typing import Any

import pytest

from bgdata.errors import InputError
from models.segmenters.settings import SECTIONS, WITH_CANDIDATES, SegmentJob
from tests.pipeline.test_params import changed, resolved


def by_leak(params: dict[str, Any], method: str = "sam_boxes") -> None:
    params["profiles"]["demo"]["segment"] = {"method": method, "choose": {"by": "leak"}}


@pytest.mark.parametrize("method", sorted(set(SECTIONS) - set(WITH_CANDIDATES)))
def test_methods_with_one_mask_have_no_choice(tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError) as caught:
        resolved(tmp_path, lambda params: by_leak(params, method))
    words = (
        f"profiles.demo.segment: choose.by is leak, but {method} gives one mask a photo: set choose.by to score, or "
        "method to one of grounded_sam, sam_boxes, sam3"
    )
    assert words in str(caught.value)


@pytest.mark.parametrize("method", WITH_CANDIDATES)
def test_by_leak_the_stage_reads_it(tmp_path: Path, method: str) -> None:
    settings = resolved(tmp_path, lambda params: by_leak(params, method))["segment"]
    assert settings["choose"]["by"] == "leak"
    job = SegmentJob.model_validate({key: value for key, value in settings.items() if key != "seed"})
    assert job.choose is not None
    assert job.choose.grey_levels == 31


def test_by_score_nothing_of_it_is_in_any_settings(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["segment"]["choose"] |= {"keep": 9, "size": 128}

    assert "choose" not in resolved(tmp_path)["segment"]
    assert changed(tmp_path, edit) == set()


def test_by_leak_its_settings_rerun_segment_alone(tmp_path: Path) -> None:
    before = resolved(tmp_path, by_leak)
    after = resolved(tmp_path, lambda params: (by_leak(params), params["segment"]["choose"].update(keep=9)))
    assert {name for name in before if before[name] != after[name]} == {"segment"}
