# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the seconds of an upgrade go while users are kept out, beside the published procedure's fixed minutes.

    runbook.py [--from RELEASE] [--users N] [--boot SECONDS] [--rounds N] [--slowest N]

In each round a fresh rehearsal server is upgraded by the playbook, as an operator runs it; the table has the medians of
the rounds. Offline is from the beginning of the step `maintenance_on` to the end of `maintenance_off`, as the journal
has it. Docker's events tell when each component's container started, and a client that asks all the time when the
component first answered; dump and copy are what the modules say of their own work. Everything else is the runbook's own
overhead. Nothing is asserted about time.

The components are stand-ins; each is given a pause before it migrates, in which the original's Java begins (`--boot`).
What the runbook does meanwhile costs nobody anything.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmark import ROOT, table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests" / "rehearsal"))

from stack import ansible, deployment, images  # noqa: E402
from stack.releases import COMPONENTS, HTTP_PORT, START_RELEASES  # noqa: E402
from stack.world import PROJECT_LABEL, Server  # noqa: E402

# "Wait (about 5 min)", says the published procedure, whatever the components need.
PUBLISHED_WAIT = 300
SERVICE = "com.docker.compose.service"
PAUSE = 0.05  # seconds between two questions
AIMS = {"own": "under 20", "wait": "at most 2"}
Span = tuple[float, float]


class Watch:
    """Writes down when components start, and from when on they answer."""

    def __init__(self) -> None:
        self.started: list[tuple[str, float]] = []
        self.answered: dict[str, list[float]] = {name: [] for name in COMPONENTS}
        self.over = threading.Event()
        self.events = images.client().events(decode=True, filters={"type": "container", "event": "start"})
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self.listen, self.ask)]

    def __enter__(self) -> Watch:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.over.set()
        self.events.close()
        for thread in self.threads:
            thread.join()

    def listen(self) -> None:
        """Follow the Engine's events."""
        for event in self.events:
            labels = event["Actor"]["Attributes"]
            if PROJECT_LABEL in labels and labels[SERVICE] in self.answered:
                self.started.append((labels[SERVICE], event["timeNano"] / 1e9))

    def ask(self) -> None:
        """Ask each component that has started for its version, as users reach it, until it answers."""
        while not self.over.is_set():
            for name, began in dict(self.started).items():
                times = self.answered[name]
                if not (times and times[-1] > began) and answers(name):
                    times.append(time.time())
            self.over.wait(PAUSE)

    def boots(self) -> list[Span]:
        """From the start of each container to its component's first answer after it."""
        spans = []
        for name, began in self.started:
            first = next((at for at in self.answered[name] if at > began), None)
            if first is not None:
                spans.append((began, first))
        return spans


