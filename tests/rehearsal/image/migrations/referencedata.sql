-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170206205240748 initial_schema
create table geographic_levels (id uuid primary key, code text not null unique, levelnumber integer not null, name text);
create table geographic_zones (
    id uuid primary key,
    code text not null unique,
    catchmentpopulation integer,
    latitude numeric(8, 5),
    longitude numeric(8, 5),
    name text,
    levelid uuid not null references geographic_levels (id)
);
create table facility_types (id uuid primary key, active boolean, code text not null unique, displayorder integer, name text);
create table facilities (
    id uuid primary key,
    active boolean not null,
    code text not null unique,
    comment text,
    description text,
    enabled boolean not null,
    godowndate date,
    golivedate date,
    name text,
    openlmisaccessible boolean,
    geographiczoneid uuid not null references geographic_zones (id),
    typeid uuid not null references facility_types (id)
);
create table programs (
    id uuid primary key,
    active boolean,
    code varchar(255),
    description text,
    name text,
    periodsskippable boolean not null,
    shownonfullsupplytab boolean
);
create table orderable_display_categories (
    id uuid primary key, code varchar(255), displayname varchar(255), displayorder integer not null
);
create table orderables (
    id uuid primary key,
    code varchar(255),
    description varchar(255),
    name varchar(255),
    packroundingthreshold bigint not null,
    packsize bigint not null,
    roundtozero boolean not null
);
create table program_orderables (
    id uuid primary key,
    active boolean not null,
    displayorder integer not null,
    dosespermonth integer,
    fullsupply boolean not null,
    maxmonthsstock integer not null,
    priceperpack numeric(19, 2),
    orderabledisplaycategoryid uuid not null references orderable_display_categories (id),
    orderableid uuid not null references orderables (id),
    programid uuid not null references programs (id)
);
create table processing_schedules (
    id uuid primary key, code text not null, description text, modifieddate timestamp with time zone, name text not null
);
create table processing_periods (
    id uuid primary key,
    description text,
    enddate date not null,
    name text not null,
    startdate date not null,
    processingscheduleid uuid not null references processing_schedules (id)
);
create table rights (id uuid primary key, description text, name text not null unique, type text not null);
create table roles (id uuid primary key, description text, name text not null unique);
create table role_rights (
    roleid uuid not null references roles (id),
    rightid uuid not null references rights (id),
    primary key (roleid, rightid)
);
create table users (
    id uuid primary key,
    active boolean default false not null,
    allownotify boolean default true,
    email varchar(255) not null unique,
    extradata jsonb,
    firstname text not null,
    lastname text not null,
    loginrestricted boolean default false not null,
    timezone varchar(255),
    username text not null unique,
    verified boolean default false not null,
    homefacilityid uuid references facilities (id)
);
create table supervisory_nodes (id uuid primary key, code text not null unique, name text, facilityid uuid not null);
create table role_assignments (
    type varchar(31) not null,
    id uuid primary key,
    roleid uuid references roles (id),
    userid uuid references users (id),
    warehouseid uuid references facilities (id),
    programid uuid references programs (id),
    supervisorynodeid uuid references supervisory_nodes (id)
);

--@ 20170206205310272 initial_bootstrap_data
insert into rights (id, name, type) values
    ('e96017ff-af8c-4313-a070-caa70465c949', 'FACILITIES_MANAGE', 'GENERAL_ADMIN'),
    ('8816edba-b8a9-11e6-80f5-76304dec7eb7', 'USER_ROLES_MANAGE', 'GENERAL_ADMIN'),
    ('4e731cf7-854f-4af7-9ea4-bd5d8ed7bb22', 'GEOGRAPHIC_ZONES_MANAGE', 'GENERAL_ADMIN'),
    ('5c4b3b6a-8d0e-4f6b-93ae-51a1a9dd3dd6', 'USERS_MANAGE', 'GENERAL_ADMIN'),
    ('c3eb5df0-c3ac-4e70-a978-02827462f60e', 'REQUISITION_CREATE', 'SUPERVISION'),
    ('9ade922b-3523-4582-bef4-a47701f7df14', 'REQUISITION_VIEW', 'SUPERVISION');
insert into roles (id, name) values ('a439c5de-b8aa-11e6-80f5-76304dec7eb7', 'System Administrator');
insert into role_rights (roleid, rightid)
    select 'a439c5de-b8aa-11e6-80f5-76304dec7eb7', id from rights where type = 'GENERAL_ADMIN';
insert into users (id, active, email, firstname, lastname, username, verified) values (
    '35316636-6264-6331-2d34-3933322d3462', true, 'administrator@example.org', 'Admin', 'User', 'admin', true
);
insert into role_assignments (type, id, roleid, userid) values (
    'direct', 'f2d7a8be-b8b4-11e6-80f5-76304dec7eb7', 'a439c5de-b8aa-11e6-80f5-76304dec7eb7',
    '35316636-6264-6331-2d34-3933322d3462'
);

--@ 20170327131236620 add_extradata_to_facility
alter table facilities add column extradata jsonb;

--@ 20170403180722174 create_table_lots
create table lots (
    id uuid primary key, lotcode text not null, expirationdate date, manufacturedate date, active boolean not null
);

--@ 20170404154459964 alter_users_email_nullable
alter table users alter column email drop not null;

--@ 20170725211055241 redesign_permission_strings_to_right_assignments
create table right_assignments (
    id uuid primary key, rightname varchar(255) not null, facilityid uuid, programid uuid,
    userid uuid not null references users (id)
);

--@ 20171213091952167 added_service_accounts
create table service_accounts (
    id uuid primary key, createdby uuid not null, createddate timestamp with time zone not null
);

--@ 20171219124429037 unique_username_ignore_case
create unique index unq_username on users (lower(username));

--@ 20180504135225615 add_unique_constraint_for_program_and_orderable_in_program_orderables
create unique index unq_programid_orderableid on program_orderables (orderableid, programid) where active;

--@ 20180525070315483 add_job_title_and_phone_number_columns_to_user
alter table users add column jobtitle varchar(255), add column phonenumber varchar(255);

--@ 20180709205313168 add_extradata_to_processing_periods
alter table processing_periods add column extradata jsonb;
