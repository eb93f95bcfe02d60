"""Write a further source of backgrounds and the mixed variants on them, into data/in9/{only_bg,mixed_*}_<source>/."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bgdata.compose.external import write_external_sets
from bgdata.compose.filled import Filling, write_filled_sets
from bgdata.compose.foregrounds import Inputs, foreground_rows
from bgdata.compose.listing import list_external
from bgdata.compose.names import source_sets
from bgdata.compose.settings import BackgroundsJob, ExternalSettings, FilledSettings
from bgdata.shards import MANIFEST
from models.inpainting.factory import load_filler
from models.spread import network_on
from pipeline._stage import BACKGROUND_SOURCES, SETS, WEIGHTS, read_settings, run_stage, runtime
from pipeline._workspace import weights_manifests, workspace, write_source

_INPUTS = Inputs(photos=SETS / "photos", masks=SETS / "masks", originals=SETS / "original")


def main(arguments: argparse.Namespace) -> None:
    """Write the sets of one source."""
    name, settings = arguments.source, read_settings(f"backgrounds-{arguments.source}")
    job = BackgroundsJob.model_validate(settings)
    manifest = _fill(name, job, settings) if isinstance(job.source, FilledSettings) else _read(name, job, settings)
    count = sum(sum(classes.values()) for classes in manifest["images"].values())
    print(f"backgrounds {name}: {count} backgrounds, rejected: {manifest['rejected'] or 'none'}")


def _fill(name: str, job: BackgroundsJob, settings: Any) -> dict[str, Any]:
    assert isinstance(job.source, FilledSettings)
    inputs, weights = weights_manifests("inpainting"), job.source.weights
    if weights and Path(weights).is_file():
        inputs["file"] = Path(weights)
    with _workspace(name, settings, inputs) as work:
        how = runtime()
        load = partial(load_filler, job.source, weights=WEIGHTS / "inpainting", device=how["device"])
        filler = network_on(how["device"], load) if job.source.method == "lama" else load()
        filling = Filling(filler, batch=how["segment_batch"])
        return write_filled_sets(name, job, _INPUTS, filling, work=work, workers=how["workers"])


def _read(name: str, job: BackgroundsJob, settings: Any) -> dict[str, Any]:
    assert isinstance(job.source, ExternalSettings)
    _, classes = foreground_rows(_INPUTS.originals, job.source.splits)
    listing = list_external(name, job.source, classes)
    # DVC does not watch the folder; with its listing the work of a killed run is of the same photos.
    with _workspace(name, settings | {"listing": listing.digest}, {}) as work:
        return write_external_sets(name, job, _INPUTS, listing, work=work, workers=runtime()["workers"])


@contextmanager
def _workspace(name: str, settings: Any, further: dict[str, Path]) -> Iterator[Path]:
    sets = {"photos": _INPUTS.photos, "masks": _INPUTS.masks, "original": _INPUTS.originals}
    outs = {written: SETS / written for written in source_sets(name)}
    with workspace(
        f"backgrounds-{name}",
        settings=settings,
        inputs={key: folder / MANIFEST for key, folder in sets.items()} | further,
        outs=outs | {f"{name}.json": BACKGROUND_SOURCES / f"{name}.json"},
    ) as work:
        yield work
        write_source(work, name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.backgrounds", description=__doc__)
    parser.add_argument("source", help="a name of params.yaml's `backgrounds`")
    run_stage(main, parser)
