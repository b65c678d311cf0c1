# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check goes by of a deployment's files, as Compose renders them. No secret is in the result."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils import deployment, edits, server

PROFILE_KEYS = ("spring_profiles_active", "SPRING_PROFILES_ACTIVE")
MAIL_KEYS = ("MAIL_HOST", "SPRING_MAIL_HOST", "spring.mail.host", "spring_mail_host")


def rendered(seen: server.Look) -> Dict[str, Any]:
    """Return what the files say, for those checks that a resumed run is held to as well."""
    texts = edits.read_texts(seen.files)
    users = [service for service in seen.services if service.component and "DATABASE_URL" in service.environment]
    bare = [service.name for service in users if "production" not in deployment.active_profiles(service)]
    return {
        "profile_places": {name: places(name, PROFILE_KEYS, seen.raw, texts, seen.src) for name in bare},
        "url_ends": by_value((url_end(service.environment["DATABASE_URL"]), service.name) for service in users),
        "require_ssl": [one.name for one in seen.services if one.environment.get("REQUIRE_SSL", "").lower() == "true"],
        "base_urls": by_value((one.environment.get("BASE_URL", "").rstrip("/"), one.name) for one in seen.services if one.component),
        "mail_hosts": mail_of(seen.services),
        "moved_tags": moved_tags(seen),
    }


def by_value(pairs: Iterable[Tuple[str, str]]) -> Dict[str, List[str]]:
    """Return the names by value, without those that have none."""
    found: Dict[str, List[str]] = {}
    for value, name in pairs:
        if value:
            found.setdefault(value, []).append(name)
    return found


def url_end(url: str) -> str:
    """Return the parameter at the end of a database URL when it is one that must not be spoilt; only of sslmode with its value."""
    name, _equals, value = url.partition("?")[2].rpartition("&")[2].partition("=")
    if not name.lower().startswith("ssl") and name not in ("user", "password", "currentSchema", "targetServerType"):
        return ""
    return f"{name}={value}" if name == "sslmode" else name


def mail_of(services: Sequence[deployment.Service]) -> Dict[str, List[str]]:
    """Return the services by the mail host outside this server that they use; of every service, since a site's own sends mail as well."""
    return by_value((outside(host, services), one.name) for one in services for host in mail_hosts(one.environment))


def mail_hosts(environment: Mapping[str, str]) -> List[str]:
    """Return the mail hosts that a service's environment names, in whichever way Spring takes them."""
    options = re.findall(r"-Dspring\.mail\.host=(\S+)", environment.get("JAVA_OPTS", ""))
    return [environment[key] for key in MAIL_KEYS if environment.get(key)] + options


def outside(host: str, services: Sequence[deployment.Service]) -> str:
    """Return the host unless mail to it stays on this server."""
    inside = {"", "localhost", "127.0.0.1", "::1", *(service.name for service in services)}
    return "" if host in inside or host.endswith((".invalid", ".test", ".example", ".localhost")) else host


def places(service: str, keys: Sequence[str], raw: Mapping[str, Any], texts: Mapping[str, str], src: str) -> List[str]:
    """Return where a service's variable is set, file and line, what counts first: C(environment) outranks C(env_file)."""
    facts = raw.get("services", {}).get(service, {})
    # A list where Compose has merged several files, else a mapping.
    own = {one.partition("=")[0] for one in facts.get("environment") or {}}
    found = []
    options = re.compile(r"-Dspring\.profiles\.active=" if keys == PROFILE_KEYS else r"(?!)")
    named = re.compile(rf"^\s*(?:-\s*)?[\"']?(?:{'|'.join(map(re.escape, keys))})[\"']?\s*[:=]")
    for path, text in reversed(list(texts.items())):
        lines = list(service_lines(text, service))
        found += [_place(path, number) for number, line in lines if options.search(line)]
        if own & set(keys):
            found += [_place(path, number) for number, line in lines if named.search(line)]
    listed = [one["path"] if isinstance(one, dict) else one for one in facts.get("env_file") or []]
    assigned = re.compile(rf"\s*(?:export\s+)?(?:{'|'.join(map(re.escape, keys))})\s*[=:]")
    for path, text in reversed(list(edits.read_texts([os.path.join(src, one) for one in listed]).items())):
        found += [_place(path, number) for number, line in enumerate(text.splitlines(), 1) if assigned.match(line)]
    return found


def _place(path: str, line: int) -> str:
    return f"{os.path.basename(path)} line {line}"


def service_lines(text: str, service: str) -> Iterator[Tuple[int, str]]:
    """Return the numbered lines of one service's entry in a Compose file."""
    inside: Optional[int] = None
    for number, line in enumerate(text.splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        if inside is not None and line.strip() and not line.lstrip().startswith("#") and indent <= inside:
            inside = None
        if inside is None and indent and re.match(rf"\s+[\"']?{re.escape(service)}[\"']?:\s*(#.*)?$", line):
            inside = indent
        if inside is not None:
            yield number, line


def moved_tags(seen: server.Look) -> Dict[str, Dict[str, str]]:
    """Return the services that start again from their tag, or stay, and whose tag means another image than the container runs."""
    present = {tag: image["Id"] for image in seen.client.api.images() for tag in image["RepoTags"] or []}
    found = {}
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or service.component or service.one_shot:
            continue
        name, runs = container.attrs["Config"]["Image"], container.attrs["Image"]
        if "@" in name or name.startswith("sha256:"):
            continue
        means = present.get(name if ":" in name.rpartition("/")[2] else name + ":latest", "")
        if means != runs:
            found[service.name] = {"name": name, "runs": runs, "means": means}
    return found


def environment_differences(seen: server.Look) -> List[Dict[str, Any]]:
    """Return the variables that Compose renders with another value than the containers have, without the values."""
    texts, found = edits.read_texts(seen.files), {}
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or service.one_shot:
            continue
        has = dict(one.partition("=")[::2] for one in container.attrs["Config"]["Env"] or [])
        wanted = seen.rendered["services"][service.name].get("environment") or {}
        for key, value in wanted.items():
            # Compose doubles a $ in what it renders, so that the text could be a Compose file again.
            if value is None or has.get(key) in (str(value), str(value).replace("$$", "$")):
                continue
            place = next(iter(places(service.name, [key], seen.raw, texts, seen.src)), "")
            one = found.setdefault((key, place), {"key": key, "place": place, "services": [], "dollar": False})
            one["services"].append(service.name)
            one["dollar"] = one["dollar"] or "$" in has.get(key, "")
    return sorted(found.values(), key=lambda one: (one["key"], one["place"]))
