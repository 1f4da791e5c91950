"""Makes ./.venv and installs the project into it, with progress that a person can follow.

Standard library only: it runs under whatever Python make finds, before anything is installed.
Usage: python scripts/environment.py TARGET, where TARGET is what pip installs, such as `.[dev]`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
CONSTRAINTS = "constraints.txt"
LARGE = 20_000_000  # bytes; smaller downloads are over before a line about them is read
QUIET_S = 15.0


def check_python() -> None:
    """Stop with a message for a person when this Python cannot make the environment."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it runs before anything could enforce it
        version = ".".join(str(n) for n in sys.version_info[:3])
        sys.exit(
            f"gpo-serve needs Python 3.11 or newer; {sys.executable} is {version}.\n"
            "Install a newer one, or name one: make demo PYTHON=/path/to/python3.11"
        )
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        sys.exit(
            f"{sys.executable} has no ensurepip, so it cannot make a virtual environment.\n"
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def make_venv() -> None:
    """Create .venv, or replace it when its Python no longer runs."""
    probe = [str(PYTHON), "-c", "import pip"]
    works = PYTHON.exists() and subprocess.run(probe, capture_output=True).returncode == 0
    if not works:
        say(f"creating .venv with Python {sys.version.split()[0]}")
        venv.create(VENV, with_pip=True, clear=True)


def say(text: str) -> None:
    """One line of progress."""
    print(f"  {text}", flush=True)


class Progress:
    """Turns pip's output into a few lines. On a terminal a large download counts up in place."""

    def __init__(self) -> None:
        self.name = ""
        self.files = 0
        self.announced = False
        self.unpacking = False
        self.last = time.monotonic()
        self.live = sys.stdout.isatty()

    def line(self, text: str) -> None:
        """Take one line of `pip install --progress-bar raw`."""
        word, _, rest = text.strip().partition(" ")
        if word == "Downloading" or (word == "Using" and rest.startswith("cached")):
            self.name = rest.replace("cached ", "").split(" ")[0].rsplit("/", 1)[-1]
            self.files, self.announced = self.files + 1, False
        elif word == "Progress":
            done, _, total = rest.partition(" of ")
            self._download(int(done), int(total or 0))
        elif word == "Installing" and rest.startswith("collected"):
            count = len(rest.split(","))
            some = f"{count} packages into .venv, about a minute" if count > 1 else "1 package"
            self._say(f"unpacking {some}")
            self.unpacking = True
        elif not self.unpacking and time.monotonic() - self.last > QUIET_S:
            self._say(f"still working, {self.files} downloads so far")

    def _download(self, done: int, total: int) -> None:
        short = "-".join(self.name.split("-")[:2])
        if self.live:
            at = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
            print(f"\r\033[K  {self.files:3d}  {short[:40]:40s} {at}", end="", flush=True)
        elif total >= LARGE and not self.announced:
            self._say(f"downloading {short}, {total / 1e6:.0f} MB")
        elif time.monotonic() - self.last > QUIET_S:
            self._say(f"downloading {short}, {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        self.announced = True

    def _say(self, text: str) -> None:
        self._clear()
        say(text)
        self.last = time.monotonic()

    def _clear(self) -> None:
        if self.live:
            print("\r\033[K", end="")


def pip_install(*arguments: str, progress: Progress | None = None) -> None:
    """Run pip, keep all that it says in .venv/install.log, and stop when it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    with LOG.open("a") as log:  # noqa: SIM117 - in one statement an old Python could not parse it
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip:
            for text in pip.stdout or ():
                if not text.startswith("Progress "):
                    log.write(text)
                if progress is not None:
                    progress.line(text)
    if pip.returncode:
        tail = LOG.read_text().splitlines()[-15:]
        sys.exit("\n".join(["", *tail, "", f"pip failed; all that it said is in {LOG}"]))


def main() -> None:
    """Make the environment and install the target that the command line names."""
    (target,) = sys.argv[1:]
    check_python()
    started = time.monotonic()
    print("Preparing the environment ./.venv; this happens once:", flush=True)
    make_venv()
    LOG.unlink(missing_ok=True)
    # The pip that comes with Python may be too old for --progress-bar raw.
    pip_install("--quiet", "--upgrade", "--constraint", CONSTRAINTS, "pip")
    say("fetching packages (PyTorch is the large one)")
    os.environ["PIP_PROGRESS_BAR"] = "raw"
    pip_install("--constraint", CONSTRAINTS, "--editable", target, progress=Progress())
    say(f"ready after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
