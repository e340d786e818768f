"""A job in a fork is the job that it would be without: its streams, signals, status and end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ntkscope.runtime import fork_server
from ntkscope.runtime.fork_server import ProcessWithFork, start_server
from ntkscope.runtime.forked_job import FOLDER, SOCKET

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

ASK = "from ntkscope.runtime.forked_job import run_in_fork\nrun_in_fork()\nimport os, sys\n"
WAIT = "import time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
OBEY = (
    "import signal, time\n"
    "def obey(number, frame):\n"
    "    print('got', number, flush=True)\n"
    "    time.sleep(0.3)\n"
    "    sys.exit(40 + number)\n"
    "for number in (signal.SIGTERM, signal.SIGINT):\n"
    "    signal.signal(number, obey)\n"
)

Job = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Starts a script that asks for a fork, with the threads of a job of Snakemake's."""

    def start(code: str, *words: str, before: str = "", **variables: str) -> subprocess.Popen[str]:
        script = tmp_path / "job.py"
        script.write_text(before + ASK + code, encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, str(script), *words],
            env=os.environ | dict.fromkeys(fork_server._THREADS, "1") | variables,
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Starts a server that has imported modules of these codes."""
    started = []

    def start(*codes: str) -> int:
        for number, code in enumerate(codes):
            (tmp_path / f"imported{number}.py").write_text(code, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
        server = start_server([f"imported{n}" for n in range(len(codes))], 1)
        assert server is not None
        started.append(server)
        return server.pid

    monkeypatch.setenv(FOLDER, "")
    monkeypatch.delenv(FOLDER)
    yield start
    for server in started:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(20)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_gone(process: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
                continue
        return True
    return False


def has_status(process: psutil.Process, status: str) -> bool:
    end = time.monotonic() + 10
    while process.status() != status and time.monotonic() < end:
        time.sleep(0.02)
    return bool(process.status() == status)


def test_a_fork_has_what_the_job_has_and_what_the_server_imported(
    serve: Callable[..., int], job: Job, tmp_path: Path
) -> None:
    serve("x = 7")
    code = (
        "import imported0\n"
        "print('imported0' in was, sys.argv[1:], os.getcwd(), os.environ['MINE'],\n"
        f"      {FOLDER!r} in os.environ, __name__, sys.path[0])\n"
        "print('error', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    started = job("was = set(sys.modules)\n" + code, "a", "b c", NTKSCOPE_X="1", MINE="")
    assert started.communicate(timeout=20)[0].startswith("False")  # MINE is not of the server
    os.environ["MINE"] = "mine"
    try:
        serve("x = 7")
        started = job("was = set(sys.modules)\n" + code, "a", "b c", NTKSCOPE_X="1")
        said, error = started.communicate(timeout=20)
    finally:
        del os.environ["MINE"]
    assert said == f"True ['a', 'b c'] {tmp_path} mine False __main__ {tmp_path}\n"
    assert (error, started.returncode) == ("error\n", 3)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("", 0, ""),
        ("sys.exit('why')", 1, "why\n"),
        ("raise KeyError('lost')", 1, "KeyError: 'lost'\n"),
        ("os.kill(os.getpid(), 9)", -9, ""),
        ("os.abort()", -6, ""),
    ],
)
def test_a_job_ends_as_its_fork(
    code: str, status: int, error: str, serve: Callable[..., int], job: Job
) -> None:
    serve("")
    started = job(f"assert 'imported0' in sys.modules\n{code}\n")
    assert started.communicate(timeout=20)[1].endswith(error)
    assert started.returncode == status


def test_a_job_dies_of_the_signal_that_its_fork_dies_of(
    serve: Callable[..., int], job: Job
) -> None:
    serve("")
    for number in (signal.SIGPIPE, signal.SIGSEGV):  # ignored by Python; caught by faulthandler
        die = f"import signal\nsignal.signal({number}, signal.SIG_DFL)\n"
        die += f"os.kill(os.getpid(), {number})\n"
        started = job(die, before="import faulthandler\nfaulthandler.enable()\n")
        assert started.communicate(timeout=20) == ("", "")
        assert started.returncode == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_fork_once(number: int, serve: Callable[..., int], job: Job) -> None:
    serve("")
    started = job(OBEY + WAIT)
    assert int(first_line(started)) != started.pid
    time.sleep(
        0.3
    )  # the job may not know yet that it has a fork: it would end, and the fork with it
    started.send_signal(number)
    assert started.communicate(timeout=20)[0] == f"got {number}\n"
    assert started.returncode == 40 + number


def test_signals_before_the_script_catches_them_do_what_they_always_do(
    serve: Callable[..., int], job: Job
) -> None:
    serve("")
    started = job(WAIT)
    first_line(started)
    started.terminate()
    assert started.wait(20) == -signal.SIGTERM


def test_signals_that_a_job_ignores_its_fork_ignores(serve: Callable[..., int], job: Job) -> None:
    serve("")
    script = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    started = job(
        "import signal\n"
        "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, flush=True)\n"
        "import time; time.sleep(1); print('done')\n",
        before=f"import signal\n{script}",
    )
    assert first_line(started) == "True"
    started.send_signal(signal.SIGHUP)
    assert started.communicate(timeout=20)[0] == "done\n"
    assert started.returncode == 0


def test_ctrl_c_after_the_script_changes_nothing(serve: Callable[..., int], job: Job) -> None:
    serve("")
    late = "import atexit, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    started = job(late + "print('done')\n")
    assert started.communicate(timeout=20) == ("done\n", "")
    assert started.returncode == 0


def test_answers_that_come_together_are_two(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / SOCKET))
        server.listen()
        started = job("print('run twice')\n")
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"fork %d\nended 7\n" % started.pid)
            assert started.wait(20) == 7
    assert started.communicate()[0] == ""


def test_ctrl_c_before_there_is_a_fork_ends_all_without_a_word(
    job: Job, serve: Callable[..., int]
) -> None:
    serve("import time\ntime.sleep(1)")
    killed = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    started = job("print('begun')\n" + WAIT, before=killed)
    time.sleep(0.6)  # it asks, and the server imports
    started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=20) == ("", "")
    assert started.returncode == -signal.SIGINT


def test_another_container_is_another_place(serve: Callable[..., int], job: Job) -> None:
    serve("")
    other = "from ntkscope.runtime import forked_job\nforked_job.place = lambda: ['other']\n"
    started = job("print(os.getpid())\n", before=other)
    assert started.communicate(timeout=20)[0] == f"{started.pid}\n"


@pytest.mark.parametrize(
    "changed",
    [
        "os.nice(1)",
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
    ],
)
def test_what_a_job_alone_has_less_of_no_fork_has(
    changed: str, serve: Callable[..., int], job: Job
) -> None:
    serve("")
    started = job("print(os.getpid())\n", before=f"import os\n{changed}\n")
    assert started.communicate(timeout=20)[0] == f"{started.pid}\n"


@pytest.mark.parametrize("closed", ["0", "1", "2", "0, 1, 2"])
def test_a_closed_stream_is_no_other_file_in_a_fork(
    closed: str, serve: Callable[..., int], tmp_path: Path
) -> None:
    serve("")
    code = "from pathlib import Path\nPath('done').write_text(str(os.getpid()))\n"
    (tmp_path / "job.py").write_text(ASK + code, encoding="utf-8")
    start = f"import os\nfor n in ({closed},): os.close(n)\n"
    start += f"os.execv({sys.executable!r}, [{sys.executable!r}, 'job.py'])\n"
    threads = dict.fromkeys(fork_server._THREADS, "1")
    command = [sys.executable, "-c", start]
    started = subprocess.Popen(command, cwd=tmp_path, env=os.environ | threads)
    assert started.wait(20) == 0
    assert (tmp_path / "done").read_text(encoding="utf-8") == str(started.pid)


def test_a_job_in_a_deleted_folder_runs_alone(serve: Callable[..., int], job: Job) -> None:
    serve("")
    before = "import os\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\n"
    started = job("print(os.getpid())\n", before=before)
    assert started.communicate(timeout=20) == (f"{started.pid}\n", "")


def test_a_job_waits_for_a_slow_server_as_long_as_it_is_let(
    serve: Callable[..., int], job: Job
) -> None:
    serve("import time\ntime.sleep(3)")
    started = job("print('begun')\n")
    time.sleep(0.6)  # it asks, and the server imports
    began = time.monotonic()
    started.terminate()
    assert started.wait(20) == -signal.SIGTERM
    assert time.monotonic() - began < 2
    assert started.communicate(timeout=20)[0] == ""


def test_a_signal_that_comes_first_of_all_is_not_lost(
    serve: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork is slow: it is asked to end before it knows what to do then."""
    serve("import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(0.5))\n")
    at_once = (
        "from ntkscope.runtime import forked_job\n"
        "import os, signal\n"
        "pass_on = forked_job._pass_signals_on\n"
        "def at_once(fork):\n"
        "    pass_on(fork)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "forked_job._pass_signals_on = at_once\n"
    )
    assert job(WAIT, before=at_once).wait(20) == -signal.SIGTERM


