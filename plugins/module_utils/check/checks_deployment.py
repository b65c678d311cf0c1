# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in a deployment's files, as Compose renders them: pure functions from facts to findings."""

from __future__ import annotations

import re
from typing import List, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
    pasted,
)
from ansible_collections.openlmis.operations.plugins.module_utils.project import classification

# What only the site knows, in a variable to be pasted.
IMAGE = "<image>:<tag>"
PROFILES = ("spring_profiles_active", "SPRING_PROFILES_ACTIVE")

# Services that show users' profiles; a build from before the release does not know where contact details are.
_UI_NAME = re.compile(r"(^|[-_/.])ui($|[-_:.])", re.IGNORECASE)


def check_services(facts: Facts) -> Finding:
    """Every container of the project is known for what it is; none that matters is left out by what Compose renders."""
    services, left_out = facts["services"], facts["unrendered"]
    outside = {
        name: one for name, one in left_out.items() if one["running"] and (one["component"] or one["uses_database"])
    }
    if outside:
        return _left_out(facts, outside)
    table = services_table(facts)
    users = sorted(name for name, one in services.items() if one["uses_database"])
    found = f"{len(services)} services"
    found += f"; {listed(users)} use the database and are stopped with the components" if users else ""
    others = facts["database"].get("other_sessions") or {}
    strangers = {address: count for address, count in others.items() if address != facts["database"].get("seen_from")}
    idle = sorted(name for name in left_out if name not in outside)
    if not strangers and not idle:
        return Finding("services", OK, found, details=table)
    told = [
        f"{count} sessions from {address}, which is no container of this project"
        for address, count in strangers.items()
    ]
    told += [f"{listed(idle)} have containers, and Compose renders no such service"] if idle else []
    return Finding(
        "services",
        WARNING,
        f"{found}. {'; '.join(told)}",
        "",
        "They stay as they are during the upgrade: stop what writes to the database before the window.",
        table,
    )


def _left_out(facts: Facts, outside: Facts) -> Finding:
    by, started_with = facts["rendered"]["included_by"], facts["outlook"]["started_with"]
    other_files = bool(started_with) and started_with != facts["outlook"]["files"]
    remedies = []
    profiles = sorted({by[name] for name in outside if name in by})
    if profiles:
        remedies.append(f"Have Compose render them: {compose_environment(facts)}.")
    lost = sorted(name for name in outside if name not in by)
    if lost and other_files:
        remedies.append("See the check compose files: the containers were started with others.")
    elif lost:
        names = " ".join(facts["unrendered"][name]["container_name"] for name in lost)
        remedies.append(
            f"Put {listed(lost)} back into the Compose file, or, when nobody needs them, remove them: docker rm --force"
            f" {names}."
        )
    what = [
        f"{name} ({one['image']}, {'a component' if one['component'] else 'which uses the database'})"
        for name, one in sorted(outside.items())
    ]
    return Finding(
        "services",
        REFUSED,
        f"{'; '.join(what)}: the container runs, and Compose renders no such service, so that it would go on during"
        " backup and migration",
        "",
        " ".join(remedies),
        services_table(facts),
    )


