# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smallest changes to a deployment's files that lead to another release."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project.deployment import (
    Service,
    split_image,
    split_raw_image,
    target_image,
    variable_of,
)

# What comes before the place of an edit on its line: anything but a comment.
_UNCOMMENTED = r"^([^#\r\n]*?"
_DEFAULT = re.compile(r"(?P<before>\$\{[A-Za-z_]\w*:?-)[^}]*\}$")


class Edit(NamedTuple):
    """A replacement in one file, in the terms of C(ansible.builtin.replace), or a prepared file (C(source)) to put
    there whole.
    """

    path: str
    regexp: Optional[str]
    replace: Optional[str]
    summary: str
    source: Optional[str] = None

    def told(self) -> Dict[str, str]:
        """Return the edit as a fact: without what it does not have."""
        return {key: value for key, value in self._asdict().items() if value is not None}


def read_texts(paths: Sequence[str]) -> Dict[str, str]:
    """Return the text of each file that exists; bytes that are no UTF-8, as in an old comment, survive a rewrite."""
    texts = {}
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
                texts[path] = stream.read()
    return texts


def plan_edits(
    texts: Mapping[str, str],
    env_path: str,
    services: Sequence[Service],
    release: Mapping[str, Any],
    images: Mapping[str, str],
) -> List[Edit]:
    """Return the smallest edits that turn the deployment's files into the release; none when they are there already.

    C(texts) maps the path of every Compose file, and of C(env_path) when it exists, to its text.
    """
    env = (env_path, texts.get(env_path, ""))
    compose_texts = {path: text for path, text in texts.items() if path != env_path}
    edits: List[Edit] = []
    for service in services:
        wanted = target_image(service, release, images)
        if service.component is not None and wanted not in (None, service.image):
            edits += _version_edits(
                compose_texts, env, service, wanted, _release_variable(service, services, release, env[1])
            )
    edits += _dropped_options(compose_texts, services, release)
    edits += _added_services(compose_texts, services, release)
    return list(dict.fromkeys(edits))


def plan_prepared(project_src: str, prepared: str) -> List[Edit]:
    """Return what puts the prepared files in the place of those that differ. Raises OperationError without any prepared
    file.
    """
    paths = sorted(
        os.path.relpath(os.path.join(folder, name), prepared)
        for folder, _folders, names in os.walk(prepared)
        for name in names
    )
    if not paths:
        raise OperationError(
            f"There is no file in {prepared}; the deployment's files as the new release needs them are expected there,"
            f" laid out as in {project_src}. Have the deployment job put them there, or leave openlmis_target_files"
            " away."
        )
    edits = []
    for path in paths:
        source, dest = os.path.join(prepared, path), os.path.join(project_src, path)
        if not os.path.exists(dest):
            edits.append(Edit(dest, None, None, f"{path}: added as prepared", source))
        elif _content(source) != _content(dest):
            edits.append(Edit(dest, None, None, f"{path}: replaced as prepared", source))
    return edits


def apply(texts: Mapping[str, str], planned: Sequence[Mapping[str, Any]]) -> Tuple[Dict[str, str], List[str]]:
    """Return the texts of the files after the edits, and the summaries of those that changed something."""
    after, made = dict(texts), []
    for edit in planned:
        current = after.get(edit["path"])
        if edit.get("source"):
            text = read_texts([edit["source"]])[edit["source"]]
        else:
            text = re.sub(edit["regexp"], edit["replace"], current, flags=re.MULTILINE)
        if text != current:
            after[edit["path"]] = text
            made.append(edit["summary"])
    return after, made


def contents_after(planned: Sequence[Mapping[str, Any]]) -> Dict[str, bytes]:
    """Return what the files that the edits are for would hold after them."""
    texts, _made = apply(read_texts([edit["path"] for edit in planned]), planned)
    return {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}


def added_services(services: Sequence[Service], release: Mapping[str, Any]) -> Dict[str, str]:
    """Return name and image of the services that the release needs here and that the deployment has not got."""
    present = {service.name for service in services}
    return {
        name: added["image"]
        for name, added in release["services_added"].items()
        # A site that names a server of its own has no use for one more.
        if name not in present and any(added["unless"] not in user.environment for user in _users(services, added))
    }


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _release_variable(
    service: Service, services: Sequence[Service], release: Mapping[str, Any], env_text: str
) -> Optional[str]:
    """Return the variable that the release has where this file has a literal tag; None where the site writes its tags
    literally.
    """
    known = release["components"][service.component]["variable"]
    others = [one for one in services if one.component is not None and one.name != service.name]
    written_so = any(variable_of(split_raw_image(one.raw_image)[1]) for one in others)
    return known if written_so and service.owns_image and _env_pattern(known).search(env_text) else None