def test_a_job_whose_watcher_is_killed_at_once_runs_once(
    serve: Callable[..., int], job: Job
) -> None:
    serve("")
    code = "print('run', flush=True)\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)\n"
    for _ in range(5):
        started = job(f"import signal, time\n{code}")
        assert started.communicate(timeout=20)[0] == "run\n"
        assert started.returncode == -signal.SIGKILL


def test_a_fork_that_fails_before_the_script_leaves_it_to_the_job(
    serve: Callable[..., int], job: Job
) -> None:
    serve("import os\nos.chdir = None\n")
    started = job("print(os.getpid())\n")
    assert started.communicate(timeout=20)[0] == f"{started.pid}\n"
    assert started.returncode == 0


def test_where_no_file_can_be_made_for_measuring_a_job_runs_once(
    serve: Callable[..., int], job: Job
) -> None:
    serve("")
    before = (
        "import os\n"
        f"if {FOLDER!r} in os.environ: os.mkdir(os.environ[{FOLDER!r}] + f'/{{os.getpid()}}')\n"
    )
    started = job("import time\nprint(os.getpid(), flush=True)\ntime.sleep(0.5)\n", before=before)
    said = started.communicate(timeout=20)[0]
    assert int(said) != started.pid  # one number
    assert started.returncode == 0


