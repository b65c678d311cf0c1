-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170703115656512 initial_schema
create table cce_catalog_items (id uuid primary key, manufacturer text not null, model text not null);
create table cce_inventory_items (
    id uuid primary key, facilityid uuid not null, equipmenttrackingid text,
    catalogitemid uuid not null references cce_catalog_items (id)
);
