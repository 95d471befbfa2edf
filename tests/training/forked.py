"""Processes as torchrun starts them, but forked: nothing is imported twice."""

import os
import socket
import traceback

from boxless.errors import BoxlessError


def launch(count, folder, body):
    """Call ``body()`` in so many processes; `folder` then holds exit codes and errors."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_start(rank, count, port, folder, body) for rank in range(count)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    (folder / "codes").write_text(" ".join(map(str, codes)))


def _start(rank, count, port, folder, body):
    child = os.fork()
    if child:
        return child
    if count > 1:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        os.environ.update(dict(zip(names, map(str, (rank, count, rank, count)), strict=True)))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="1")
    code = 1
    try:
        body()
        code = 0
    except BoxlessError as error:
        (folder / f"error-{rank}").write_text(f"{type(error).__name__}: {error}")
        code = 2
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
