-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The tables that the copy meets, as OpenLMIS 3.4.0 has them.

CREATE SCHEMA referencedata;
CREATE SCHEMA notification;

CREATE TABLE referencedata.users (
    id uuid PRIMARY KEY,
    active boolean NOT NULL DEFAULT true,
    allownotify boolean DEFAULT true,
    email varchar(255) UNIQUE,
    extradata jsonb,
    firstname text NOT NULL,
    lastname text NOT NULL,
    loginrestricted boolean NOT NULL DEFAULT false,
    timezone varchar(255),
    username text NOT NULL,
    verified boolean NOT NULL DEFAULT false,
    homefacilityid uuid,
    jobtitle varchar(255),
    phonenumber varchar(255)
);
CREATE UNIQUE INDEX unq_username ON referencedata.users (lower(username));

CREATE TABLE notification.user_contact_details (
    referencedatauserid uuid PRIMARY KEY,
    phonenumber varchar(255),
    allownotify boolean DEFAULT true,
    email varchar(255),
    emailverified boolean DEFAULT false
);
CREATE UNIQUE INDEX unq_contact_details_email ON notification.user_contact_details (email) WHERE email IS NOT NULL;

CREATE TABLE notification.email_verification_tokens (
    id uuid PRIMARY KEY,
    expirydate timestamptz NOT NULL,
    emailaddress varchar(255) NOT NULL UNIQUE,
    usercontactdetailsid uuid NOT NULL UNIQUE REFERENCES notification.user_contact_details
);
CREATE TABLE notification.digest_subscriptions (
    id uuid PRIMARY KEY,
    usercontactdetailsid uuid NOT NULL REFERENCES notification.user_contact_details
);
CREATE TABLE notification.postpone_message (
    id uuid PRIMARY KEY,
    usercontactdetailsid uuid NOT NULL REFERENCES notification.user_contact_details
);
