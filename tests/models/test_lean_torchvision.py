"""torchvision without torch's compiler, and both as they should be afterwards."""

import subprocess
import sys
import textwrap

from tests.conftest import ROOT


def test_judging_imports_no_compiler_and_training_still_can() -> None:
    code = """
        import sys
        from models.classifiers.classifier import build_classifier
        import torch, torchvision
        build_classifier("resnet8", input_size=32, classes=9)(torch.zeros(1, 3, 32, 32))
        assert "torchvision" in sys.modules
        assert "torch._dynamo" not in sys.modules
        boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
        assert torchvision.ops.roi_align(torch.ones(1, 3, 8, 8), boxes, 2).mean() == 1
        assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
        from torch._dynamo.utils import is_compile_supported
        assert torchvision.ops.roi_align.__globals__["is_compile_supported"].__name__ == "_is_compile_supported"
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
