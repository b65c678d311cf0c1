#!/bin/sh
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The entry point of openlmis/postgres: any other command runs as it is (pg_dump from the database's own image).
set -e
[ "${1#-}" = "$1" ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

mkdir -p /run/postgresql "$PGDATA"
chown postgres:postgres /run/postgresql "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # initdb wants an empty folder; the mark comes back when it is done.
    rm -f "$PGDATA/.openlmis-rehearsal"
    user=${POSTGRES_USER:-postgres}
    as_postgres initdb --username="$user" --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=trust \
        --no-sync >/dev/null
    # Servers of that age offer md5 passwords only.
    {
        echo "listen_addresses = '*'"
        echo "password_encryption = md5"
        echo "max_connections = 200"
        echo "jit = off"
        echo "fsync = off"
        echo "shared_buffers = 64MB"
    } >>"$PGDATA/postgresql.conf"
    echo "host all all all md5" >>"$PGDATA/pg_hba.conf"
    as_postgres pg_ctl --wait --options="-c listen_addresses=''" start >/dev/null
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$user" --dbname=postgres \
        --set=user="$user" --set=password="$POSTGRES_PASSWORD" <<'SQL'
alter role :"user" password :'password';
create database open_lmis;
\connect open_lmis
create extension "uuid-ossp";
create extension postgis;
SQL
    as_postgres pg_ctl --wait --mode=fast stop >/dev/null
    # The mark by which the rehearsal's clean-up knows an anonymous volume as its own.
    as_postgres touch "$PGDATA/.openlmis-rehearsal"
    echo "database system is initialized"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
