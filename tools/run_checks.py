# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the parts of the test suite that are named, or all but the long ones, and says at the end how many tests passed
and failed.

"all" names every part.

Each part is a list of checks; a check is a command that exits 0, and where it writes JUnit files their test cases are
counted instead. Lanes of parts run side by side. The output of every check is kept in .cache/checks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".cache" / "checks"
INSTALLED = ROOT / ".cache" / "build" / "collections"
NAMESPACE, NAME = "openlmis", "operations"
FQCN = f"{NAMESPACE}.{NAME}"
REHEARSAL = sorted(path.name for path in (ROOT / "tests" / "rehearsal").glob("test_*.py"))
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Each older ansible-core with the Python that tools/setup-python gives it, and the older Pythons of managed hosts.
CORES = {"2.16": "3.12", "2.17": "3.11", "2.18": "3.13"}
OLD_PYTHONS = ["3.8", "3.9", "3.10"]
# The slowest of ansible-test sanity, each with an environment of its own; other parts look at the same: ruff, yamllint,
# antsibull-changelog and, as for imports, an older Python and every test that runs a module.
ELSEWHERE = ("changelog", "import", "pep8", "pylint", "yamllint")


@dataclass
class Check:
    """One command; `junit` is the folder with its JUnit files, `per_file` counts such a file as one test."""

    name: str
    command: list[str]
    junit: Path | None = None
    per_file: bool = False
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """How many tests a check ran; `skipped` ones count neither as passed nor as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def shell_scripts() -> list[str]:
    """Every file that git knows or would add and whose first line names a shell."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    scripts = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file():
            with path.open("rb") as file:
                first = file.readline()
            if first.startswith(b"#!") and first.rstrip().endswith((b"/sh", b"bash", b" sh")):
                scripts.append(name)
    return scripts


def lint() -> Iterator[Check]:
    """Everything that reads files only."""
    yield Check("yamllint", ["yamllint", "--strict", "."])
    yield Check("ruff", ["ruff", "check", "--no-cache", "."])
    yield Check("ruff format", ["ruff", "format", "--no-cache", "--check", "."])
    yield Check("import-linter", ["lint-imports", "--no-cache", "--no-logo"], env={"PYTHONPATH": ".cache/collections"})
    yield Check("shellcheck", ["shellcheck", *shell_scripts()])
    yield Check(
        "actionlint",
        ["actionlint", *map(str, sorted([*ROOT.glob(".github/workflows/*.yml"), ROOT / "docs/examples/rehearse.yml"]))],
    )
    yield Check("argument specs", [sys.executable, "tools/check_argument_specs.py"])
    yield Check("page of variables", [sys.executable, "tools/variables.py", "--check"])
    yield Check("antsibull-changelog", ["antsibull-changelog", "lint"])
    yield Check(
        "antsibull-docs",
        ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=dependent", "."],
    )
    yield Check("ansible-lint", ["ansible-lint", "--nocolor", "--offline", "--strict", "--profile", "production"])


def ansible_test(command: str, python: str, *options: str, core: str = "") -> Check:
    """One of ansible-test's commands, with .venv's ansible-core or another."""
    folder = f"{command}-{core}" if core else command
    output = ROOT / ".cache/ansible-test" / folder / "ansible_collections" / NAMESPACE / NAME / "tests/output/junit"
    with_core = f", ansible-core {core}" if core else ""
    return Check(
        f"ansible-test {command}{with_core}, Python {python}",
        ["tools/ansible-test", command, "--python", python, *options],
        junit=output,
        per_file=command == "integration",
        env={"CORE": core} if core else {},
    )


def sanity() -> Iterator[Check]:
    """What is seen by nothing else, with this Python; the oldest one that is there compiles and imports the modules,
    and in the matrix all do.
    """
    yield ansible_test("sanity", PYTHON, "--junit", *(f"--skip-test={name}" for name in ELSEWHERE))
    for python in [version for version in OLD_PYTHONS if shutil.which(f"python{version}")][:1]:
        yield ansible_test("sanity", python, "--junit", "--test", "compile", "--test", "import")


def sanity_rest() -> Iterator[Check]:
    """The rest of ansible-test sanity."""
    yield ansible_test("sanity", PYTHON, "--junit", *(f"--test={name}" for name in ELSEWHERE))