def _version_edits(
    texts: Mapping[str, str], env: Tuple[str, str], service: Service, wanted: str, release_variable: Optional[str]
) -> List[Edit]:
    repository, tag = split_image(wanted)
    if variable_of(service.raw_image):
        return _variable_edits(env, variable_of(service.raw_image), wanted)
    if split_image(service.image)[0] != repository or "@" in wanted:
        return _image_edits(texts, service, wanted)
    raw_repository, raw_tag = split_raw_image(service.raw_image)
    variable = variable_of(raw_tag)
    if variable is None and release_variable:
        return _image_edits(texts, service, f"{raw_repository}:${{{release_variable}}}") + _variable_edits(
            env, release_variable, tag
        )
    if variable is None:
        return _image_edits(texts, service, f"{raw_repository}:{tag}")
    if _DEFAULT.match(raw_tag) and not _env_pattern(variable).search(env[1]):
        return _image_edits(texts, service, f"{raw_repository}:{_DEFAULT.match(raw_tag).group('before')}{tag}}}")
    return _variable_edits(env, variable, tag)


def _env_pattern(variable: str) -> re.Pattern[str]:
    return re.compile(
        rf"^(\ufeff?[ \t]*(?:export\s+)?{re.escape(variable)}[ \t]*[=:][ \t]*[\"']?)([^\"'\s#]*)", re.MULTILINE
    )


def _variable_edits(env: Tuple[str, str], variable: str, value: str) -> List[Edit]:
    path, text = env
    pattern = _env_pattern(variable)
    others = [match.group(2) for match in pattern.finditer(text) if match.group(2) != value]
    summary = f"{os.path.basename(path)}: {variable} {others[0] if others else ''} -> {value}"
    return [Edit(path, pattern.pattern, rf"\g<1>{value}", summary)] if others else []


def _image_edits(texts: Mapping[str, str], service: Service, wanted: str) -> List[Edit]:
    if not service.raw_image:
        return []
    pattern = (
        rf"{_UNCOMMENTED}\bimage[\"']?:[ \t]*(?:&\S+[ \t]+)?[\"']?){re.escape(service.raw_image)}(?=[\"'\s#,}}]|$)"
    )
    return [
        Edit(path, pattern, rf"\g<1>{wanted}", f"{os.path.basename(path)}: image {service.raw_image} -> {wanted}")
        for path, text in texts.items()
        if re.search(pattern, text, re.MULTILINE)
    ]


def _dropped_options(texts: Mapping[str, str], services: Sequence[Service], release: Mapping[str, Any]) -> List[Edit]:
    edits = []
    for dropped in release["java_options_dropped"]:
        option, listed = dropped["option"], dropped["services"]
        users = [service for service in services if option in service.environment.get("JAVA_OPTS", "").split()]
        # A service outside the list that has the option keeps it, and with it everybody: the edit cannot tell lines
        # apart.
        if not users or any((service.component or service.name) not in listed for service in users):
            continue
        pattern = rf"{_UNCOMMENTED})(?:[ \t]{re.escape(option)}(?=['\"\s]|$)|{re.escape(option)}[ \t])"
        edits += [
            Edit(
                path,
                pattern,
                r"\g<1>",
                f"{os.path.basename(path)}: {option} taken out of JAVA_OPTS of {', '.join(s.name for s in users)}",
            )
            for path, text in texts.items()
            if re.search(pattern, text, re.MULTILINE)
        ]
    return edits


def _users(services: Sequence[Service], added: Mapping[str, str]) -> List[Service]:
    return [service for service in services if service.component == added["used_by"]]


def _added_services(texts: Mapping[str, str], services: Sequence[Service], release: Mapping[str, Any]) -> List[Edit]:
    path, text = next(iter(texts.items()))
    match = re.search(r"^services:[^\r\n]*(\r?\n)(?:[ \t]*(?:#[^\r\n]*)?\r?\n)*([ ]+)\S", text, re.MULTILINE)
    newline, indent = (match.group(1), match.group(2)) if match else ("\n", "  ")
    edits = []
    for name, image in added_services(services, release).items():
        user = _users(services, release["services_added"][name])[0]
        lines = [f"{indent}{name}:", f"{indent * 2}image: {image}"]
        # It has to be reachable by the service that uses it, and to be there whenever that one is.
        lines += [f"{indent * 2}networks: [{', '.join(user.networks)}]"] if set(user.networks) - {"default"} else []
        lines += [f"{indent * 2}restart: {user.restart}"] if user.restart not in ("", "no") else []
        block = "".join(line + newline for line in lines)
        edits.append(
            Edit(
                path,
                r"^(services:[^\r\n]*\r?\n)",
                rf"\g<1>{block}",
                f"{os.path.basename(path)}: service {name} ({image}) added",
            )
        )
    return edits
