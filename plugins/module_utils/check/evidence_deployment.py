# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check goes by of a deployment's files, as Compose renders them. No secret is in the result."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, edits, spring
from ansible_collections.openlmis.operations.plugins.module_utils.project.database_url import parse_database_url

PROFILE_KEYS = ("spring_profiles_active", "SPRING_PROFILES_ACTIVE")
MAIL_KEYS = ("MAIL_HOST", "SPRING_MAIL_HOST", "spring.mail.host", "spring_mail_host")


def rendered(seen: server.Look, unrendered: Sequence[str]) -> Dict[str, Any]:
    """Return what the files say, for those checks that a resumed run is held to as well."""
    texts = edits.read_texts(seen.files)
    keepers = [service for service in seen.services if service.schema]
    starts_with = profiles(seen)
    bare = [service.name for service in keepers if "production" not in starts_with[service.name]]
    return {
        "profiles": starts_with,
        "profile_places": {name: places(name, PROFILE_KEYS, seen.raw, texts, seen.src) for name in bare},
        "lost_profiles": lost_profiles(seen, starts_with),
        "without_url": [service.name for service in keepers if not service.data_source.url],
        "url_ends": by_value((url_end(service.data_source.url), service.name) for service in keepers),
        "require_ssl": [one.name for one in seen.services if one.environment.get("REQUIRE_SSL", "").lower() == "true"],
        "base_urls": by_value(
            (one.environment.get("BASE_URL", "").rstrip("/"), one.name) for one in seen.services if one.component
        ),
        "mail_hosts": mail_of(seen.services),
        "moved_tags": moved_tags(seen),
        "included_by": included_by(seen, unrendered),
    }


def profiles(seen: server.Look) -> Dict[str, List[str]]:
    """Return the Spring profiles that each service would start with; what its image sets counts where nothing else
    does.
    """
    present, found = deployment.on_host(seen.client), {}
    for service in seen.services:
        image = present.get(deployment.full_name(service.image))
        own = (
            (seen.client.api.inspect_image(image)["Config"].get("Env") or []) if image and not service.profiles else []
        )
        baked = dict(one.partition("=")[::2] for one in own)
        found[service.name] = service._replace(environment={**baked, **service.environment}).profiles
    return found


def lost_profiles(seen: server.Look, starts_with: Mapping[str, Sequence[str]]) -> Dict[str, Dict[str, Any]]:
    """Return the services whose container runs with the profile production and that would start without it.

    C(variables) are those that their entries refer to: the shell that started the containers had them.
    """
    found = {}
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or "production" in starts_with[service.name] or service.removable:
            continue
        config = container.attrs["Config"]
        has = spring.Given(environment_of(config), spring.words_of(config.get("Entrypoint"), config.get("Cmd")))
        if "production" in spring.profiles(has):
            referred = unset_variables(
                seen.raw["services"].get(service.name, {}).get("environment"), service.environment
            )
            found[service.name] = {
                "renders": list(starts_with[service.name]),
                "variables": [referred[key] for key in PROFILE_KEYS if key in referred],
            }
    return found


def started_elsewhere(seen: server.Look) -> List[str]:
    """Return the components that keep a schema and whose container was started on another database than Compose
    renders.

    Parameters of the URL may differ: a site adds some, and starts its components again with the upgrade.
    """
    found = []
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or not service.schema or container.status != "running":
            continue
        config = container.attrs["Config"]
        had = spring.data_source(
            spring.Given(environment_of(config), spring.words_of(config.get("Entrypoint"), config.get("Cmd")))
        ).url
        if had and place_of(had) != place_of(service.data_source.url):
            found.append(service.name)
    return found


def place_of(url: str) -> Tuple[Any, ...]:
    """Return hosts, port and database of a database URL, the URL itself where it cannot be read."""
    try:
        parsed = parse_database_url(url)
    except OperationError:
        return (url,)
    return parsed.hosts, parsed.port or 5432, parsed.database


def environment_of(config: Mapping[str, Any]) -> Dict[str, str]:
    """Return the environment in an inspected container's or image's configuration."""
    return dict(one.partition("=")[::2] for one in config.get("Env") or [])