def services_table(facts: Facts) -> Tuple[str, ...]:
    """Return what each service of the project is and what the upgrade does with it, as aligned lines."""
    rows = [(name, one["kind"], classification.FATE[one["kind"]]) for name, one in sorted(facts["services"].items())]
    rows += [(name, one["kind"], "is not rendered: stays") for name, one in sorted(facts["unrendered"].items())]
    rows = [("service", "is", "and in the upgrade"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return tuple("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows)


def compose_environment(facts: Facts) -> str:
    """Return the variable that gives Compose all that the findings ask for, to be pasted."""
    profiles = sorted(set(facts["rendered"]["included_by"].values()))
    wanted = {"COMPOSE_PROFILES": ",".join([*facts["compose_profiles"], *profiles])} if profiles else {}
    variables = {name for one in facts["rendered"]["lost_profiles"].values() for name in one["variables"]}
    wanted.update(dict.fromkeys(sorted(variables), "production"))
    return f"openlmis_compose_environment: {pasted(wanted)}"


def check_profiles(facts: Facts) -> Finding:
    """Every component that keeps a schema starts with the profile C(production), else it drops its schema on start.

    So does every service whose container has it: what was given to the containers must be given to the new ones.
    """
    rendered, lost = facts["rendered"], facts["rendered"]["lost_profiles"]
    profiles = {name: rendered["profiles"].get(name, []) for name, one in facts["services"].items() if one["schema"]}
    bare = {name: found for name, found in profiles.items() if "production" not in found}
    if not bare and not lost:
        return Finding("production profile", OK, "every component that keeps a schema renders with it")
    places = rendered["profile_places"]
    found = [
        f"{name} renders with {','.join(profiles) or 'no profile'}"
        + (f" ({', which comes before '.join(places[name])})" if places.get(name) else "")
        for name, profiles in sorted(bare.items())
    ]
    found += [
        f"{name}'s container has it, and renders with {','.join(one['renders']) or 'no profile'}"
        for name, one in sorted(lost.items())
        if name not in bare
    ]
    given = sorted({variable for one in lost.values() for variable in one["variables"]})
    remedies = []
    if given:
        remedies.append(
            f"The shell that started the containers had {listed(given)} set, and this run has not:"
            f" {compose_environment(facts)}."
        )
    if not given or set(bare) - set(lost):
        remedies.append(
            "Set spring_profiles_active=production in the settings file, and remove the entry that comes before it;"
            " `docker compose config` shows what counts."
        )
    return Finding(
        "production profile",
        REFUSED,
        f"{'; '.join(found)}: without the profile production a component DROPS its whole schema when it starts",
        "",
        " ".join(remedies),
    )


def check_same_database(facts: Facts) -> Finding:
    """All components that keep a schema render one and the same database URL, user and password."""
    groups, without = facts["database_groups"], facts["rendered"]["without_url"]
    if len(groups) == 1 and not without:
        return Finding("database URL", OK, f"the same for all {len(groups[0])} components that keep a schema")
    if not groups:
        return Finding(
            "database URL",
            REFUSED,
            "no component renders a DATABASE_URL",
            "one for every component",
            "Set DATABASE_URL in the settings file, or name the settings file in env_file.",
        )
    if len(groups) == 1:
        return Finding(
            "database URL",
            REFUSED,
            f"{listed(without)} render no DATABASE_URL, and keep a schema from {facts['release_target']} on",
            f"that of {listed(groups[0])}",
            "Name the settings file in env_file of these services.",
        )
    found = "; ".join(", ".join(group) for group in groups)
    return Finding(
        "database URL",
        REFUSED,
        f"components render different DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD, in these groups: {found}",
        "the same for all components",
        "Compare them with `docker compose config` and remove what sets one apart.",
    )


def check_database_in_use(facts: Facts) -> Finding:
    """The database that is backed up is the one that the components use: by what they render, and by their sessions in
    it.
    """
    here, named = facts["database"], facts["live"]["named"]
    if here["error"]:
        return Finding("database in use", OK, "not looked at, since the database does not answer")
    place = f"{here['name']} at {here['host']}"
    keepers = {name: one for name, one in facts["services"].items() if one["schema"] and one["status"] == "running"}
    inside = sorted(set(here["sessions"]) & set(keepers))
    options = ", ".join(f"openlmis_{name}" for name in named["options"])
    if named["same"] is False or (named["same"] is None and not inside):
        return Finding(
            "database in use",
            REFUSED,
            f"{options} names the database {place}; the components are given another one: {named['rendered']}",
            "the database that the components use",
            f"Leave {options} away, or correct it.",
        )
    other_url = [name for name in facts["live"]["started_elsewhere"] if name not in inside]
    elsewhere = {database: sorted(set(names) & set(keepers)) for database, names in here["elsewhere"].items()}
    found = [f"{listed(other_url)} were started with another DATABASE_URL than Compose renders"] if other_url else []
    found += [
        f"sessions of {listed(names)} are in the database {database}"
        for database, names in sorted(elsewhere.items())
        if names and not inside
    ]
    if found:
        return Finding(
            "database in use",
            REFUSED,
            f"{'; '.join(found)}, which is {place}",
            "the database that the running components use, since that is what is backed up",
            "Compare DATABASE_URL of `docker compose config` with that of `docker inspect`, and correct the files.",
        )
    if inside:
        return Finding("database in use", OK, f"{place}: sessions of {listed(inside)} are in it")
    started = (
        "as the running components were started with, none of which has a session at this moment"
        if keepers
        else "as Compose renders it"
    )
    return Finding("database in use", OK, f"{place}, {started}")


def check_url_end(facts: Facts) -> Finding:
    """Components append C(?stringtype=unspecified) to DATABASE_URL: what stands at its end is spoilt."""
    ends = facts["rendered"]["url_ends"]
    if not ends:
        return Finding("end of database URL", OK, "no parameter that the components would spoil")
    found = "; ".join(f"{end} of {listed(services)}" for end, services in sorted(ends.items()))
    return Finding(
        "end of database URL",
        REFUSED,
        f"DATABASE_URL ends in {found}, and components glue ?stringtype=unspecified to it",
        "a harmless parameter at the end",
        "Add one, such as &ApplicationName=openlmis, to DATABASE_URL in the settings file.",
    )


def check_environment(facts: Facts) -> Finding:
    """What Compose renders is what the containers were started with; a C($) changes its meaning from
    Compose v1 to v2.
    """
    differing = facts["live"]["environment"]
    if not differing:
        return Finding("settings", OK, "Compose renders what the containers were started with")
    dollars = [one for one in differing if one["dollar"]]
    told = "; ".join(f"{one['key']}{_at(one['place'])} for {listed(one['services'])}" for one in dollars or differing)
    if dollars:
        return Finding(
            "settings",
            REFUSED,
            f"a value with a $ renders as another one than the containers have: {told}",
            "the same value, since Compose v2 replaces $name in files where v1 did not",
            "Write every $ as $$, or put the value in single quotes; the containers' own values show with `docker"
            " inspect`.",
        )
    unset = [one for one in differing if one["variable"] and one["variable"] not in PROFILES]
    if unset:
        names = sorted({one["variable"] for one in unset})
        values = {name: f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}" for name in names}
        return Finding(
            "settings",
            REFUSED,
            f"{listed(names)} is not set here, and the shell that started the containers had it: without it Compose"
            f" renders nothing for {'; '.join(one['key'] + ' of ' + listed(one['services']) for one in unset)}",
            "",
            f"Export it before ansible-playbook, and hand it on: openlmis_compose_environment: {pasted(values)}.",
        )
    return Finding(
        "settings",
        WARNING,
        f"the containers were started with other values than Compose renders: {told}",
        "",
        "The upgrade starts them with the files' values; see that these are meant.",
    )


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def check_https(facts: Facts) -> Finding:
    """With REQUIRE_SSL nginx redirects every request that did not come by https."""
    services, base_url = facts["rendered"]["require_ssl"], facts["base_url"]
    if not services or not base_url or base_url.startswith("https:"):
        return Finding(
            "https", OK, "openlmis_base_url is what the server insists on" if services else "not insisted on"
        )
    return Finding(
        "https",
        REFUSED,
        f"{listed(services)} renders REQUIRE_SSL=true, and openlmis_base_url begins with http:",
        "an https address, since every request by http is redirected",
        "Set openlmis_base_url to the https address.",
    )


def check_base_url(facts: Facts) -> Finding:
    """Components call each other at BASE_URL, through nginx: they reach it, and the run waits and tests at the same
    address.
    """
    rendered, unreached = facts["rendered"]["base_urls"], facts["live"]["unreached"]
    if unreached:
        return Finding(
            "base URL",
            REFUSED,
            unreached,
            "an answer, since components call each other there",
            "See that nginx runs, that BASE_URL is right, and that a firewall lets containers reach this server's own"
            " address.",
        )
    other = {
        url: services
        for url, services in rendered.items()
        if facts["base_url"] and url != facts["base_url"].rstrip("/")
    }
    if not other:
        return Finding("base URL", OK, "components reach each other there")
    told = "; ".join(f"{url} for {listed(services)}" for url, services in sorted(other.items()))
    return Finding(
        "base URL",
        WARNING,
        f"components render another BASE_URL than openlmis_base_url, which is {facts['base_url']}: {told}",
        "the address at which components call each other, since that is what has to work in the end",
        "Set openlmis_base_url to it, or correct BASE_URL.",
    )


def check_images(facts: Facts) -> Finding:
    """Each service's image of the new release is known, and here or to be fetched before the window opens."""
    services, given = facts["services"], facts["images"]
    strangers = sorted(set(given) - set(services))
    if strangers:
        return Finding(
            "images",
            REFUSED,
            f"openlmis_images names {listed(strangers)}, and no service is called so",
            f"names of services: {', '.join(sorted(services))}",
            "Correct the name.",
        )
    keeping = sorted(name for name, image in given.items() if image == "keep" and services[name]["schema"])
    if keeping:
        return Finding(
            "images",
            REFUSED,
            f"openlmis_images keeps the image of {listed(keeping)}, which keeps a schema",
            f"its build of {facts['release_target']}, since no other migrates the schema",
            f"Name it: openlmis_images: {pasted({**given, **dict.fromkeys(keeping, IMAGE)})}.",
        )
    unknown = [name for name in unknown_images(facts) if services[name]["component"] and not services[name]["ui"]]
    if unknown:
        told = ", ".join(f"{name} runs {services[name]['image']}" for name in unknown)
        return Finding(
            "images",
            REFUSED,
            f"{told}: a country's own build whose {facts['release_target']} image is not known here",
            "an image for every service",
            f"Name it: {images_to_name(facts)}.",
        )
    if facts["images_to_pull"]:
        return Finding("images", OK, f"to be pulled before the window: {', '.join(facts['images_to_pull'])}")
    return Finding("images", OK, f"all of {facts['release_target']} are on this host")


def user_interfaces(facts: Facts) -> List[str]:
    """Return the services that are the user interface, or look like one under a name and image of its own."""
    services = facts["services"]
    known = [name for name, one in services.items() if one["ui"]]
    return known or [
        name
        for name, one in services.items()
        # The operator may have said that it is none.
        if not one["component"]
        and name not in facts["named"]
        and (_UI_NAME.search(name) or _UI_NAME.search(one["image"]))
    ]


def unknown_images(facts: Facts) -> List[str]:
    """Return the services whose image of the release only the operator can tell."""
    services, interfaces = facts["services"], user_interfaces(facts)
    return sorted(
        name
        for name, one in services.items()
        if name not in facts["images"]
        and (one["component"] or name in interfaces)
        and (one["target_image"] is None or not one["component"])
    )


def images_to_name(facts: Facts) -> str:
    """Return openlmis_images with all that it has to hold, to be pasted."""
    return f"openlmis_images: {pasted({**facts['images'], **dict.fromkeys(unknown_images(facts), IMAGE)})}"


def check_national_ui(facts: Facts) -> Finding:
    """A user interface of the country's own, from before the release, does not know the contact details' new place."""
    services, given, users = facts["services"], facts["images"], sorted(user_interfaces(facts))
    unknown = [name for name in users if name in unknown_images(facts)]
    kept = [
        name
        for name in users
        if given.get(name) == "keep" or (facts["state"] == "start" and given.get(name) == services[name]["image"])
    ]
    if unknown:
        told = ", ".join(f"{name} runs {services[name]['image']}" for name in unknown)
        unsaid = {name: facts["user_interface"] for name in unknown if not services[name]["ui"]}
        what_it_is = f"Say what it is: openlmis_components: {pasted({**facts['named'], **unsaid})}. " if unsaid else ""
        return Finding(
            "national UI",
            REFUSED,
            f"{told}: a user interface of the site's own, and its build for {facts['release_target']} is not known"
            " here",
            f"a build that asks the notification service for contact details, as {facts['user_interface']} of"
            f" {facts['release_target']} does",
            f"{what_it_is}Name its image: {images_to_name(facts)}. Where the one that runs knows the contact details'"
            " new place already, the image is keep.",
        )
    if kept:
        return Finding(
            "national UI",
            WARNING,
            f"{listed(kept)} keeps its image, as openlmis_images says",
            "",
            "If it was built for an earlier release, user profiles will not show contact details.",
        )
    return Finding(
        "national UI", OK, f"{listed(users)}: of the release" if users else "this project has no user interface"
    )


def check_tags(facts: Facts) -> Finding:
    """A tag such as C(9.6-postgis) may mean another image by now than the one that the container was made of."""
    moved, database = facts["rendered"]["moved_tags"], facts["database"].get("service")
    if not moved:
        return Finding("moved tags", OK, "every tag still means the image that runs; the database's is never pulled")
    told = "; ".join(
        f"{name} runs {one['runs'][:19]}, and {one['name']} means {one['means'][:19] or 'no image here'}"
        for name, one in sorted(moved.items())
    )
    name, one = next(
        ((name, one) for name, one in sorted(moved.items()) if name == database), next(iter(sorted(moved.items())))
    )
    remedy = f"Give the tag back to the image that runs: docker tag {one['runs'][:19]} {one['name']}."
    if name == database:
        return Finding("moved tags", REFUSED, told, "the image that the database's files were made with", remedy)
    return Finding("moved tags", WARNING, told, "", f"They start from the tag's new image. {remedy}")


def check_restart_policy(facts: Facts) -> Finding:
    """With C(restart: always) a failed migration becomes a crash loop, and a reboot starts components by itself."""
    always = sorted(
        name for name, s in facts["services"].items() if s["component"] and s["restart_policy"] not in ("", "no")
    )
    if not always:
        return Finding("restart policy", OK, "none")
    return Finding(
        "restart policy",
        WARNING,
        f"{', '.join(always)} restart by themselves",
        "",
        "Nothing to do: they do not while users are kept out, and a crash loop ends the wait.",
    )


def check_next_deployment(facts: Facts) -> Finding:
    """The next deployment puts the old versions onto the new database unless the change is committed where it takes its
    files from.
    """
    place = facts["live"]["deployed_from"]
    files = sorted({edit["path"].rpartition("/")[2] for edit in facts["edits"]})
    changed = f"{', '.join(files)} will change" if files else "no file will change"
    if not place["signs"]:
        return Finding(
            "next deployment", OK, f"{changed}; commit that wherever the next deployment takes its files from"
        )
    return Finding(
        "next deployment",
        WARNING,
        f"{'; '.join(place['signs'])}. {changed}",
        "the same change there before the next deployment, which else puts the old release onto the new database",
        "Stop automatic deployments for the upgrade, and commit what the report names at its end.",
    )


def check_real_people(facts: Facts) -> Finding:
    """A copy of production holds real addresses, FTP servers and passwords."""
    if not facts["staging"]:
        return Finding("real people", OK, "openlmis_staging is not set: this is the server that they use")
    mail, partners = facts["rendered"]["mail_hosts"], facts["live"]["database"].get("transfer_hosts", [])
    caught = set(facts.get("mail_hosts") or ())
    found = [
        f"MAIL_HOST is {host} for {listed(services)}" for host, services in sorted(mail.items()) if host not in caught
    ]
    found += [f"fulfillment.transfer_properties sends orders to {listed(partners)}"] if partners else []
    if not found:
        return Finding("real people", OK, "this staging server sends neither mail nor orders anywhere")
    return Finding(
        "real people",
        REFUSED,
        f"openlmis_staging is set, and {'; '.join(found)}",
        "a staging server from which nothing gets out",
        "Set MAIL_HOST=localhost or name what catches mail in openlmis_rehearse_mail_hosts; make the database harmless"
        " with rehearse-3.4.yml.",
    )
