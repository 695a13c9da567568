"""Node.js for servers that tests run, and their packages; what is missing is said, not worked around."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

NODE_MAJOR = 22
INSTALL_SECONDS = 180
CACHED = Path(__file__).parents[2] / ".cache" / "node" / "node_modules" / "node" / "bin" / "node"


@cache
def node() -> str | None:
    """Return the path of a Node.js that is new enough, or nothing."""
    for candidate in (shutil.which("node"), str(CACHED) if CACHED.exists() else None):
        if candidate is not None and _major(candidate) >= NODE_MAJOR:
            return candidate
    return None


def _major(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", version)
    return int(found[1]) if found else 0


@cache
def missing_packages(directory: Path) -> str | None:
    """Install the locked packages of a directory; return why they are not there, or nothing."""
    program, npm = node(), shutil.which("npm")
    if program is None:
        return f"no Node.js {NODE_MAJOR} or newer on PATH or in .cache/node"
    lock, installed = directory / "package-lock.json", directory / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return None
    if npm is None:
        return "no npm to install packages with"
    path = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=directory,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "npm could not install packages in time"
    return None if done.returncode == 0 else f"npm could not install packages: {done.stderr[-300:].strip()}"
