# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database, as whom, and a connection to it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

try:
    import psycopg2
except ImportError:
    psycopg2 = None
    PSYCOPG2_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PSYCOPG2_IMPORT_ERROR = None

SSL_MODES = ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]


@dataclass
class ConnectionSettings:
    """Everything that a connection needs, and where it was found."""

    host: str = ""
    hostaddr: str = ""
    port: int = 5432
    database: str = ""
    user: str = "postgres"
    password: str = field(default="", repr=False)
    params: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def connection_argument_spec() -> dict[str, Any]:
    """The options of the doc fragment openlmis.operations.database."""
    return {
        "settings_file": {"type": "path"},
        "database_url": {"type": "str", "no_log": True},
        "login_host": {"type": "str"},
        "login_port": {"type": "int"},
        "login_db": {"type": "str"},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_unix_socket": {"type": "path"},
        "ssl_mode": {"type": "str", "choices": SSL_MODES},
        "ca_cert": {"type": "path"},
        "ssl_cert": {"type": "path"},
        "ssl_key": {"type": "path"},
        "connect_params": {"type": "dict"},
        "project_src": {"type": "path"},
        "project_name": {"type": "str"},
    }


def require_psycopg2(module: AnsibleModule) -> None:
    """End the module with Ansible's usual sentence when psycopg2 is not there."""
    if psycopg2 is None:
        module.fail_json(msg=missing_required_lib("psycopg2"), exception=PSYCOPG2_IMPORT_ERROR)


def resolve_connection(params: dict[str, Any]) -> ConnectionSettings:
    """What to connect to: explicit options over the URL over the settings file over the environment."""
    raise OperationError("not yet")


def connect(settings: ConnectionSettings, application_name: str, autocommit: bool = False) -> Any:
    """A psycopg2 connection, or OperationError."""
    raise OperationError("not yet")
