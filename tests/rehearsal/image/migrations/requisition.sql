-- Copyright (c) 2026 openlmis.operations contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the stand-in applies, one section per Flyway version; versions without a section are rows in the history only.

--@ 20170208084607951 initial_schema
create table available_requisition_columns (
    id uuid primary key,
    canbechangedbyuser boolean,
    canchangeorder boolean,
    columntype varchar(255) not null,
    definition text,
    indicator varchar(255),
    isdisplayrequired boolean,
    label varchar(255),
    mandatory boolean,
    name varchar(255)
);
create table available_requisition_column_sources (
    columnid uuid not null references available_requisition_columns (id), value varchar(255)
);
create table available_requisition_column_options (
    id uuid primary key,
    optionlabel varchar(255) not null,
    optionname varchar(255) not null,
    columnid uuid not null references available_requisition_columns (id)
);
create table requisition_templates (
    id uuid primary key,
    createddate timestamp with time zone,
    modifieddate timestamp with time zone,
    numberofperiodstoaverage integer,
    programid uuid
);
create table columns_maps (
    requisitiontemplateid uuid not null references requisition_templates (id),
    requisitioncolumnid uuid not null references available_requisition_columns (id),
    definition text,
    displayorder integer not null,
    indicator varchar(255),
    isdisplayed boolean,
    label varchar(255),
    name varchar(255),
    requisitioncolumnoptionid uuid references available_requisition_column_options (id),
    source integer not null,
    key varchar(255) not null,
    primary key (requisitiontemplateid, key)
);
create table requisitions (
    id uuid primary key,
    createddate timestamp with time zone,
    modifieddate timestamp with time zone,
    emergency boolean not null,
    facilityid uuid not null,
    numberofmonthsinperiod integer not null,
    processingperiodid uuid not null,
    programid uuid not null,
    status varchar(255) not null,
    templateid uuid not null references requisition_templates (id)
);
create table requisition_line_items (
    id uuid primary key,
    approvedquantity integer,
    beginningbalance integer,
    orderableid uuid,
    remarks varchar(250),
    requestedquantity integer,
    skipped boolean,
    stockonhand integer,
    totalconsumedquantity integer,
    totalcost numeric(19, 2),
    requisitionid uuid references requisitions (id)
);

--@ 20170208102140536 initial_bootstrap_data
insert into available_requisition_columns
    (id, name, label, indicator, mandatory, isdisplayrequired, canchangeorder, canbechangedbyuser, columntype)
values
    ('4a2e9fd3-1127-4b68-9912-84a5c00f6999', 'stockOnHand', 'Stock on hand', 'E', false, false, true, false, 'NUMERIC'),
    ('5708ebf9-9317-4420-85aa-71b2ae92643d', 'totalReceivedQuantity', 'Total received quantity', 'B', false, false, true, true, 'NUMERIC'),
    ('9e825396-269d-4873-baa4-89054e2722f5', 'totalConsumedQuantity', 'Total consumed quantity', 'C', false, false, true, true, 'NUMERIC'),
    ('33b2d2e9-3167-46b0-95d4-1295be9afc22', 'beginningBalance', 'Beginning balance', 'A', false, false, true, true, 'NUMERIC'),
    ('cd57f329-f549-4717-882e-ecbf98122c38', 'totalLossesAndAdjustments', 'Total losses and adjustments', 'D', false, false, true, true, 'NUMERIC'),
    ('c6dffdee-3813-40d9-8737-f531d5adf420', 'skipped', 'Skip', 'S', false, false, true, true, 'BOOLEAN');

--@ 20170308220401927 create_status_changes_table
create table status_changes (
    id uuid primary key,
    createddate timestamp with time zone,
    modifieddate timestamp with time zone,
    authorid uuid,
    status varchar(255) not null,
    requisitionid uuid not null references requisitions (id)
);

--@ 20180601130634577 add_version_field_to_requisition
alter table requisitions add column version bigint default 0;

--@ 20180511142252566 add_tags_support
alter table available_requisition_columns add column supportstag boolean default false;
update available_requisition_columns set supportstag = true
    where name in ('totalConsumedQuantity', 'totalReceivedQuantity');
alter table columns_maps add column tag varchar(255);

--@ 20180514153415782 added_stock_source_to_beginnnig_balance_column
insert into available_requisition_column_sources (columnid, value)
    select id, 'STOCK_CARDS' from available_requisition_columns where name = 'beginningBalance';

--@ 20180518070517164 add_tag_support_total_loss_adj
update available_requisition_columns set supportstag = true where name = 'totalLossesAndAdjustments';

--@ 20180518164621420 add_skipped_column_options
insert into available_requisition_column_options (id, optionlabel, optionname, columnid)
    select '488e6882-563d-4b69-b7eb-fd59e7772a41', 'Hide all lines', 'hideAll', id
    from available_requisition_columns where name = 'skipped';

--@ 20180529114621420 update_skipped_column_label
update available_requisition_column_options set optionlabel = 'Hide skipped lines'
    where id = '488e6882-563d-4b69-b7eb-fd59e7772a41';

--@ 20180604103239287 add_stock_card_source
insert into available_requisition_column_sources (columnid, value)
    select id, 'STOCK_CARDS' from available_requisition_columns where name = 'stockOnHand';

--@ 20180706200019454 add_additional_quantity_required_column
insert into available_requisition_columns
    (id, name, label, indicator, mandatory, isdisplayrequired, canchangeorder, canbechangedbyuser, columntype, definition)
values (
    '90a84767-1009-4d8e-be13-f006fce2a002', 'additionalQuantityRequired', 'Additional quantity required', 'Z',
    false, false, true, true, 'NUMERIC', 'Additional quantity required for new patients'
);
insert into available_requisition_column_sources (columnid, value)
    values ('90a84767-1009-4d8e-be13-f006fce2a002', 'USER_INPUT');
alter table requisition_line_items add column additionalquantityrequired integer;
insert into columns_maps
    (requisitiontemplateid, requisitioncolumnid, definition, displayorder, indicator, isdisplayed, label, name,
     source, key, tag)
select t.id, a.id, a.definition,
       (select count(*) + 1 from columns_maps m where m.requisitiontemplateid = t.id),
       a.indicator, false, a.label, a.name, 0, a.name, null
from requisition_templates t cross join available_requisition_columns a
where a.name = 'additionalQuantityRequired';

--@ 20180710225921298 add_reportonly_to_requisitions
alter table requisitions add column reportonly boolean default false;

--@ 20180723143819484 modify_unique_status_changes
create unique index status_change_per_requisition on status_changes (requisitionid, status, createddate);
