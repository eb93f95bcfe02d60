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
    settings = {} if is_worker() or not (CONFIG / "runtime.json").is_file() else read_settings("runtime")
    if settings.get("engine", "local") == "local":
        yield
        return
    chosen = EngineSettings.model_validate({name: settings[name] for name in EngineSettings.model_fields})
    # By name: what an engine does is no part of what a stage makes, so its code is no code of the stage's.
    engine = import_module(f"bgdata.engines.{chosen.engine}").open_engine(chosen, scratch)
    with spread_by(engine):
        yield
