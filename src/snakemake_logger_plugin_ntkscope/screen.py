"""Where the plugin writes: a table that stays in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from snakemake_logger_plugin_ntkscope.jobs import Job, Jobs, clock

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


_LOOK_SECONDS = 3.0


class Lines:
    """Plain lines, one a finished job."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told = set[str]()
        self._ended = threading.Event()

    def begin(self, jobs: Jobs) -> None:
        """The run begins: how much there is to do."""
        left = jobs.seconds_left(time.time())
        about = f", about {clock(left)}" if left is not None else ""
        self.say(f"{jobs.total} job{'s' * (jobs.total != 1)}{about}")
        threading.Thread(target=self._look, args=[jobs], daemon=True).start()

    def news(self, job: Job) -> None:
        """Lines on what a job waits for, and on damages that it mends: each once."""
        for line in job.news():
            if (told := f"{job}: {line}") not in self._told:
                self._told.add(told)
                self.say(told)

    def _look(self, jobs: Jobs) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            for job in list(jobs.running.values()):
                self.news(job)

    def finished(self, jobs: Jobs, what: str, seconds: float) -> None:
        """A line for a job that is done."""
        left = jobs.seconds_left(time.time())
        rest = f"  {clock(left)} left" if left and jobs.done.total() < jobs.total else ""
        done = f"{jobs.done.total():{len(str(jobs.total))}}/{jobs.total}"
        self.say(f"{time.strftime('%H:%M:%S')}  {done}  {what:.64}  {seconds:.1f} s{rest}")

    def say(self, text: str) -> None:
        """Any other line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Nothing more will change."""
        self._ended.set()


class Terminal(Lines):
    """A table of all stages that stays where it is, with the running jobs under it."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.live import Live

        self._jobs: Jobs | None = None
        self._began = time.time()
        self._console = Console(file=stream, no_color=not colour, highlight=False, markup=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def begin(self, jobs: Jobs) -> None:
        """The run begins: the table appears."""
        self._jobs, self._began = jobs, time.time()
        self._live.start()

    def finished(self, jobs: Jobs, what: str, seconds: float) -> None:
        """The table says it."""

    def say(self, text: str) -> None:
        """A line above the table while there is one."""
        self._console.print(text, soft_wrap=True)

    def end(self) -> None:
        """The table is drawn once more and stays."""
        if self._live.is_started:
            self._live.stop()

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        jobs = self._jobs
        if jobs is None:
            return Text()
        now = time.time()
        running = [_line_of(job, now) for job in list(jobs.running.values())]
        return Group(_stages(jobs), Text(self._sum(jobs, now), style="bold"), *map(Text, running))

    def _sum(self, jobs: Jobs, now: float) -> str:
        done = jobs.done.total()
        words = [f"{done} of {jobs.total} done", f"{clock(now - self._began)} gone"]
        left = jobs.seconds_left(now)
        if left is not None and done < jobs.total and not jobs.failed:
            words.append(f"about {clock(left)} left")
        return " · ".join(words)


def _line_of(job: Job, now: float) -> str:
    progress = job.progress()
    return f"  {job}  {progress}{'  ' if progress else ''}{clock(now - job.began)}"


def _stages(jobs: Jobs) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("stage")
    for name in ("done", "running", "left"):
        table.add_column(name, justify="right")
    table.add_column("", width=24)
    running = [job.stage for job in list(jobs.running.values())]
    failed = [job.stage for job in list(jobs.failed.values())]
    for stage, planned in jobs.planned.items():
        broken = failed.count(stage)
        table.add_row(
            stage,
            str(jobs.done[stage]),
            str(running.count(stage) or ""),
            str(jobs.left(stage) or "") if not broken else f"{broken} failed",
            ProgressBar(total=planned, completed=jobs.done[stage], width=24),
        )
    return table
