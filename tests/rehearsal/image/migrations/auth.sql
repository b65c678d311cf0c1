-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170214123504310 initial_schema
create table auth_users (
    id uuid primary key,
    email varchar(255) not null unique,
    enabled boolean,
    password varchar(255),
    referencedatauserid uuid not null unique,
    role varchar(255) not null,
    username varchar(255) not null unique
);
create table oauth_client_details (
    clientid varchar(255) primary key,
    accesstokenvalidity integer,
    additionalinformation varchar(255),
    authorities varchar(255),
    authorizedgranttypes varchar(255),
    autoapprove varchar(255),
    clientsecret varchar(255),
    refreshtokenvalidity integer,
    redirecturi varchar(255),
    resourceids varchar(255),
    scope varchar(255),
    webserverredirecturi varchar(255)
);
create table password_reset_tokens (
    id uuid primary key,
    expirydate timestamp with time zone not null,
    userid uuid not null unique constraint fk_password_reset_user references auth_users (id)
);

--@ 20170214123932959 initial_bootstrap_data
insert into oauth_client_details (clientid, clientsecret, authorities, authorizedgranttypes, resourceids, scope) values
    ('trusted-client', 'secret', 'TRUSTED_CLIENT', 'client_credentials', 'auth,notification,referencedata', 'read,write'),
    ('user-client', 'changeme', 'TRUSTED_CLIENT', 'password', 'auth,notification,referencedata', 'read,write');
insert into auth_users (id, enabled, password, role, username, email, referencedatauserid) values (
    '51f6bdc1-4932-4bc3-9589-368646ef7ad3', true, '$2b$05$JV3FXTKLLCE/LcIFlzm9Gers/8PTt64KAJwD1WeTFgly95teu2irO', 'ADMIN', 'admin',
    'administrator@example.org', '35316636-6264-6331-2d34-3933322d3462'
);

--@ 20170404125519633 alter_auth_users_email_nullable
alter table auth_users alter column email drop not null;

--@ 20170627082106947 removed_initial_clients_resourceids
update oauth_client_details set resourceids = null;

--@ 20170711211208618 index_username_of_auth_users
create index auth_users_lower_username_idx on auth_users (lower(username));

--@ 20170724084322325 remove_auth_role_from_user
alter table auth_users drop column role;

--@ 20171215105642158 added_api_keys
create table api_keys (
    token uuid primary key,
    createdby uuid not null,
    createddate timestamp with time zone not null
);

--@ 20171219124429037 unique_username_ignore_case
drop index auth_users_lower_username_idx;
create unique index unq_username on auth_users (lower(username));

--@ 20180320172415321 connect_api_keys_with_client
alter table api_keys add column clientid varchar(255) references oauth_client_details (clientid);

--@ 20180613120215847 remove_referencedatauserid_from_user
alter table password_reset_tokens drop constraint fk_password_reset_user;
update password_reset_tokens t set userid = u.referencedatauserid from auth_users u where t.userid = u.id;
update auth_users set id = referencedatauserid;
alter table auth_users drop column referencedatauserid;
alter table password_reset_tokens
    add constraint password_reset_tokens_user_id_fk foreign key (userid) references auth_users (id);
