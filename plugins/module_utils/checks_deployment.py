# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in a deployment's files, as Compose renders them: pure functions from facts to findings."""

from __future__ import annotations

import re

from ansible_collections.openlmis.operations.plugins.module_utils.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
)

# Services that show users' profiles; a build from before the release does not know where contact details are.
_UI_NAME = re.compile(r"(^|[-_/.])ui($|[-_:.])", re.IGNORECASE)


def check_profiles(facts: Facts) -> Finding:
    """Every component that has a database starts with the profile C(production), else it drops its schema on start."""
    bare = {
        name: s["profiles"]
        for name, s in facts["services"].items()
        if s["uses_database"] and "production" not in s["profiles"]
    }
    if not bare:
        return Finding("production profile", OK, "every component renders with it")
    places = facts["rendered"]["profile_places"]
    found = "; ".join(
        f"{name} renders with {','.join(profiles) or 'no profile'}"
        + (f" ({', which comes before '.join(places[name])})" if places.get(name) else "")
        for name, profiles in sorted(bare.items())
    )
    return Finding(
        "production profile",
        REFUSED,
        f"{found}: without it a component DROPS its whole schema when it starts",
        "spring_profiles_active with production for every component, as Compose renders it",
        "Set spring_profiles_active=production in the settings file, and remove the entry that comes before it;"
        " `docker compose config` shows what counts.",
    )


def check_same_database(facts: Facts) -> Finding:
    """All components render one and the same database URL, user and password."""
    groups = facts["database_groups"]
    if len(groups) == 1:
        return Finding("database URL", OK, f"the same for all {len(groups[0])} components")
    if not groups:
        return Finding(
            "database URL",
            REFUSED,
            "no component renders a DATABASE_URL",
            "one for every component",
            "Set DATABASE_URL in the settings file, or name the settings file in env_file.",
        )
    found = "; ".join(", ".join(group) for group in groups)
    return Finding(
        "database URL",
        REFUSED,
        f"components render different DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD, in these groups: {found}",
        "the same for all components",
        "Compare them with `docker compose config` and remove what sets one apart.",
    )


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
    """What Compose renders is what the containers were started with; a C($) changes its meaning from Compose v1 to v2."""
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
            "Write every $ as $$, or put the value in single quotes; the containers' own values show with `docker inspect`.",
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
        return Finding("https", OK, "openlmis_base_url is what the server insists on" if services else "not insisted on")
    return Finding(
        "https",
        REFUSED,
        f"{listed(services)} renders REQUIRE_SSL=true, and openlmis_base_url begins with http:",
        "an https address, since every request by http is redirected",
        "Set openlmis_base_url to the https address.",
    )


def check_base_url(facts: Facts) -> Finding:
    """Components call each other at BASE_URL, through nginx: they reach it, and the run waits and tests at the same address."""
    rendered, unreached = facts["rendered"]["base_urls"], facts["live"]["unreached"]
    if unreached:
        return Finding(
            "base URL",
            REFUSED,
            unreached,
            "an answer, since components call each other there",
            "See that nginx runs, that BASE_URL is right, and that a firewall lets containers reach this server's own address.",
        )
    other = {url: services for url, services in rendered.items() if facts["base_url"] and url != facts["base_url"].rstrip("/")}
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
    keeping = sorted(name for name, image in given.items() if image == "keep" and services[name]["uses_database"])
    if keeping:
        return Finding(
            "images",
            REFUSED,
            f"openlmis_images keeps the image of {listed(keeping)}, which has a schema",
            f"its build of {facts['release_target']}, since no other migrates the schema",
            f"Name it: openlmis_images: {{{keeping[0]}: '<image>:<tag>'}}.",
        )
    unknown = sorted(name for name, s in services.items() if s["component"] and s["target_image"] is None and not s["ui"])
    if unknown:
        told = ", ".join(f"{name} runs {services[name]['image']}" for name in unknown)
        return Finding(
            "images",
            REFUSED,
            f"{told}: a national build whose {facts['release_target']} image is not known here",
            "an image for every service",
            f"Name it: openlmis_images: {{{unknown[0]}: '<image>:<tag>'}}.",
        )
    if facts["images_to_pull"]:
        return Finding("images", OK, f"to be pulled before the window: {', '.join(facts['images_to_pull'])}")
    return Finding("images", OK, f"all of {facts['release_target']} are on this host")


