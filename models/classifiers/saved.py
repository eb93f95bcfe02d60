"""Networks saved whole, weights and configuration, as timm does: on the Hugging Face hub, and in folders.

`hf-hub:OWNER/NAME` and `local-dir:FOLDER`, or the folder's path alone: what timm's `save_pretrained` and
`push_to_hf_hub` write. What Hugging Face transformers writes is not taken: `--entry` is for that.
"""

import json
import re
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from models.classifiers.libraries import resolve_name

_HUB = re.compile(r"(timm:)?(hf[-_]hub:|https?://(huggingface\.co|hf\.co)/)(?P<id>[^/:]+/[^/:]+?)/?", re.IGNORECASE)
_FOLDER = re.compile(r"(timm:)?local[-_]dir:(?P<path>.+)", re.IGNORECASE)
# In the order in which timm prefers them; of other names, the first of the first ending.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
_ENDINGS = (".safetensors", ".pth", ".pth.tar", ".bin")


def hub_id(name: str) -> str | None:
    """`OWNER/NAME` of a network that is named as one on the hub.

    Raises InputError where a name is that of no library, and of no folder.
    """
    found = _HUB.fullmatch(name)
    if found is None and "/" in name and ":" not in name and not name.lower().startswith("timm/"):
        raise InputError(f"{name!r} is no folder here; a network on the Hugging Face hub is hf-hub:OWNER/NAME")
    return found["id"] if found else None


def saved_folder(name: str) -> Path | None:
    """The folder that a name means, where it means one; a name that a library knows means that."""
    found = _FOLDER.fullmatch(name)
    if found:
        return Path(found["path"]).expanduser()
    folder = Path(name).expanduser()
    if "/" in name:
        return folder if folder.is_dir() else None
    return folder if (folder / "config.json").is_file() and not _is_known(name) else None


def _is_known(name: str) -> bool:
    try:
        resolve_name(name)
    except InputError:
        return False
    return True


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a folder; it names the `architecture`.

    Raises InputError where there is none, or another library's.
    """
    path = folder / "config.json"
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: expected one that timm's save_pretrained wrote")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no config.json: expected a folder that timm's save_pretrained wrote"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}): save the network again") from None
    if isinstance(config, dict) and isinstance(config.get("architecture"), str):
        return config
    if isinstance(config, dict) and "architectures" in config:
        of = ", ".join(map(str, config["architectures"] or ["?"]))
        raise InputError(
            f"{folder} is a network of Hugging Face transformers ({of}), which is not taken: write a function that "
            "returns its logits, and give it as --entry module:function"
        )
    raise InputError(f"{path} names no architecture: expected what timm's save_pretrained wrote")


def saved_weights(folder: Path) -> Path:
    """The file of weights in a folder, chosen as timm does.

    Raises InputError where there is none, or several that no rule chooses among.
    """
    named = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if named:
        return named[0]
    for ending in _ENDINGS:
        found = sorted(folder.glob(f"*{ending}"))
        if len(found) > 1:
            listed = ", ".join(path.name for path in found[:4])
            raise InputError(f"{folder} holds several files of weights ({listed}): give one as --checkpoint")
        if found:
            return found[0]
    raise InputError(f"{folder} holds no weights: expected {_WEIGHTS[0]} beside its config.json")
