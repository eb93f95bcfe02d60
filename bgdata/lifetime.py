"""Processes that end when the one that started them does."""

import os
import threading
import time


def end_with_parent(parent: int) -> None:
    """End this process soon after process `parent` is gone: a killed parent must not leave writers behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
