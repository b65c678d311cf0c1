-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170526151440748 initial_schema
create table stock_cards (id uuid primary key, facilityid uuid not null, orderableid uuid not null, programid uuid not null);
create table stock_card_line_items (
    id uuid primary key, occurreddate date not null, quantity integer not null,
    stockcardid uuid not null references stock_cards (id)
);

--@ 20180427155601293 add_stock_card_occurred_date_index
create index stock_card_line_items_occurred on stock_card_line_items (occurreddate);

--@ 20180525090330398 add_reason_tags
create table stock_card_line_item_reason_tags (tag text not null, reasonid uuid not null);
