"""One file a stage, thin: reads its settings and inputs, calls the library, writes its outputs."""

import gc
import os
import sys

# Taken first: a dvc that is killed while a stage still imports torch must be missed too (see `_stage.run_stage`).
PARENT = os.getppid()
# Before torch starts its threads: those that wait spin for about a millisecond. Not at all is a third slower on quiet
# cores; as long as OpenMP likes was up to nine times slower on shared ones.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# `python -m` imports this package first. What imports make is no garbage, and looking for it takes a fifth of their
# time; `_stage.run_stage` turns the collector on.
if sys.argv[0] == "-m":
    gc.disable()
