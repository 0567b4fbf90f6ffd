"""A process that works for a command ends with it."""

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""
WORKER = """
import sys, time
from smoothbench.running.orphans import end_with
end_with({command}, poll=0.05)
print("ready", flush=True)
time.sleep(60)
"""
ITS_COMMAND, ANOTHER = "int(sys.argv[1])", "int(sys.argv[1]) + 1"


def ends(command: str) -> bool:
    """Whether a worker ends soon after the process that started it was killed; if not, it is ended here."""
    arguments = [sys.executable, "-c", COMMAND, WORKER.format(command=command)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    with process.stdout as output:
        worker = int(output.readline())
    process.kill()
    process.wait()
    end = time.monotonic() + (20 if command == ITS_COMMAND else 0.3)
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < end:
        time.sleep(0.02)
    if not os.path.exists(f"/proc/{worker}"):
        return True
    os.kill(worker, 9)
    return False


def test_a_worker_ends_once_its_command_was_killed() -> None:
    assert ends(ITS_COMMAND)


def test_a_worker_that_another_process_started_stays() -> None:
    """As on a cluster, where the command may end before the jobs."""
    assert not ends(ANOTHER)
