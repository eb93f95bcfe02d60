"""One file a stage, thin: reads its settings and inputs, calls the library, writes its outputs."""

import os

# Taken first: a dvc that is killed while a stage still imports torch must be missed too (see `_stage.run_stage`).
PARENT = os.getppid()
# Before torch starts its threads: on shared cores waiting threads that spin cost up to nine times the speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