def units() -> Iterator[Check]:
    yield ansible_test("units", PYTHON)


def integration() -> Iterator[Check]:
    yield ansible_test("integration", PYTHON, "--continue-on-error")


def matrix() -> Iterator[Check]:
    """Sanity, units and integration with every older ansible-core, and the modules' units with every Python of a
    managed host.
    """
    # What is missing fails here: ansible-test would leave it out without a word.
    yield Check("environments of the matrix", ["tools/setup-python", *CORES, *OLD_PYTHONS])
    # "default" has it compile and import the modules with every Python that is there, from 3.8 on.
    yield ansible_test("sanity", "default", "--junit")
    for core, python in CORES.items():
        yield ansible_test("units", python, core=core)
        yield ansible_test("sanity", "default", "--junit", core=core)
        yield ansible_test("integration", python, "--continue-on-error", core=core)
    for python in OLD_PYTHONS:
        yield ansible_test("units", python)
    yield ansible_test("units", OLD_PYTHONS[0], core=min(CORES))


def servers() -> Iterator[Check]:
    """What the integration target runs a sample of: the copy on every major of PostgreSQL, and over every failure of
    the network.
    """
    junit = RESULTS / "junit" / "servers"
    shutil.rmtree(junit, ignore_errors=True)
    files = ROOT / "tests/integration/targets/user_contact_details_migration/files"
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--durations=10",
        "-p",
        "no:cacheprovider",
        f"--junitxml={junit}/servers.xml",
    ]
    yield Check(
        "servers",
        [*pytest, str(files / "test_servers.py"), str(files / "test_network.py")],
        junit=junit,
        env={"OPENLMIS_TEST_ALL": "1"},
    )


def build() -> Iterator[Check]:
    """The collection as a user gets it: built, installed from the tarball, its documentation and playbooks readable."""
    shutil.rmtree(INSTALLED.parent, ignore_errors=True)
    adjacent = INSTALLED / "ansible_collections"
    adjacent.mkdir(parents=True)
    (adjacent / "community").symlink_to(ROOT / ".cache/collections/ansible_collections/community")
    # Nobody's own settings: an empty configuration, and no collections but these.
    config = INSTALLED.parent / "ansible.cfg"
    config.touch()
    env = {"ANSIBLE_COLLECTIONS_PATH": str(INSTALLED), "ANSIBLE_CONFIG": str(config)}

    galaxy = ["ansible-galaxy", "collection"]
    yield Check("build", [*galaxy, "build", "--force", "--output-path", str(INSTALLED.parent)], env=env)
    tarballs = [str(path) for path in INSTALLED.parent.glob(f"{NAMESPACE}-{NAME}-*.tar.gz")]
    yield Check(
        "install from the tarball",
        [*galaxy, "install", "--offline", "--collections-path", str(INSTALLED), *tarballs],
        env=env,
    )
    yield Check("only what belongs into the collection", [sys.executable, "-c", LOOK_INSIDE, *tarballs])

    junit = RESULTS / "junit" / "documentation"
    shutil.rmtree(junit, ignore_errors=True)
    pytest = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", f"--junitxml={junit}/documentation.xml"]
    yield Check("documentation", [*pytest, "tests/documentation"], junit=junit, env=env)
    yield Check("site of the documentation", ["tools/build-site"], env=env)

    playbooks = [path.stem for path in sorted((ROOT / "playbooks").glob("*.yml")) if path.stem.isidentifier()]
    for playbook in playbooks or ["upgrade_3_4"]:
        yield Check(
            f"syntax of {FQCN}.{playbook}",
            ["ansible-playbook", "--inventory", "openlmis,", "--syntax-check", f"{FQCN}.{playbook}"],
            env=env,
        )


LOOK_INSIDE = """
import sys, tarfile
allowed = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "docs", "meta",
           "playbooks", "plugins", "requirements-host.txt", "requirements.txt", "roles"}
names = tarfile.open(sys.argv[1]).getnames()
surplus = sorted({name.split("/")[0] for name in names} - allowed)
missing = sorted({"LICENSE", "README.md", "meta/runtime.yml", "requirements.txt"} - set(names))
if surplus or missing:
    sys.exit(f"The tarball holds {surplus} and should not, and it lacks {missing}: see build_ignore in galaxy.yml")
"""


