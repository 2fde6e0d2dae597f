"""Start Ray's workers on this machine by forking one process that has imported what they need.

A worker's own imports are most of its memory and of its start: forked from one parent, workers share them (copy on
write) and differ in what they do. Ray starts a worker by a command, and `runtime_env={"py_executable": ...}` names it:
here a small client that hands its arguments, environment and output to the parent, which forks. For benchmarks that
hold more actors than the machine has memory for, and for tests, which would import for most of their time; a fork
shares nothing with another node, so clusters gain no memory.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MESSAGE = 1 << 20


@contextmanager
def forked_workers(folder: Path, *modules: str) -> Iterator[str]:
    """Hold the parent process for the while; yield what to give to `ray.init` as `py_executable`.

    modules: what workers need besides what a shard actor does.
    """
    path = folder / "workers.sock"
    parent = subprocess.Popen([sys.executable, __file__, "serve", str(path), *modules], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    try:
        yield f"{sys.executable} -I -S {Path(__file__).absolute()} ask {path}"
    finally:
        parent.terminate()
        parent.wait()


def serve(path: str, modules: list[str]) -> None:
    """Import what a shard actor needs and these modules, then fork a worker for every client.

    Ray's library reads its environment once, when it is loaded (the job, the raylet, how to authenticate), so the
    import waits for the first client's; those of one session agree.
    """
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(512)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker that ended
    print("ready", flush=True)
    loaded = False
    while True:
        connection, _ = server.accept()
        message, files, _, _ = socket.recv_fds(connection, MESSAGE, 2)
        if not message:  # its node was killed before it could ask
            connection.close()
            continue
        given = json.loads(message)
        if not loaded:
            os.environ.update(given["environment"])
            preload(modules)
            loaded = True
        if os.fork():
            for file in files:
                os.close(file)
            connection.close()
            continue
        server.close()
        connection.close()
        become_worker(given, files)


def preload(modules: list[str]) -> None:
    """Import, and have torch import what it imports on first use; garbage collection leaves all of it alone."""
    import gc
    from importlib import import_module

    import ray._private.workers.default_worker  # noqa: F401

    import distal.pool.actors  # noqa: F401
    from distal.models import GAN
    from distal.nets.scorer import Scorer
    from distal.resolve import make_config

    for module in modules:
        import_module(module)
    Scorer.from_bytes(GAN.create(make_config({}), 8, 1, 10).scorer().to_bytes())
    gc.collect()
    gc.freeze()


def become_worker(given: dict, files: list[int]) -> None:
    """Be the process that the client was meant to be."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # not a session: each would be a scheduling group in which being niced means nothing
    os.environ.clear()
    os.environ.update(given["environment"])
    with suppress(FileNotFoundError):
        os.chdir(given["folder"])
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    sys.argv = given["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()


def ask(path: str, arguments: list[str]) -> None:
    """Hand over arguments, environment, folder and output, and end."""
    given = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        socket.send_fds(client, [json.dumps(given).encode()], [1, 2])
        client.recv(1)  # the parent has forked


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.path[0] = str(Path(__file__).absolute().parent.parent)
        serve(sys.argv[2], sys.argv[3:])
    else:
        ask(sys.argv[2], sys.argv[3:])
