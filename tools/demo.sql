-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Three dozen made-up users for `make demo`, and a role with no more privileges than the copy needs.

-- Ids that are the same in every run.
CREATE FUNCTION pg_temp.demo_id(number bigint) RETURNS uuid LANGUAGE sql AS
    $$ SELECT ('de300000-0000-4000-8000-' || lpad(number::text, 12, '0'))::uuid $$;

INSERT INTO referencedata.users (id, username, firstname, lastname, jobtitle, email, phonenumber, verified, allownotify)
SELECT pg_temp.demo_id(row_number() OVER ()), username, 'A', 'Awkward', 'awkward', email, phonenumber, verified, allownotify
FROM (VALUES
    ('apostrophe', 'o''brien@example.org', '+353 1 555', true, true),
    ('comma', '"banda, b"@example.org', '555 101, ext. 7', true, false),
    ('newline', 'newline@example.org', E'555 102\n555 103', true, true),
    ('shell', 'a$HOME%s@example.org', 'C:\phone', false, true),
    ('capitals', 'Ann@Example.org', NULL, true, true),
    ('lower_case', 'ann@example.org', NULL, true, true),
    ('unicode', 'zoë@例え.example', '٢٦٥', true, NULL),
    ('blank', '   ', E'\t', true, true),
    ('empty', '', '', false, false),
    ('no_details', NULL, NULL, false, NULL)
) AS awkward (username, email, phonenumber, verified, allownotify);

INSERT INTO referencedata.users (id, username, firstname, lastname, email, phonenumber, verified, allownotify)
SELECT pg_temp.demo_id(10 + number), name, initcap(name), 'Demo', name || '@example.org',
    CASE WHEN number % 3 > 0 THEN '+265 1 ' || 100 + number END, number % 4 > 0, number % 5 > 0
FROM unnest(string_to_array(
    'grace chifundo dalitso esther fatsani gift hope innocent jane kondwani limbani mary mphatso nadia owen patience '
    'rita samuel tadala upile violet wezi yamikani zione amina brenda', ' ')) WITH ORDINALITY AS made_up (name, number);

CREATE ROLE openlmis LOGIN PASSWORD 'demo';
GRANT USAGE ON SCHEMA referencedata, notification TO openlmis;
GRANT SELECT ON referencedata.users TO openlmis;
GRANT SELECT, INSERT, UPDATE ON notification.user_contact_details TO openlmis;
