"""An audit that looked nothing up is no clean audit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "audited.py"
CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
OURS = {"name": "boxless", "skip_reason": "distribution marked as editable"}
LOCAL = {"name": "torch", "skip_reason": "not found on PyPI: torch (2.9.0+cpu)"}
ABSENT = {"name": "pillow", "skip_reason": "not found on PyPI: pillow (13.0.0)"}
FAULT = {"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "text"),
    [
        ([CLEAN, OURS, LOCAL], 0, "1 of 3 packages looked up, 0 known vulnerabilities"),
        ([CLEAN, ABSENT], 1, "not looked up: pillow"),
        ([CLEAN, FAULT], 1, "x 1: CVE-1; fixed in 1.1"),
        (None, 1, "nothing was audited"),
    ],
)
def test_audits(tmp_path, packages, code, text):
    report = tmp_path / "audit.json"
    if packages is not None:
        report.write_text(json.dumps({"dependencies": packages}))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(report)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert text in done.stdout + done.stderr