# These run beside the others on Engines of their own, which reach no package index; all lanes take about as long.
SECOND = (
    "test_distribution.py",
    "test_expected.py",
    "test_faults.py",
    "test_inventory.py",
    "test_layouts.py",
    "test_rehearsing.py",
)
THIRD = ("test_upgrade.py",)
FOURTH = ("test_backup.py", "test_preflight.py", "test_refusals.py", "test_wait_and_smoke.py")
COMPOSE_V1 = (
    "import sys; sys.path.insert(0, 'tests/rehearsal'); from stack import compose_v1;"
    " compose_v1.docker_compose('1.20.1')"
)


def rehearsal_check(name: str, marks: str, names: Sequence[str], engine: str = "") -> Check:
    """Tests of the rehearsal server, by marks and files, on the first Engine or another."""
    junit = RESULTS / "junit" / name
    shutil.rmtree(junit, ignore_errors=True)
    pytest = [sys.executable, "-m", "pytest", "-v", "--durations=25", "-m", marks, f"--junitxml={junit}/{name}.xml"]
    files = [str(ROOT / "tests" / "rehearsal" / one) for one in names]
    prefix = ["tools/second-engine"] if engine else []
    return Check(name, [*prefix, *pytest, *files], junit=junit, env={"OPENLMIS_ENGINE": engine} if engine else {})


def rehearsal() -> Iterator[Check]:
    """Whole upgrades on a throw-away server."""
    yield rehearsal_check(
        "rehearsal", "not long", [name for name in REHEARSAL if name not in {*SECOND, *THIRD, *FOURTH}]
    )


def rehearsal_second() -> Iterator[Check]:
    """More of them."""
    yield Check("docker-compose of before v2", [sys.executable, "-c", COMPOSE_V1])
    yield rehearsal_check("rehearsal-second", "not long", SECOND, "openlmis-second-engine")


def rehearsal_third() -> Iterator[Check]:
    """Still more."""
    yield rehearsal_check("rehearsal-third", "not long", THIRD, "openlmis-third-engine")


def rehearsal_fourth() -> Iterator[Check]:
    """The rest of them."""
    yield rehearsal_check("rehearsal-fourth", "not long", FOURTH, "openlmis-fourth-engine")


def rehearsal_long() -> Iterator[Check]:
    """What of it takes long."""
    yield rehearsal_check("rehearsal-long", "long", REHEARSAL)


# Seconds that a check of `make test` may take, more than twice what the longest takes on two slow cores; a hang must
# not pass unseen.
LIMIT = 2400
PARTS = {
    "lint": lint,
    "units": units,
    "integration": integration,
    "build": build,
    "sanity": sanity,
    "rehearsal": rehearsal,
    "rehearsal-second": rehearsal_second,
    "rehearsal-third": rehearsal_third,
    "rehearsal-fourth": rehearsal_fourth,
    "servers": servers,
    "rehearsal-long": rehearsal_long,
    "sanity-rest": sanity_rest,
    "matrix": matrix,
}
LONG = {"servers", "rehearsal-long", "sanity-rest", "matrix"}
# What may run side by side: the rehearsal waits for containers most of the time, the others need the processor.
LANES = [
    ["rehearsal", "rehearsal-long"],
    ["rehearsal-second", "build", "sanity", "sanity-rest"],
    ["rehearsal-fourth"],
    ["rehearsal-third", "lint", "units", "integration", "servers", "matrix"],
]


def count_junit(folder: Path, per_file: bool) -> Result:
    """Test cases in the JUnit files below `folder`; those of ansible-test sanity name one test per file."""
    result = Result()
    for path in sorted(folder.glob("**/*.xml")) if folder.is_dir() else []:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
        skipped = sum(1 for case in cases if case.find("skipped") is not None)
        if per_file:
            failed, skipped = min(failed, 1), 0
            cases = cases[:1]
        result.failed += failed
        result.skipped += skipped
        result.passed += len(cases) - failed - skipped
    return result


