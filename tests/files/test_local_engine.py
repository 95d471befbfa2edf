"""Worker processes and the script that starts them."""

import subprocess
import sys

SCRIPT = """
print("script runs")
from boxless.files.engine import LocalEngine
print(list(LocalEngine(2).map(str, [1, 2, 3])))
"""


def test_a_script_needs_no_guard(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    found = subprocess.run(
        [sys.executable, "mine.py"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["script runs", "['1', '2', '3']"]
