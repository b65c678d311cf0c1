# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site of the collection's documentation; tools/build-site runs it. It reaches no network."""

from __future__ import annotations

import pathlib
import re
import zlib

project = "openlmis.operations"
copyright = "openlmis.operations contributors"
title = html_short_title = "openlmis.operations"
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_theme_options = {"vcs_pageview_mode": "", "documentation_home_url": "index.html"}
html_show_sphinx = html_copy_source = html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
default_role = "any"
nitpicky = True

# What the pages refer to outside of them: Ansible's own documentation. A reference that leads nowhere is a warning, and
# fails the build; whether Ansible has a module of that name is seen by `antsibull-docs lint-collection-docs`.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
OUTSIDE = {
    "action_plugins": ("plugins/action.html#action-plugins", "Action plugins"),
    "ansible_configuration_settings": (
        "reference_appendices/config.html#ansible-configuration-settings",
        "Ansible Configuration Settings",
    ),
    "common_return_values": ("reference_appendices/common_return_values.html#common-return-values", "Return Values"),
}
MODULE = re.compile(r"<ansible_collections\.((?:ansible\.builtin|community\.docker)\.\w+)_module>")
SITE = pathlib.Path(__file__).parents[2] / ".cache/site"


def inventory() -> str:
    """A file with these references, as Sphinx projects offer one."""
    references = dict(OUTSIDE)
    for module in {name for page in SITE.glob("rst/*.rst") for name in MODULE.findall(page.read_text())}:
        label = f"ansible_collections.{module}_module"
        page = f"collections/{module.replace('.', '/')}_module.html#{label.replace('.', '-').replace('_', '-')}"
        references[label] = (page, f"{module} module")
    lines = "".join(f"{label} std:label -1 {page} {name}\n" for label, (page, name) in references.items())
    head = (
        "# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n# The remainder of this file is"
        " compressed using zlib.\n"
    )
    (SITE / "ansible.inv").write_bytes(head.encode() + zlib.compress(lines.encode()))
    return str(SITE / "ansible.inv")


intersphinx_mapping = {"ansible": (ANSIBLE, inventory())}