def test_a_stopped_job_is_stopped_whole_and_goes_on(serve: Callable[..., int], job: Job) -> None:
    serve("")
    started = job(WAIT)
    fork = psutil.Process(int(first_line(started)))
    time.sleep(0.1)
    started.send_signal(signal.SIGTSTP)
    assert has_status(fork, psutil.STATUS_STOPPED)
    assert has_status(psutil.Process(started.pid), psutil.STATUS_STOPPED)
    started.send_signal(signal.SIGCONT)
    assert has_status(fork, psutil.STATUS_SLEEPING)
    started.terminate()
    assert started.wait(20) == -signal.SIGTERM


def test_a_killed_job_leaves_no_fork_behind(serve: Callable[..., int], job: Job) -> None:
    serve("")
    started = job(WAIT)
    fork = int(first_line(started))
    assert fork != started.pid
    started.kill()
    assert is_gone(fork)


def test_nor_does_one_whose_watcher_is_killed(serve: Callable[..., int], job: Job) -> None:
    server = serve("")
    started = job(WAIT)
    fork = int(first_line(started))
    watcher = psutil.Process(fork).parent()
    assert watcher is not None and watcher.ppid() == server
    watcher.kill()
    assert is_gone(fork)
    assert started.wait(20) == -signal.SIGKILL


def test_a_job_outlives_the_server_and_a_later_one_runs_itself(
    serve: Callable[..., int], job: Job
) -> None:
    server = serve("")
    first = job(WAIT.replace("60", "1") + "print('done')\n")
    first_line(first)
    os.kill(server, signal.SIGKILL)
    later = job("print(os.getpid())\n")
    assert later.communicate(timeout=20)[0] == f"{later.pid}\n"
    assert first.communicate(timeout=20)[0] == "done\n"
    assert first.returncode == 0


def test_a_server_ends_with_its_head_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "from ntkscope.runtime.fork_server import start_server; import os, time\n"
        "server = start_server(['json'], 1)\n"
        f"print(server.pid, os.environ[{FOLDER!r}], flush=True); time.sleep(60)\n"
    )
    head = subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE)
    server, folder = first_line(head).split()
    assert Path(folder).stat().st_mode & 0o77 == 0
    head.kill()
    assert is_gone(int(server))
    assert not Path(folder).exists()
    head.wait()


@pytest.mark.parametrize(
    "imported",
    [
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
        "raise ImportError",
        "import warnings\nwarnings.warn('each job says so')",
        "print('so does this')",
        "import os\nos._exit(1)",
    ],
)
def test_what_cannot_be_forked_is_not(imported: str, serve: Callable[..., int], job: Job) -> None:
    serve(imported)
    started = job("print(os.getpid())\n")
    assert started.communicate(timeout=20)[0] == f"{started.pid}\n"


def test_changed_code_is_not_served(
    serve: Callable[..., int], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = '{"job.py": ["digest", "script", "stage", null, "other dates", "contents"]}'
    monkeypatch.setenv("NTKSCOPE_PLANNED_CODE", planned)
    serve("")
    started = job("print(os.getpid())\n")
    assert started.communicate(timeout=20)[0] == f"{started.pid}\n"


def test_a_job_s_fork_is_measured_with_it(serve: Callable[..., int], job: Job) -> None:
    serve("")
    started = job(WAIT)
    fork = int(first_line(started))
    time.sleep(1)  # its watcher notes it
    assert [each.pid for each in ProcessWithFork(started.pid).children(recursive=True)] == [fork]
    started.kill()
    assert is_gone(fork)
    started.wait()
    assert not [*fork_server._forks_of(started.pid)]
