from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinygrad_bn.data.download import Progress, download
from tinygrad_bn.data.payload import check_sha256, file_sha256
from tinygrad_bn.errors import DataError

CONTENTS = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENTS).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/no-length":
            self.send_header("Content-Length", str(len(CONTENTS)))
        self.end_headers()
        body = {"/other": CONTENTS[::-1], "/short": CONTENTS[:1000]}.get(self.path, CONTENTS)
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def check(path: Path) -> None:
    check_sha256("test", path, "contents", DIGEST, file_sha256(path))


@pytest.mark.parametrize("name", ["good", "moved", "no-length"])
def test_good_file(server: str, tmp_path: Path, name: str) -> None:
    destination = tmp_path / "new" / "folders" / "file"
    download([f"{server}/{name}"], destination, check)
    assert destination.read_bytes() == CONTENTS
    assert os.listdir(destination.parent) == ["file"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "404"), ("other", "SHA-256"), ("short", r"(?i)incomplete|got 1000")],
)
def test_bad_answers_leave_nothing_behind(server: str, tmp_path: Path, name: str, message: str) -> None:
    destination = tmp_path / "file"
    with pytest.raises(DataError, match=message) as caught:
        download([f"{server}/{name}"], destination, check)
    assert str(destination) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_an_older_file_stays_when_the_new_one_is_bad(server: str, tmp_path: Path) -> None:
    destination = tmp_path / "file"
    destination.write_bytes(b"older")
    with pytest.raises(DataError):
        download([f"{server}/other"], destination, check)
    assert destination.read_bytes() == b"older"


def test_the_next_address_is_tried(server: str, tmp_path: Path) -> None:
    urls = [
        "http://127.0.0.1:1/closed",
        f"{server}/missing",
        f"{server}/other",
        f"{server}/short",
        f"{server}/good",
    ]
    download(urls, tmp_path / "file", check)
    assert (tmp_path / "file").read_bytes() == CONTENTS


def test_offline_says_so_for_every_address(tmp_path: Path) -> None:
    urls = ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]
    with pytest.raises(DataError) as caught:
        download(urls, tmp_path / "file", check)
    assert all(url in str(caught.value) for url in urls)
    assert "check the network" in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense", "http://[broken"])
def test_only_web_addresses(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match=re.escape(url)):
        download([url], tmp_path / "file", check)
    assert os.listdir(tmp_path) == []


def test_an_interrupted_download_leaves_nothing(server: str, tmp_path: Path) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download([f"{server}/good"], tmp_path / "file", interrupt)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made(server: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file, not a folder")
    with pytest.raises(DataError, match="TINYGRAD_BN_DATA"):
        download([f"{server}/good"], tmp_path / "taken" / "file", check)


def test_a_folder_that_cannot_be_written(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, as which tests may run; so the refusal itself is played.
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(DataError, match=r"Permission denied.*TINYGRAD_BN_DATA"):
        download([f"{server}/good"], tmp_path / "file", check)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _progress(stream: io.StringIO, times: list[float], total: int | None = 10_000_000) -> str:
    clock = iter([0.0, *times])
    progress = Progress("set.gz", total, stream, lambda: next(clock))
    for time in times:
        progress.show(int(time * 1e6))
    progress.close()
    return stream.getvalue()


def test_progress_is_silent_for_two_seconds() -> None:
    assert _progress(io.StringIO(), [0.5, 1.0, 1.9]) == ""
    assert _progress(_Terminal(), [0.5, 1.0, 1.9]) == ""


def test_progress_as_plain_lines_every_ten_seconds() -> None:
    text = _progress(io.StringIO(), [1.0, 2.0, 3.0, 5.0, 11.9, 12.0, 13.0])
    assert text == "set.gz: 2.0 of 10.0 MB (20%)\nset.gz: 12.0 of 10.0 MB (120%)\n"


def test_progress_renews_one_line_on_a_terminal() -> None:
    text = _progress(_Terminal(), [2.0, 2.1, 3.0])
    assert text == "\rset.gz: 2.0 of 10.0 MB (20%)\rset.gz: 3.0 of 10.0 MB (30%)\n"


def test_progress_without_a_known_length() -> None:
    assert _progress(io.StringIO(), [2.0], total=None) == "set.gz: 2.0 MB\n"