def unset_variables(raw: Any, values: Mapping[str, str]) -> Dict[str, str]:
    """Return the variables, by the key of C(environment), that a service's entries consist of and that render as
    nothing.
    """
    entries = dict(one.partition("=")[::2] for one in raw) if isinstance(raw, list) else dict(raw or {})
    # An entry without a value is taken from the environment by its own name.
    named = {
        key: deployment.variable_of(str(value)) if value not in (None, "") else key for key, value in entries.items()
    }
    return {key: name for key, name in named.items() if name and not values.get(key)}


def included_by(seen: server.Look, names: Sequence[str]) -> Dict[str, str]:
    """Return the Compose profile by which each of these services, whose containers are there, would be rendered."""
    found: Dict[str, str] = {}
    for profile in deployment.compose_profiles(seen.src, seen.files, seen.project.name) if names else ():
        services = deployment.render(seen.src, seen.files, seen.project.name, profile=profile).get("services", {})
        found.update({name: profile for name in names if name in services and name not in found})
    return found


def by_value(pairs: Iterable[Tuple[str, str]]) -> Dict[str, List[str]]:
    """Return the names by value, without those that have none."""
    found: Dict[str, List[str]] = {}
    for value, name in pairs:
        if value:
            found.setdefault(value, []).append(name)
    return found


def url_end(url: str) -> str:
    """Return the parameter at the end of a database URL when it is one that must not be spoilt; only of sslmode with
    its value.
    """
    name, _equals, value = url.partition("?")[2].rpartition("&")[2].partition("=")
    if not name.lower().startswith("ssl") and name not in ("user", "password", "currentSchema", "targetServerType"):
        return ""
    return f"{name}={value}" if name == "sslmode" else name


def mail_of(services: Sequence[deployment.Service]) -> Dict[str, List[str]]:
    """Return the services by the mail host outside this server that they use; of every service, since a site's own
    sends mail as well.
    """
    return by_value((outside(host, services), one.name) for one in services for host in mail_hosts(one))


def mail_hosts(service: deployment.Service) -> List[str]:
    """Return the mail hosts that a service is given, in whichever way Spring takes them."""
    named = [service.environment[key] for key in MAIL_KEYS if service.environment.get(key)]
    return list(dict.fromkeys([*named, *filter(None, [service.given.value("spring.mail.host")])]))


def outside(host: str, services: Sequence[deployment.Service]) -> str:
    """Return the host unless mail to it stays on this server."""
    inside = {"", "localhost", "127.0.0.1", "::1", *(service.name for service in services)}
    return "" if host in inside or host.endswith((".invalid", ".test", ".example", ".localhost")) else host


def places(service: str, keys: Sequence[str], raw: Mapping[str, Any], texts: Mapping[str, str], src: str) -> List[str]:
    """Return where a service's variable is set, file and line, what counts first: C(environment)
    outranks C(env_file).
    """
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
    """Return the services that start again from their tag, or stay, and whose tag means another image than the
    container runs.
    """
    present, found = deployment.on_host(seen.client), {}
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or service.component or service.one_shot:
            continue
        name, runs = container.attrs["Config"]["Image"], container.attrs["Image"]
        if "@" in name or name.startswith("sha256:"):
            continue
        means = present.get(deployment.full_name(name), "")
        if means != runs:
            found[service.name] = {"name": name, "runs": runs, "means": means}
    return found


def environment_differences(seen: server.Look) -> List[Dict[str, Any]]:
    """Return the variables that Compose renders with another value than the containers have, without the values.

    C(variable) is the one that an entry consists of where it renders as nothing and the container has a value.
    """
    texts, found = edits.read_texts(seen.files), {}
    for service in seen.services:
        container = seen.project.service(service.name)
        if container is None or service.one_shot:
            continue
        has = environment_of(container.attrs["Config"])
        referred = unset_variables(seen.raw["services"].get(service.name, {}).get("environment"), service.environment)
        for key, value in (seen.rendered["services"][service.name].get("environment") or {}).items():
            # Compose doubles a $ in what it renders, so that the text could be a Compose file again.
            if value is None or has.get(key) in (str(value), str(value).replace("$$", "$")):
                continue
            place = next(iter(places(service.name, [key], seen.raw, texts, seen.src)), "")
            one = found.setdefault(
                (key, place), {"key": key, "place": place, "services": [], "dollar": False, "variable": ""}
            )
            one["services"].append(service.name)
            one["dollar"] = one["dollar"] or "$" in has.get(key, "")
            one["variable"] = one["variable"] or (referred.get(key, "") if has.get(key) else "")
    return sorted(found.values(), key=lambda one: (one["key"], one["place"]))
