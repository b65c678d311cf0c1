-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170207103642581 initial_schema
create table transfer_properties (
    id uuid primary key,
    type varchar(31) not null,
    facilityid uuid not null unique,
    protocol varchar(255),
    serverhost varchar(255),
    serverport integer,
    username varchar(255),
    password varchar(255),
    remotedirectory varchar(255),
    localdirectory varchar(255),
    passivemode boolean
);
create table orders (
    id uuid primary key,
    createdbyid uuid not null,
    createddate timestamp with time zone,
    emergency boolean not null,
    externalid uuid not null,
    facilityid uuid not null,
    ordercode text not null unique,
    programid uuid not null,
    quotedcost numeric(19, 2) not null,
    status varchar(255) not null
);
create table order_line_items (
    id uuid primary key, orderableid uuid not null, orderedquantity bigint not null,
    orderid uuid not null references orders (id)
);
