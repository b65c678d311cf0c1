-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20180613113645874 initial_schema
create table user_contact_details (
    allownotify boolean default true,
    email varchar(255),
    emailverified boolean default false,
    phonenumber varchar(255),
    referencedatauserid uuid primary key
);
create unique index unq_contact_details_email on user_contact_details (email) where email is not null;

--@ 20180621111304124 added_email_verification_tokens
create table email_verification_tokens (
    id uuid primary key,
    expirydate timestamp with time zone not null,
    usercontactdetailsid uuid not null unique references user_contact_details (referencedatauserid)
);

--@ 20180622223918728 added_email_address_to_verification_tokens
alter table email_verification_tokens add column emailaddress varchar(255) not null unique;
