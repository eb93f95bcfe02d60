"""Networks of transformers from folders as it saves them: config.json and model.safetensors, no key unaccounted for."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from bgdata.errors import InputError
from models.weights.files import list_misfits, not_a_file
from models.weights.kinds import describe_content, is_safetensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"

Network = TypeVar("Network", bound=PreTrainedModel)
# What tells an architecture from its kin: dotted paths in its configuration, with their values.
Marks = Mapping[str, Any]


def load_folder(
    network: type[Network],
    folder: Path,
    *,
    marks: Marks,
    device: torch.device,
    of_video: str | None = None,
    part: str | None = None,
) -> Network:
    """The network of a folder, float32, in evaluation mode, on a device; no hub is asked.

    config.json must describe it: its type (or the type `of_video`, whose checkpoint holds the network beside a tracker,
    its configuration under the key `part` if one is named) and the values of `marks`. model.safetensors must hold
    every key of it and none besides, after what transformers renames, and but for the tracker's.

    Raises InputError where a file is missing, cut short or another network's.
    """
    kind: Any = network  # its methods are wrapped, and lose their types
    config = _read_config(kind.config_class, folder / CONFIG, of_video=of_video, part=part)
    _check_marks(config, folder / CONFIG, marks)
    _check_file(folder / WEIGHTS)
    with _quietly(), torch.random.fork_rng(devices=[]):
        loaded, found = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that they are named with the rest
            output_loading_info=True,
        )
    misfit = list_misfits(
        {
            "missing": found["missing_keys"],
            "unexpected": found["unexpected_keys"],
            "wrong shape": [key for key, *_ in found["mismatched_keys"]],
        }
    )
    if misfit:
        raise InputError(f"the weights of {folder / WEIGHTS} do not fit the network: {misfit}")
    return cast("Network", loaded.to(device).eval())


def load_vocabulary(folder: Path, read: Callable[[Path], Any], *, files: Collection[str], word: str) -> Any:
    """A tokenizer of the files in a folder, which must know a plain word.

    Raises InputError where a file is missing, is none, or knows no word.
    """
    for name in files:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing: {_how_to_mend(folder)}")
    try:
        with _quietly():
            tokenizer = read(folder)
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f"{folder / next(iter(files))} is no vocabulary ({error}): {_how_to_mend(folder)}") from None
    if tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"]:
        raise InputError(f"{folder / next(iter(files))} does not know the word {word!r}: {_how_to_mend(folder)}")
    return tokenizer


def _read_config(
    kind: type[PreTrainedConfig], path: Path, *, of_video: str | None, part: str | None
) -> PreTrainedConfig:
    if not path.is_file():
        raise InputError(f"{path} is missing: {_how_to_mend(path.parent)}")
    try:
        content = json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path} is no JSON: {_how_to_mend(path.parent)}") from None
    found = content.get("model_type") if isinstance(content, dict) else None
    if found not in {kind.model_type, of_video} - {None}:
        raise InputError(
            f"{path} describes another network (`model_type` is {found!r}, expected {kind.model_type!r}): "
            f"{_how_to_mend(path.parent)}"
        )
    if found == of_video and part is not None:
        content = content.get(part)
        if not isinstance(content, dict):
            raise InputError(f"{path} has no {part}: {_how_to_mend(path.parent)}")
    try:
        with _quietly():
            return kind.from_dict({key: value for key, value in content.items() if key != "model_type"})
    except Exception as error:  # transformers checks types in its own way
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no configuration of it ({words}): {_how_to_mend(path.parent)}") from None


def _check_marks(config: PreTrainedConfig, path: Path, marks: Marks) -> None:
    for mark, expected in marks.items():
        found: Any = config
        for name in mark.split("."):
            found = getattr(found, name, None)
        found = list(found) if isinstance(found, tuple) else found
        if found != expected:
            raise InputError(
                f"{path} describes another size of the network ({mark} is {found}, expected {expected}): "
                f"{_how_to_mend(path.parent)}"
            )


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(
            f"the weights {path} are missing: run `dvc repro fetch_weights` (runtime.mirror names another server or a "
            "folder to take them from), or put the file there"
        )
    if not path.is_file():
        raise InputError(not_a_file(path))
    if not is_safetensors(path):
        raise InputError(f"{path} {describe_content(path)}")
    try:
        with safe_open(path, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is a safetensors file that was cut short ({error}): download it again") from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' reports and bars: what they tell is raised as an error here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    _show_bars(False)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        _show_bars(bars)


def _show_bars(shown: bool) -> None:
    switch: Any = logging.enable_progress_bar if shown else logging.disable_progress_bar
    switch()


def _how_to_mend(folder: Path) -> str:
    return f"run `dvc repro fetch_weights`, or put the files of the network as transformers saves them into {folder}"
