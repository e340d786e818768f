"""Jobs that can be caught at work: while there is a file `slow`, each looks for long at its work.

On PYTHONPATH, Python runs it by itself. The sources, and with them their digests, stay as they are.
"""

import sys
import time
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path

MODULE = "ntkscope.stores.job_directory"


class Finder(MetaPathFinder):
    """Patches the module when it is imported."""

    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader = spec.loader
        run = loader.exec_module

        def exec_module(module):
            run(module)
            slow_down(module.JobDirectory)

        loader.exec_module = exec_module
        return spec


def seconds():
    """What the file says; 0 where there is none."""
    try:
        return float(Path("slow").read_text(encoding="utf-8"))
    except OSError:
        return 0.0


def slow_down(directory):
    """Wait where the job is asked whether to save, and where it is about to end."""

    def slowly(method):
        def wrapped(self, *arguments):
            end = time.monotonic() + seconds()
            while seconds() and time.monotonic() < end and not self._ending.is_asked:
                time.sleep(0.05)
            return method(self, *arguments)

        return wrapped

    directory.is_due = slowly(directory.is_due)
    directory.heartbeat = slowly(directory.heartbeat)


sys.meta_path.insert(0, Finder())