def check_national_ui(facts: Facts) -> Finding:
    """A national UI from before the release does not know the contact details' new place."""
    services, given = facts["services"], facts["images"]
    users = {name: s for name, s in services.items() if s["ui"]}
    if not users:
        # Under a name and image of its own, and so in no step's hands, unless the operator has said that it is none.
        users = {
            name: s
            for name, s in services.items()
            if not s["component"] and name not in facts["named"] and (_UI_NAME.search(name) or _UI_NAME.search(s["image"]))
        }
    unknown = sorted(name for name, s in users.items() if name not in given and (not s["ui"] or s["target_image"] is None))
    kept = sorted(name for name in users if given.get(name) == "keep" or (facts["state"] == "start" and given.get(name) == services[name]["image"]))
    if unknown:
        told = ", ".join(f"{name} runs {services[name]['image']}" for name in unknown)
        first = unknown[0]
        what_it_is = "" if services[first]["ui"] else f"Say what it is: openlmis_components: {{{first}: reference-ui}}. "
        return Finding(
            "national UI",
            REFUSED,
            f"{told}: a user interface of the site's own, and its build for {facts['release_target']} is not known here",
            f"a build that asks the notification service for contact details, as reference-ui of {facts['release_target']} does",
            f"{what_it_is}Name it: openlmis_images: {{{first}: '<image>:<tag>'}}; or, when the one that runs does so already:"
            f" openlmis_images: {{{first}: keep}}.",
        )
    if kept:
        return Finding(
            "national UI",
            WARNING,
            f"{listed(kept)} keeps its image, as openlmis_images says",
            "",
            "If it was built for an earlier release, user profiles will not show contact details.",
        )
    return Finding("national UI", OK, f"{listed(sorted(users))}: of the release" if users else "this project has no user interface")


def check_tags(facts: Facts) -> Finding:
    """A tag such as C(9.6-postgis) may mean another image by now than the one that the container was made of."""
    moved, database = facts["rendered"]["moved_tags"], facts["database"].get("service")
    if not moved:
        return Finding("moved tags", OK, "every tag still means the image that runs; the database's is never pulled")
    told = "; ".join(
        f"{name} runs {one['runs'][:19]}, and {one['name']} means {one['means'][:19] or 'no image here'}" for name, one in sorted(moved.items())
    )
    name, one = next(((name, one) for name, one in sorted(moved.items()) if name == database), next(iter(sorted(moved.items()))))
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
    """The next deployment puts the old versions onto the new database unless the change is committed where it takes its files from."""
    place = facts["live"]["deployed_from"]
    files = sorted({edit["path"].rpartition("/")[2] for edit in facts["edits"]})
    changed = f"{', '.join(files)} will change" if files else "no file will change"
    if not place["signs"]:
        return Finding("next deployment", OK, f"{changed}; commit that wherever the next deployment takes its files from")
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
    found = [f"MAIL_HOST is {host} for {listed(services)}" for host, services in sorted(mail.items()) if host not in caught]
    found += [f"fulfillment.transfer_properties sends orders to {listed(partners)}"] if partners else []
    if not found:
        return Finding("real people", OK, "this staging server sends neither mail nor orders anywhere")
    return Finding(
        "real people",
        REFUSED,
        f"openlmis_staging is set, and {'; '.join(found)}",
        "a staging server from which nothing gets out",
        "Set MAIL_HOST=localhost or name what catches mail in openlmis_rehearse_mail_hosts; make the database harmless with rehearse-3.4.yml.",
    )
