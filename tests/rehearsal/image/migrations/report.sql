-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170411144226135 initial_schema
create table jasper_templates (id uuid primary key, data bytea, description text, name text not null unique, type text);

--@ 20180615115930788 add_template_categories
create table report_categories (id uuid primary key, name text not null unique);
