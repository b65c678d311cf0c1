# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that connects to OpenLMIS' database."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  settings_file:
    description:
      - The deployment's env file on the managed host, usually C(settings.env) or C(.env) beside C(docker-compose.yml).
      - Without it, and with O(project_src), the three settings are those that Compose renders for the project's
        components.
      - Read are C(DATABASE_URL), C(POSTGRES_USER) and C(POSTGRES_PASSWORD), by the rules of Compose v2.
      - A key of these three that C(docker run --env-file) and Compose v1 would read differently is named in a warning.
    type: path
  database_url:
    description:
      - A JDBC URL (V(jdbc:postgresql://db:5432/open_lmis)) or a libpq URL (V(postgresql://user@db/open_lmis)).
      - Takes precedence over the C(DATABASE_URL) of O(settings_file).
      - JDBC's C(user), C(password), C(ssl), C(sslmode), C(sslrootcert), C(sslcert) and C(sslkey) are translated;
        JDBC's other parameters concern Java only and are ignored.
      - JDBC's C(ssl=true) alone becomes V(require) of O(ssl_mode), since Java's own certificate store cannot be read
        here.
      - A URL that names several hosts is refused unless O(login_host) says which one to use.
    type: str
  login_host:
    description:
      - Host of the database server, used as it is.
      - Takes precedence over the host of the URL.
    type: str
  login_port:
    description:
      - Port of the database server. V(5432) when nothing names one.
    type: int
  login_db:
    description:
      - Name of the database. Something has to name one.
    type: str
  login_user:
    description:
      - Role to connect as. V(postgres) when nothing names one.
    type: str
  login_password:
    description:
      - Password of O(login_user).
    type: str
  login_unix_socket:
    description:
      - Folder of the server's Unix domain socket, for local connections.
      - Takes precedence over the host of the URL; O(login_host) other than V(localhost) takes precedence over this.
    type: path
  ssl_mode:
    description:
      - Whether TLS is used and what is verified, as in libpq, whose default is V(prefer).
      - See U(https://www.postgresql.org/docs/current/libpq-ssl.html).
    type: str
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - File with the certificates of the authorities that may have signed the server's certificate.
    type: path
  ssl_cert:
    description:
      - File with the client's certificate.
    type: path
  ssl_key:
    description:
      - File with the key of O(ssl_cert).
    type: path
  connect_params:
    description:
      - Further parameters for libpq; they take precedence over everything else.
      - Never a password, which is refused here because Ansible logs this option.
    type: dict
  project_src:
    description:
      - Folder on the managed host from which the Compose project was started.
      - When the URL's host is a service, container name or network alias of that project, the connection goes to the
        container's network address.
    type: path
  project_name:
    description:
      - Name of the Compose project, needed only when several were started from O(project_src).
    type: str
  compose_files:
    description:
      - Compose files of the project, relative to O(project_src), in the order in which they override each other.
      - Without it those that Compose loads on its own, an override file included.
    type: list
    elements: str
    default: []
  release:
    description:
      - What a release of OpenLMIS is, as in the role's C(vars/releases). It tells components from a site's own
        services.
      - Without it, and with O(project_src) alone, every service with a JDBC URL counts as a component, and all must
        have the same.
    type: dict
requirements:
  - psycopg2 >= 2.8 (package psycopg2-binary or python3-psycopg2)
  - docker (Docker SDK for Python), only with O(project_src) or O(project_name)
"""
