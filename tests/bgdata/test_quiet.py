"""What decoders write goes nowhere; what Python writes at the same time does not."""

import subprocess
import sys

from tests.conftest import ROOT


def test_bars_are_seen_while_decoders_are_silent() -> None:
    code = (
        "import os, sys\nfrom bgdata.quiet import keep_own_stderr, quiet_decoders\nkeep_own_stderr()\n"
        "with quiet_decoders():\n    os.write(2, b'noise ')\n    print('bar', file=sys.stderr)\n"
        "print('end', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "bar\nend\n")
