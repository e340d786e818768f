"""A real SLURM on one machine: no systemd, no accounting database, GPUs that are not there.

Needs root (SLURM starts jobs as their users; the GPUs are device files) and Debian's packages
slurm-wlm and munge. Everything lies in one folder and ends with the test session.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct")
GPUS = 2

SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=3000
SchedulerParameters=bf_interval=2,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=32000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=120 DefaultTime=10 State=UP
"""


def missing() -> str:
    """Why there can be no SLURM here; empty if there can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "SLURM needs root to start jobs"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start munge, controller and node in `folder`; gives the variables that clients need."""
    host = socket.gethostname().split(".")[0]
    _write(folder, host)
    variables = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _clients(folder)}
    environment = {**os.environ, **variables}
    authority = f"--socket={folder}/munge.socket"
    daemons = (
        (
            ["munged", "--foreground", "--force", authority, *_files_of_munge(folder)],
            ["munge", "-n", authority],
        ),
        (["slurmctld", "-D"], ["scontrol", "ping"]),
        (["slurmd", "-D", "-N", host], ["srun", "--mem=10", "true"]),
    )
    with ExitStack() as running:
        for daemon, sign_of_life in daemons:
            running.enter_context(_daemon(daemon, folder, environment))
            _wait_for(sign_of_life, environment)
        yield variables


def _files_of_munge(folder: Path) -> list[str]:
    files = {"key": "munge.key", "pid": "munged.pid", "seed": "munge.seed", "log": "munged.log"}
    return [f"--{kind}-file={folder / name}" for kind, name in files.items()]


def _write(folder: Path, host: str) -> None:
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    for gpu in range(GPUS):  # a device file each, of /dev/null's numbers
        os.mknod(folder / f"gpu{gpu}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n", "utf-8")
    controller_port, node_port = _free_ports(2)
    settings = SETTINGS.format(
        host=host,
        folder=folder,
        gpus=GPUS,
        controller_port=controller_port,
        node_port=node_port,
    )
    (folder / "slurm.conf").write_text(settings, encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def _clients(folder: Path) -> str:
    """PATH with SLURM's commands, each told where its settings are.

    SLURM_CONF alone will not do: Snakemake's plugin takes all SLURM_ variables from a job's steps.
    """
    for name in CLIENTS:
        if program := shutil.which(name):
            shim = folder / "bin" / name
            shim.write_text(
                f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {program} "$@"\n', "utf-8"
            )
            shim.chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


@contextmanager
def _daemon(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as out:
        process = subprocess.Popen(
            command, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_for(command: list[str], environment: dict[str, str], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise TimeoutError(f"no answer to {' '.join(command)}")
        time.sleep(0.1)
