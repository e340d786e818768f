"""The handler: each of Snakemake's records becomes a change of the table, a line, or nothing."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_ntkscope import ending
from snakemake_logger_plugin_ntkscope.causes import cause_of
from snakemake_logger_plugin_ntkscope.jobs import Job, Jobs, clock, mean_seconds
from snakemake_logger_plugin_ntkscope.reasons import Reasons
from snakemake_logger_plugin_ntkscope.screen import Lines, Terminal
from snakemake_logger_plugin_ntkscope.study import Study

_NOISE = re.compile(
    r"Building DAG|Using shell|Provided|Rules claiming|Select jobs|Execute \d|Conda environments"
    r"|Singularity containers|Group jobs: inactive|Assuming unrestricted|Complete log|Shutting down"
    r"|Exiting because a job|At least one job did not|Reasons:|Some jobs were triggered"
    r"|Rules with (provenance|missing|outdated)|\d+ jobs have (missing|outdated)|host: |None$"
    r"|WorkflowError:\nAt least one job|Removing output files of failed|Trying to restart"
    r"|DAG of jobs will be|Touching output|Removing temporary output|Config file .* is extended"
    r"|Creating report|Report created|Adding .* \(|Downloading resources|Report size"
    r"|Loading script code"
)
_JOB_EXCEPTION = re.compile(r"^(RuleException|CalledProcessError|SpawnedJobError)")
_END = "Elapsed time"
_OF_CTRL_C = "Terminating processes on user request"
_ASKED = (_OF_CTRL_C, "Will exit after finishing currently running jobs (scheduler)")
"""What is said once this process was asked to end: that its jobs end is no failure then."""
_ABSENT = "left out, for want of their files"
ERRORS_IN_LOGS = "NTKSCOPE_ERRORS_IN_LOGS"
"""While this plugin speaks, jobs leave their errors in their logs: it tells each once."""


class LogHandler(LogHandlerBase):
    """Tells a run of Snakemake: see the package."""

    def __post_init__(self) -> None:
        """What Snakemake has set is there now."""
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self._dry = bool(self.common_settings.dryrun)
        shown = stream.isatty() and os.environ.get("TERM") != "dumb" and not self._dry
        colour = not self.common_settings.nocolor
        self._everything = bool(getattr(self.settings, "everything", False))
        self._screen = Terminal(stream, colour) if shown else Lines(stream)
        self._jobs, self._study, self._reasons = Jobs(), Study(), Reasons()
        self._begun = self._stopped = self._failed = False
        self._cut: list[str] = []
        self._began = 0.0
        self._how_it_ended = ""
        self._told: set[str] = set()
        self._because: dict[str, str] = {}
        if not self._everything:
            os.environ[ERRORS_IN_LOGS] = "1"

    @property
    def writes_to_stream(self) -> bool:
        """To the terminal, instead of Snakemake's own handler."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake keeps its own log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """What `--quiet` says is left to Snakemake's filter."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's, for what is shown in its own words."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: LogRecord) -> None:
        """One record."""
        try:
            if hasattr(record, "study"):
                self._study = Study.of(record.study)
                return
            self._because |= getattr(record, "because", {})
            if self._everything:
                self._in_its_own_words(record)
            else:
                self._tell(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """The table stays as it is. Snakemake may call this twice."""
        self._screen.end()
        os.environ.pop(ERRORS_IN_LOGS, None)
        super().close()

    def _in_its_own_words(self, record: LogRecord) -> None:
        text = self.format(record)
        if text and text != "None":
            self._screen.say(text)

    def _tell(self, record: LogRecord) -> None:
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self._begin(record.__dict__)
            case LogEvent.RESOURCES_INFO:
                facts = record.__dict__
                beside = facts.get("cores") or facts.get("nodes") or self._jobs.cores
                self._jobs.cores = int(beside)
            case LogEvent.JOB_INFO:
                self._start(record.__dict__)
            case LogEvent.JOB_FINISHED:
                self._finish(record.__dict__["job_id"])
            case LogEvent.JOB_ERROR:
                self._fail(record.__dict__)
            case LogEvent.ERROR:
                self._error(record.getMessage())
            case None:
                self._message(record.getMessage())

    def _begin(self, facts: dict[str, Any]) -> None:
        if self._dry or self._jobs.planned:
            return
        planned = {stage: n for stage, n in facts["stats"].items() if stage != "total"}
        self._jobs.planned, self._began = planned, time.time()
        self._jobs.earlier = mean_seconds(Path(self._study.benchmarks), planned)

    def _start(self, facts: dict[str, Any]) -> None:
        stage = facts["rule_name"]
        if self._dry:
            known = (
                self._because[file] for file in facts.get("output") or () if file in self._because
            )
            self._reasons.add(stage, facts["reason"], next(known, ""))
            return
        label = " ".join(map(str, (facts.get("wildcards") or {}).values()))
        log = Path(facts["log"][0]) if facts.get("log") else None
        if not self._begun:
            self._begun = True
            self._screen.begin(self._jobs)
        self._jobs.start(facts["jobid"], Job(stage, label, log, time.time()))

    def _finish(self, number: int) -> None:
        done = self._jobs.finish(number, time.time())
        if done:
            job, seconds = done
            self._screen.news(job)
            self._screen.finished(self._jobs, str(job), seconds)

    def _fail(self, facts: dict[str, Any]) -> None:
        job = self._jobs.fail(facts["jobid"])
        log = Path(facts["log"][0]) if facts.get("log") else None
        cause = cause_of(log, self._how_it_ended, job.began if job else 0.0)
        self._how_it_ended = ""
        if job:
            self._screen.news(job)
        what = f"{job or facts['rule_name']}\n{cause.words}"
        if cause.stopped:
            self._cut.append(what.replace("\n", ": "))
        if cause.stopped or self._stopped or what in self._told:
            return
        self._told.add(what)
        self._failed = True
        if cause.of_user and cause.words in self._told:
            self._screen.say(f"failed: {job or facts['rule_name']}: the same error")
            return
        self._told.add(cause.words)
        lines = [f"failed: {job or facts['rule_name']}", *cause.words.splitlines()]
        if not cause.of_user and log:
            lines.append(f"  log: {log}")
        self._screen.say("\n  ".join(lines))

    def _error(self, message: str) -> None:
        if _JOB_EXCEPTION.match(message):
            self._how_it_ended = message
        elif not _NOISE.search(message):
            from snakemake_logger_plugin_ntkscope.advice import explain

            self._screen.end()
            self._screen.say(explain(message, sys.argv[1:], self._study))

    def _message(self, message: str) -> None:
        self._stopped |= message.startswith(_ASKED)
        if message.startswith(_OF_CTRL_C):
            return
        if message.startswith(_END):
            self._end()
        elif message.startswith("Nothing to be done"):
            self._nothing()
        elif message.startswith("This was a dry-run"):
            self._plan()
        elif message.startswith(_ABSENT):
            if any(name in message for name in self._requested()):
                self._screen.say(message)
        elif message and not _NOISE.match(message) and message not in self._told:
            self._told.add(message)  # that it will stop, Snakemake says again and again
            self._screen.say(message)

    def _requested(self) -> dict[str, Any]:
        return self._study.requested(sys.argv[1:])

    def _nothing(self) -> None:
        self._screen.say("Nothing to be done: all that was asked for is there.")
        self._results()

    def _results(self) -> None:
        requested = self._requested()
        self._say_all(ending.results(requested, self._study))
        self._say_all(ending.others(sys.argv[1:], requested))

    def _plan(self) -> None:
        more = "Each job with its files: --logger-ntkscope-everything"
        self._say_all([*self._reasons.table(), "", f"Nothing was run (--dry-run). {more}"])

    def _end(self) -> None:
        if not self._jobs.planned:
            return
        self._screen.end()
        done, total = self._jobs.done.total(), self._jobs.total
        if done == total:
            self._results()
            self._screen.say(f"took:     {clock(time.time() - self._began)}")
        else:
            failed = len(self._jobs.failed)
            if not self._stopped:
                self._say_all(dict.fromkeys(self._cut))
                if failed:
                    self._screen.say(f"{failed} failed, and what needs them was not run")
            command = ["snakemake", *sys.argv[1:]]
            self._say_all(ending.interrupted(done, total, command, mend=self._failed))

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._screen.say(line)
