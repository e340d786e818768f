"""One's own runs: a network watched in anybody's loop, runs compared, kernels found again.

The last floor of the house, and a client of the others: it may import the instrument `ntk`,
`metrics`, `fits`, `figures` and the ground; nothing imports it. Adapters to training frameworks are
a file each in `adapters/`, which alone import the framework. Names are imported at their first use:
watching needs torch and no extra, comparing the extra `workflow` and no torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntkscope.statistics.shift_detector import ShiftDetector
    from ntkscope.watch.alarm import Alarm
    from ntkscope.watch.comparison import Comparison, compare
    from ntkscope.watch.experiment_kernels import open_kernels
    from ntkscope.watch.probe import WatchError
    from ntkscope.watch.report import Report
    from ntkscope.watch.watch import Watch
else:
    from ntkscope.runtime.imports import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Alarm": "ntkscope.watch.alarm",
            "Comparison": "ntkscope.watch.comparison",
            "Report": "ntkscope.watch.report",
            "ShiftDetector": "ntkscope.statistics.shift_detector",
            "Watch": "ntkscope.watch.watch",
            "WatchError": "ntkscope.watch.probe",
            "compare": "ntkscope.watch.comparison",
            "open_kernels": "ntkscope.watch.experiment_kernels",
        },
    )

__all__ = [
    "Alarm",
    "Comparison",
    "Report",
    "ShiftDetector",
    "Watch",
    "WatchError",
    "compare",
    "open_kernels",
]