def end(process: subprocess.Popen[str], limit: float | None) -> bool:
    """Wait for a command; one that takes longer than `limit` seconds is ended with all that it started, and the answer
    is False.
    """
    try:
        process.wait(limit)
        return True
    except subprocess.TimeoutExpired:
        # First as Ctrl-C does: it may have a server to take down.
        for number, patience in ((signal.SIGINT, 60), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(patience)
        return False


class Runner:
    """Runs checks, prints a line for each and the whole output of those that failed."""

    def __init__(self, stream: bool) -> None:
        self.stream = stream
        self.lock = threading.Lock()
        self.total = Result()
        self.stopped = False
        self.running: set[subprocess.Popen[str]] = set()

    def stop(self) -> None:
        """End what runs: each check has a session of its own, which no Ctrl-C reaches."""
        self.stopped = True
        for process in list(self.running):
            end(process, 0)

    def say(self, text: str) -> None:
        with self.lock:
            print(text, flush=True)

    def run_part(self, part: str) -> None:
        for check in PARTS[part]():
            if not self.stopped:
                self.run(part, check)

    @staticmethod
    def read(source: IO[str], output: IO[str], shown: bool) -> None:
        """Write down what a command prints, and show it where that is wanted."""
        for line in source:
            output.write(line)
            output.flush()
            if shown:
                print(line, end="", flush=True)

    def run(self, part: str, check: Check) -> None:
        log = RESULTS / f"{part}-{check.name.replace(' ', '-').replace('/', '-')}.log"
        env = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", **check.env}
        shown = os.path.relpath(log, ROOT)
        if check.junit:
            self.say(f"        {check.name} is running, its output goes to {shown}")
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                check.command,
                cwd=ROOT,
                env=env,
                text=True,
                errors="replace",
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            reader = threading.Thread(
                target=self.read, args=(process.stdout, output, self.stream and check.junit), daemon=True
            )
            reader.start()
            self.running.add(process)
            ended = end(process, None if part in LONG else LIMIT)
            self.running.discard(process)
            # What it has left running may hold its output open for ever.
            reader.join(5)
            if not ended:
                output.write(f"\nThis did not end within {LIMIT} seconds and was stopped.\n")
        seconds = time.monotonic() - began

        result = Result(passed=int(process.returncode == 0))
        if check.junit:
            result = count_junit(check.junit, check.per_file)
        found_nothing = process.returncode == 0 and not result.passed and not result.failed
        if found_nothing or (process.returncode != 0 and not result.failed):
            result.failed += 1
        self.report(check, result, seconds, shown, log, found_nothing)

    def report(self, check: Check, result: Result, seconds: float, shown: str, log: Path, found_nothing: bool) -> None:
        counts = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped"
        with self.lock:
            self.total.passed += result.passed
            self.total.failed += result.failed
            self.total.skipped += result.skipped
            if result.failed and not (self.stream and check.junit):
                print(f"----- {check.name}: the end of {shown}")
                print("\n".join(log.read_text(encoding="utf-8").splitlines()[-150:]))
                print("-----")
            if found_nothing:
                print(f"----- {check.name}: exit 0, but not a single test was run")
            word = "FAILED" if result.failed else "ok"
            print(f"{word:7} {check.name:55} {seconds:6.1f} s   {counts if check.junit else ''}".rstrip(), flush=True)


def main(names: list[str]) -> int:
    names = list(PARTS) if names == ["all"] else names
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        print(f"No such part: {', '.join(unknown)}; there are {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    names = names or [part for part in PARTS if part not in LONG]
    RESULTS.mkdir(parents=True, exist_ok=True)
    summary = RESULTS / "summary"
    summary.unlink(missing_ok=True)
    runner = Runner(stream=len(names) == 1)
    lanes = [[part for part in lane if part in names] for lane in LANES]

    def run_lane(lane: list[str]) -> None:
        for part in lane:
            runner.run_part(part)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            list(pool.map(run_lane, lanes))
        except BaseException:
            runner.stop()
            raise

    if runner.total.skipped:
        print(f"{runner.total.skipped} skipped")
    line = f"{runner.total.passed} passed, {runner.total.failed} failed"
    summary.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 1 if runner.total.failed else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
    sys.exit(130)