def answers(name: str) -> bool:
    """Whether a component names its version at this moment."""
    connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=2)
    try:
        connection.request("GET", f"/{name}")
        answer = connection.getresponse()
        return answer.status == 200 and "version" in json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def covered(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of the spans goes on."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


@dataclass
class Task:
    """A task of the playbook; it lasts until the next one begins."""

    name: str
    step: str | None
    began: float
    ended: float = 0.0
    cpu: float = 0.0
    skipped: bool = False
    duration: object = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def tasks_of(path: Path) -> list[Task]:
    """What the callback has written down."""
    tasks: list[Task] = []
    before = 0.0
    for event in map(json.loads, path.read_text().splitlines()):
        if event["event"] in ("task", "end") and tasks:
            tasks[-1].ended, tasks[-1].cpu = event["at"], event["cpu"] - before
        if event["event"] == "task":
            before = event["cpu"]
            tasks.append(Task(event["name"], event["step"], event["at"]))
        elif event["event"] == "skipped":
            tasks[-1].skipped = True
        elif event["event"] == "done" and event["duration"] is not None:
            tasks[-1].duration = event["duration"]
    return tasks


def moment(text: str) -> float:
    """A time of the journal, which is UTC, as seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@dataclass
class Upgrade:
    """One upgrade: what its seconds offline went to."""

    offline: float
    parts: dict[str, float]
    overhead: dict[str, float]
    waits: list[float]
    tasks: list[Task] = field(repr=False)

    @property
    def own(self) -> float:
        return self.offline - sum(self.parts.values())


def measured(server: Server, tasks: list[Task], boots: list[Span]) -> Upgrade:
    """Split the offline seconds of the run that the journal tells of."""
    steps = json.loads((server.state_dir / "journal.json").read_text())["steps"]
    window = (
        moment(next(one for one in steps if one["step"] == "maintenance_on")["started"]),
        moment(steps[-1]["finished"]),
    )
    inside = [task for task in tasks if window[0] < task.ended and task.began < window[1]]
    dump = next(task for task in inside if isinstance(task.duration, dict))
    waits = [task for task in inside if task.step == "wait" and task.duration is not None]
    copy = next(task for task in inside if task.step == "migrate_contact_details" and task.duration is not None)
    boots = [span for span in boots if span[0] > window[0]]
    first, second = ([span for span in boots if (span[0] < copy.began) is early] for early in (True, False))
    parts = {
        "component boot": covered(first),
        "dump": dump.duration["dump"],
        "proof of the dump": dump.duration["proof"],
        "copy": copy.duration,
        "restart": covered(second),
    }
    # What is none of these, by the step that it comes in.
    overhead: dict[str, float] = {}
    for step in steps:
        begin, end = moment(step["started"]), moment(step["finished"])
        if begin >= window[0]:
            booting = covered((max(begin, one), min(end, other)) for one, other in boots if one < end and other > begin)
            known = {"backup": parts["dump"] + parts["proof of the dump"], "migrate_contact_details": parts["copy"]}
            overhead[step["step"]] = (
                overhead.get(step["step"], 0.0) + end - begin - booting - known.get(step["step"], 0.0)
            )
    last = [max(other for _one, other in spans) for spans in (first, second)]
    late = [wait.ended - answered for wait, answered in zip(waits, last)]
    overhead["between the steps"] = window[1] - window[0] - sum(parts.values()) - sum(overhead.values())
    return Upgrade(window[1] - window[0], parts, overhead, late, inside)


def upgrade(release: str, users: int, boot: float) -> Upgrade:
    """Upgrade a fresh server and measure it."""

    def prepare(server: Server) -> None:
        with (server.project_src / "settings.env").open("a") as settings:
            settings.write(f"REHEARSAL_BOOT_SECONDS={boot:g}\n")

    with tempfile.TemporaryDirectory(prefix="openlmis-benchmark-", dir="/tmp") as name:
        timings = Path(name) / "timings"
        os.environ.update(
            ANSIBLE_CALLBACK_PLUGINS=str(HERE / "callback"),
            ANSIBLE_CALLBACKS_ENABLED="timings",
            TIMINGS_FILE=str(timings),
        )
        with deployment.running(release, Path(name) / "rehearsal", users=users, prepare=prepare) as server:
            with Watch() as watch:
                # As the role's default has it; the rehearsal's inventory wants more.
                run = ansible.upgrade(server, "-e", "openlmis_backup_verify=rows")
            if run.code:
                sys.exit(run.text)
            return measured(server, tasks_of(timings), watch.boots())


def report(results: list[Upgrade], slowest: int) -> None:
    def middle(values: Iterable[float]) -> str:
        return f"{statistics.median(values):.1f}"

    published = {
        "component boot": f'{PUBLISHED_WAIT} ("about 5 min", by the clock)',
        "dump": "the same, by hand",
        "proof of the dump": "none",
        "copy": "one INSERT per row",
        "restart": "as long, by hand",
    }
    rows = [[part, middle(one.parts[part] for one in results), text] for part, text in published.items()]
    rows.append(["own overhead", middle(one.own for one in results), "an operator's typing and reading"])
    rows.append(["offline", middle(one.offline for one in results), f"more than {PUBLISHED_WAIT}"])
    print("\nSeconds while users are kept out:\n")
    print(table(["", "this runbook", "published procedure"], rows))

    print("\nBeside the aims:\n")
    executed = [sum(not task.skipped for task in one.tasks) for one in results]
    print(
        table(
            ["", "measured", "aim"],
            [
                ["own overhead, seconds", middle(one.own for one in results), AIMS["own"]],
                [
                    "first wait ends after the last first answer, seconds",
                    middle(one.waits[0] for one in results),
                    AIMS["wait"],
                ],
                [
                    "second wait ends after the last first answer, seconds",
                    middle(one.waits[1] for one in results),
                    AIMS["wait"],
                ],
                [
                    "processor time of the playbook in the window, seconds",
                    middle(sum(task.cpu for task in one.tasks) for one in results),
                    "",
                ],
                [
                    "tasks in the window, of them skipped",
                    f"{len(results[-1].tasks)}, {len(results[-1].tasks) - executed[-1]}",
                    "",
                ],
            ],
        )
    )

    print("\nOwn overhead by step, seconds:\n")
    print(
        table(["", "seconds"], [[step, middle(one.overhead[step] for one in results)] for step in results[0].overhead])
    )

    print(f"\nThe {slowest} slowest tasks of the last upgrade in the window:\n")
    ordered = sorted(results[-1].tasks, key=lambda task: -task.seconds)[:slowest]
    rows = [[task.name, task.step or "", f"{task.seconds:.1f}", f"{task.cpu:.1f}"] for task in ordered]
    print(table(["task", "step", "seconds", "processor"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="release", choices=START_RELEASES, default=START_RELEASES[-1])
    parser.add_argument("--users", type=int, default=1000, metavar="N")
    parser.add_argument("--boot", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slowest", type=int, default=15, metavar="N")
    options = parser.parse_args()

    load = os.getloadavg()[0]
    results = []
    for number in range(options.rounds):
        print(f"upgrade from {options.release}, round {number + 1}", file=sys.stderr)
        results.append(upgrade(options.release, options.users, options.boot))
        one = results[-1]
        print(f"    offline {one.offline:.1f} s, own overhead {one.own:.1f} s", file=sys.stderr)
    print(
        f"{options.release} to 3.4.0, {options.users:,} users, components that boot for {options.boot:g} s,"
        f" {os.cpu_count()} processors; load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    )
    report(results, options.slowest)


if __name__ == "__main__":
    main()
