"""Where a stage's tasks run: `runtime.engine`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bgdata.engines.settings import EngineSettings
from bgdata.engines.worker import is_worker
from bgdata.parallel import spread_by
from pipeline._stage import CONFIG, read_settings


@contextmanager
def engine_in_use(scratch: Path) -> Iterator[None]:
    """Spread the tasks of the block as `runtime.engine` says; `scratch` is where the stage works.

    Raises InputError where the engine is not installed, or cannot be reached.
    """
    settings = _settings()
    if settings is None or settings.engine == "local" or is_worker():
        yield
        return
    # By name: what an engine does is no part of what a stage makes, so its code is no code of the stage's.
    engine = import_module(f"bgdata.engines.{settings.engine}").open_engine(settings, scratch)
    with spread_by(engine):
        yield


def _settings() -> EngineSettings | None:
    if not (CONFIG / "runtime.json").is_file():  # a plain command, outside the pipeline
        return None
    runtime = read_settings("runtime")
    return EngineSettings.model_validate({name: runtime[name] for name in EngineSettings.model_fields})
