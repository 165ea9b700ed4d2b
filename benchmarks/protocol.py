"""The driver's half of the conversation: worker processes that are asked in turn, and idle in between."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


class WorkerError(Exception):
    """A worker that failed, died, or gave no answer in time; the message says which."""


class Worker:
    """A process that answers requests, one line of JSON each.

    Args:
        command: starts it.
        environment: its environment variables.
        folder: where it is started.
        log: takes what it prints to standard error.
    """

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path, log: Path) -> None:
        self.log = log
        with open(log, "wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the driver alone, which then ends its workers
            )

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            WorkerError: the answer is an error; or there is none within so many seconds, and the worker was ended.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
            line = _line_within(answers, timeout)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self.close()
            raise WorkerError(f"no answer to {request['do']!r} within {timeout:.0f} s") from None
        if not line:
            self.close()
            raise WorkerError(f"the worker ended: {self.last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def processor_seconds(self) -> float | None:
        """Return the processor time that the worker has used so far; None where the system does not tell."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        except OSError:
            return None
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the last line that the worker printed to standard error."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        status = self._process.poll()
        return f"{said} (exit status {status})" if status else said

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=2)  # it ends by itself when its standard input does
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it started itself, such as a compiler's helpers


def _line_within(stream: IO[bytes], timeout: float) -> bytes:
    # A worker writes a whole line at once and only when asked, so what is readable is the answer.
    ready, _, _ = select.select([stream], [], [], timeout)
    if not ready:
        raise TimeoutError
    return stream.readline()
