"""Say what pip-audit found, and fail where it looked nothing up.

    python .ci/audited.py build/audit.json

A package that the vulnerability service does not know is skipped by pip-audit, which then ends as
if all were well, also where a mirror answers in the service's place. Packages built with a local
version (such as 2.9.0+cpu) are on no index and may be skipped, as may this package itself.
"""

import json
import sys
from pathlib import Path


def main(report: Path) -> int:
    """The exit code: 0 if all was looked up and nothing is known."""
    if not report.exists() or not (text := report.read_text("utf-8")).strip():
        print("nothing was audited: pip-audit could not reach its service", file=sys.stderr)
        return 1
    packages = json.loads(text)["dependencies"]
    skipped = [p for p in packages if "skip_reason" in p]
    unknown = [p for p in skipped if "+" not in p["skip_reason"] and p["name"] != "boxless"]
    found = [(p, fault) for p in packages for fault in p.get("vulns", ())]
    for package, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {fault['id']}; fixed in {fixed}")
    for package in unknown[:5]:
        print(f"not looked up: {package['name']}: {package['skip_reason']}", file=sys.stderr)
    print(
        f"{len(packages) - len(skipped)} of {len(packages)} packages looked up,"
        f" {len(found)} known vulnerabilities"
    )
    return int(bool(found or unknown))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
