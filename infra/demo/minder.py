"""Ends what a run started when the run itself is gone, however it ended.

Runs as a script (`python minder.py DIRECTORY`) and leads the process group that all parts join. It waits for
its standard input to close, which the kernel does even for a process killed with SIGKILL; then it ends
the group and removes the directory. A run that ends in order does both itself and then ends its minder.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 0.5


def main() -> None:
    """Wait for the end of the input, then clean up and go."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    directory = Path(sys.argv[1])
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
