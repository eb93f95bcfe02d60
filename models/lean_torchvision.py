"""torchvision, imported without torch's compiler: a stage that compiles nothing starts a second earlier.

torchvision imports all of `torch._dynamo` for one question, which its RoI align asks when it is called. Importing this
module imports torchvision with a stand-in for that question, and takes the stand-in away again: who needs the compiler
imports it then.
"""

import sys
from types import ModuleType

import torch  # noqa: F401  # first, so that nothing of torch's own meets the stand-in

_COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


if not {_COMPILER, _UTILS, "torchvision"} & sys.modules.keys():
    sys.modules |= {_COMPILER: ModuleType(_COMPILER), _UTILS: ModuleType(_UTILS)}
    sys.modules[_UTILS].is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    try:
        import torchvision  # noqa: F401
    except ImportError:  # another torchvision asks for more: it is imported as it likes, where it is used
        pass
    finally:
        del sys.modules[_COMPILER], sys.modules[_UTILS]
