"""One file a stage, thin: reads its settings and inputs, calls the library, writes its outputs."""

import os

# Before torch starts its threads: on shared cores waiting threads that spin cost up to nine times the speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
