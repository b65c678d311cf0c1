# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator has set: one dictionary, made once in the role's vars/main.yml, without any secret."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

LIST = {"type": "list", "elements": "str", "default": []}
PATH, TEXT, NUMBER, WORD, MAPPING = ({"type": name} for name in ("path", "str", "int", "bool", "dict"))
SPEC: Dict[str, Dict[str, Any]] = {
    "name": TEXT,
    # The deployment and the release.
    "project_src": {"type": "path", "required": True},
    "project_name": TEXT,
    "compose_files": LIST,
    "images": MAPPING,
    "target_files": PATH,
    "release": {"type": "dict", "required": True},
    "migrations": {"type": "dict", "required": True},
    "base_url": TEXT,
    "validate_certs": WORD,
    "discard_container_files": LIST,
    "staging": WORD,
    "mail_hosts": LIST,
    # A copy of production, on a staging server.
    "rehearse_dump": PATH,
    "rehearse_database": TEXT,
    "rehearse_backup_verify": TEXT,
    "production_base_url": TEXT,
    # The database.
    "settings_file": PATH,
    "login_host": TEXT,
    "login_port": NUMBER,
    "login_db": TEXT,
    "login_user": TEXT,
    "ssl_mode": TEXT,
    "ca_cert": PATH,
    # Whom the smoke test logs in as.
    "admin_username": TEXT,
    "client_id": TEXT,
    # What the run leaves on the host.
    "state_dir": {"type": "path", "required": True},
    "backup": TEXT,
    "backup_dir": {"type": "path", "required": True},
    "backup_jobs": NUMBER,
    "backup_keep": NUMBER,
    "backup_verify": TEXT,
    "backup_compress": NUMBER,
    "backup_image": TEXT,
    # How it goes about it.
    "gate": TEXT,
    "gate_allow": LIST,
    "gate_ports": {"type": "list", "elements": "int", "default": []},
    "wait_timeout": NUMBER,
    "restart": TEXT,
    "on_existing": TEXT,
    "count_timeout": NUMBER,
    "smoke_test_profiles": NUMBER,
    "rollback_backup": PATH,
    "rollback_discard_changes": WORD,
    "take_over": WORD,
    "without_way_back": WORD,
}
# Options of a connection that only a module called by itself has.
UNSET = ("database_url", "login_unix_socket", "ssl_cert", "ssl_key", "connect_params")


def read(told: Mapping[str, Any], **secrets: Any) -> Dict[str, Any]:
    """Return the site with every value of its type, so that it serves as the options of all that a step does.

    A name without a value is None. Raises OperationError for a name that is not known and a value of another type.
    """
    given = {name: value for name, value in told.items() if value not in (None, "")}
    checked = ArgumentSpecValidator(SPEC).validate(given)
    if checked.error_messages:
        raise OperationError(
            f"The variables of the role do not fit: {'; '.join(checked.error_messages)}. Correct them, and run again."
        )
    return {**dict.fromkeys(UNSET), **checked.validated_parameters, **secrets}
