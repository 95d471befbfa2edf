"""Files from the web: checked, kept, written in one step; a server here stands for it."""

import hashlib
import http.server
import threading

import pytest

from boxless.errors import ConfigError, RunError, StoreError
from boxless.files.downloads import downloaded, is_web

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/student.onnx")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path.startswith("/short") else CONTENT)

    def log_message(self, *words):
        pass


@pytest.fixture
def site(monkeypatch, tmp_path):
    """Address of the server; what is kept lies in `tmp_path`."""
    monkeypatch.setenv("BOXLESS_CACHE", str(tmp_path))
    monkeypatch.setattr(Server, "asked", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["student.onnx", "moved", "student.onnx?version=2"])
def test_a_file_is_asked_for_once(site, tmp_path, name):
    first = downloaded(f"{site}/{name}#sha256={SHA256}")
    assert first.read_bytes() == CONTENT
    asked = Server.asked
    assert downloaded(f"{site}/{name}#sha256={SHA256}") == first
    assert Server.asked == asked
    assert files(tmp_path) == [first]


def test_a_damaged_copy_is_replaced(site):
    kept = downloaded(f"{site}/student.onnx#sha256={SHA256}")
    kept.write_bytes(b"half")
    assert downloaded(f"{site}/student.onnx#sha256={SHA256}").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"), [("student.onnx", "another file than expected"), ("short", "cut off")]
)
def test_nothing_is_kept_of_another_or_a_short_file(site, tmp_path, name, message):
    wrong = "0" * 64 if name == "student.onnx" else SHA256
    with pytest.raises(StoreError, match=message):
        downloaded(f"{site}/{name}#sha256={wrong}")
    assert files(tmp_path) == []


def test_what_the_server_refuses_is_told(site, tmp_path):
    with pytest.raises(RunError, match="answered 404"):
        downloaded(f"{site}/missing#sha256={SHA256}")
    with pytest.raises(RunError, match="cannot be downloaded"):
        downloaded(f"http://127.0.0.1:9/student.onnx#sha256={SHA256}")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "end", ["", "#", "#sha256=abc", f"#md5={SHA256}", f"#sha256={SHA256.upper()}"]
)
def test_an_address_needs_its_checksum(site, end):
    with pytest.raises(ConfigError, match="#sha256="):
        downloaded(f"{site}/student.onnx{end}")
    assert Server.asked == 0


def test_which_addresses_are_of_the_web():
    assert is_web("https://example.com/a.onnx")
    assert not is_web("s3://bucket/a.onnx")
    assert not is_web("runs/first")
