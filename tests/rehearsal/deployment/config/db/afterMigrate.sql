-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- This site's own: Flyway runs it after each migration of referencedata. 3.3 has no column for phone numbers, so the
-- site kept them in the users' extra data; as soon as referencedata 11 brings the column they go there.
do $$
begin
    if exists (
        select from information_schema.columns
        where table_schema = 'referencedata' and table_name = 'users' and column_name = 'phonenumber'
    ) then
        update referencedata.users set phonenumber = extradata ->> 'phoneNumber'
        where phonenumber is null and extradata ? 'phoneNumber';
    end if;
end
$$;
