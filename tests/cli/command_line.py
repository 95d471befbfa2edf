"""The real command line: plain subprocesses, and cheap ones that can be killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
TINY = HERE / "tiny.toml"
SPEC = "scenes:train=80,test=16,size=64"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, *texts: str, code: int = 2) -> None:
        """Assert that it failed as promised: a clear message and no traceback."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err, self.err
        flat = " ".join(self.err.split())
        for text in texts:
            assert text in flat, self.err


def environment(**changes: str) -> dict[str, str]:
    """The environment of a command: one thread, a wide terminal, no colours."""
    own = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    return {**os.environ, **own, **changes}


def boxless(*words, cwd=None, timeout=900, preexec=None, **env: str) -> Done:
    """Run ``boxless`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "boxless", *map(str, words)],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=preexec,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def begin(*words, cwd=None) -> subprocess.Popen:
    """Start ``boxless`` in a process group of its own, to be interrupted."""
    return subprocess.Popen(
        [sys.executable, "-m", "boxless", *map(str, words)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell that runs the tests in the background has made them deaf to it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def train_words(out, *words, verb="train", spec=SPEC, recipe=TINY):
    """Words of a training command on the tiny recipe."""
    return (verb, spec, "--recipe", str(recipe), "--out", str(out), *map(str, words))


class Preloaded:
    """Commands in forked processes that have everything imported; see ``preloaded.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "preloaded.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self._read() == {"ready": True}

    @property
    def log(self) -> Path:
        """Both streams of the last command."""
        return self.folder / f"{self.count}.log"

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the server died"
        return json.loads(line)

    def start(self, *words, cwd=None, **options) -> int:
        """Start a command; returns its process id. One at a time: call `wait` before the next.

        Further options are those of ``preloaded.py``: after, below, since, signal; trace.
        """
        self.count += 1
        self.log.unlink(missing_ok=True)  # of an earlier server in this folder
        command = {
            "words": list(map(str, words)),
            "log": str(self.log),
            "cwd": str(cwd or self.folder),
            "signal": signal.SIGKILL,
            **{name: str(v) if isinstance(v, Path) else v for name, v in options.items()},
        }
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._read()["pid"]

    def wait(self) -> Done:
        """Wait for the command's end; both its streams come as ``err``."""
        code = self._read()["code"]
        text = self.log.read_text("utf-8")
        return Done(code, text, text)

    def __call__(self, *words, **options) -> Done:
        """Run a command to its end."""
        self.start(*words, **options)
        return self.wait()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(300)


def cut(file: Path, size: int = -100) -> None:
    """Keep the first `size` bytes of a file."""
    file.write_bytes(file.read_bytes()[:size])
