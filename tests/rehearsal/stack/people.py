# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The made-up data of a 3.3 server: the same for the same seed, and as unruly as real data is."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

ADMIN_ID = "35316636-6264-6331-2d34-3933322d3462"
PASSWORD_HASH = "$2b$05$JV3FXTKLLCE/LcIFlzm9Gers/8PTt64KAJwD1WeTFgly95teu2irO"
ORDINARY_USER = "storekeeper"
DEFAULT_USERS = 320


class Person(NamedTuple):
    """One user of a 3.3 server; without a column for it the phone number lies in the extra data."""

    id: str
    username: str
    first: str
    last: str
    email: str | None = None
    verified: bool = True
    allow_notify: bool | None = True
    phone: str | None = None
    active: bool = True
    login_restricted: bool = False
    extra: dict[str, Any] | None = None


def odd_people() -> list[dict[str, Any]]:
    """One user for every trap that contact details are known to hold."""
    return [
        {"username": ORDINARY_USER, "first": "Store", "last": "Keeper", "email": "store.keeper@example.org"},
        # The service's duplicate check is a LIKE: these two get in each other's way.
        {"username": "ann", "first": "Ann", "last": "Short", "email": "ann@example.org"},
        {"username": "joann", "first": "Jo", "last": "Ann", "email": "joann@example.org"},
        {"username": "under_score", "first": "Under", "last": "Score", "email": "a_b@example.org"},
        {"username": "underxscore", "first": "Wild", "last": "Card", "email": "axb@example.org"},
        {"username": "percent", "first": "Per", "last": "Cent", "email": "50%@example.org"},
        # What text-built SQL and CSV stumble over.
        {"username": "obrien", "first": "Siobhán", "last": "O'Brien", "email": "s.o'brien@example.org"},
        {"username": "comma", "first": "Doe,", "last": "John", "email": '"doe,john"@example.org'},
        {"username": "quote", "first": 'Joe "Big"', "last": "Quote", "email": '"joe\\"big"@example.org'},
        {"username": "backslash", "first": "Back\\slash", "last": "N\\N", "email": "back\\slash@example.org"},
        {"username": "null-word", "first": "Null", "last": "NULL", "email": "null@example.org", "phone": "NULL"},
        {"username": "semicolon", "first": "Robert'); --", "last": "Tables", "email": "x;y@example.org"},
        {"username": "dollar", "first": "$1", "last": "$$", "email": "$dollar$@example.org", "phone": "$1"},
        {"username": "brace", "first": "{{ brace }}", "last": "%s", "email": "{b}@example.org", "phone": "{{ 7*7 }}"},
        {"username": "plus", "first": "Plus", "last": "Sign", "email": "plus+tag@example.org"},
        {"username": "long", "first": "Very", "last": "Long", "email": "l" * 242 + "@example.org"},
        {"username": "inner-space", "first": "Inner", "last": "Space", "email": " padded@example.org "},
        # E-mail addresses that differ by case only are two addresses to the unique index.
        {"username": "case1", "first": "Case", "last": "Lower", "email": "case@example.org"},
        {"username": "case2", "first": "Case", "last": "Upper", "email": "Case@Example.org"},
        {"username": "case3", "first": "Case", "last": "Shout", "email": "CASE@EXAMPLE.ORG"},
        # Scripts.
        {"username": "አበበ", "first": "አበበ", "last": "ቢቂላ", "email": "አበበ@example.org"},
        {"username": "مريم", "first": "مريم", "last": "الأحمد", "email": "مريم@مثال.example.org"},
        {"username": "沃梅", "first": "沃梅", "last": "王", "email": "王@例え.example.org"},
        {"username": "joão", "first": "João", "last": "Conceição", "email": "joão@exámple.org"},
        {"username": "emoji", "first": "Smile 😀", "last": "Four bytes", "email": "😀@example.org", "phone": "☎ 555"},
        # No e-mail, in each way that a column can say so.
        {"username": "no-email-null", "first": "No", "last": "Address"},
        {"username": "no-email-empty", "first": "No", "last": "Letters", "email": ""},
        {"username": "no-email-space", "first": "Only", "last": "Space", "email": " "},
        {"username": "no-email-spaces", "first": "Only", "last": "Spaces", "email": "   ", "allow_notify": None},
        {"username": "no-email-tab", "first": "Only", "last": "Tab", "email": "\t"},
        {"username": "no-email-newline", "first": "Only", "last": "Newline", "email": " \n "},
        {"username": "no-email-unverified", "first": "No", "last": "Trust", "verified": False},
        # Flags.
        {"username": "notify-null", "first": "Never", "last": "Asked", "email": "n1@example.org", "allow_notify": None},
        {
            "username": "notify-no",
            "first": "Do Not",
            "last": "Disturb",
            "email": "n2@example.org",
            "allow_notify": False,
        },
        {"username": "unverified", "first": "Not", "last": "Yet", "email": "n3@example.org", "verified": False},
        {
            "username": "unverified-null",
            "first": "Not",
            "last": "Both",
            "email": "n4@example.org",
            "verified": False,
            "allow_notify": None,
        },
        {"username": "inactive", "first": "Long", "last": "Gone", "email": "n5@example.org", "active": False},
        {"username": "svc-dhis2", "first": "Service", "last": "Account", "login_restricted": True, "verified": False},
        # Phone numbers.
        {"username": "phone-plus", "first": "Phone", "last": "Plus", "email": "p1@example.org", "phone": "+258 84 123"},
        {
            "username": "phone-line",
            "first": "Phone",
            "last": "Lines",
            "email": "p2@example.org",
            "phone": "+258 84 1\n+258 82 2",
        },
        {"username": "phone-crlf", "first": "Phone", "last": "Windows", "email": "p3@example.org", "phone": "1\r\n2"},
        {"username": "phone-comma", "first": "Phone", "last": "Comma", "email": "p4@example.org", "phone": "1, 2; 3"},
        {"username": "phone-empty", "first": "Phone", "last": "Empty", "email": "p5@example.org", "phone": ""},
        {"username": "phone-blank", "first": "Phone", "last": "Blank", "email": "p6@example.org", "phone": "  "},
        {"username": "phone-tab", "first": "Phone", "last": "Tab", "email": "p7@example.org", "phone": "1\t2"},
        {"username": "phone-quote", "first": "Phone", "last": "Quote", "email": "p8@example.org", "phone": "0'1\"2\\3"},
        {"username": "phone-zero", "first": "Phone", "last": "Zero", "email": "p9@example.org", "phone": "0084"},
        {"username": "phone-arabic", "first": "Phone", "last": "Digits", "phone": "٠١٢٣"},
        {"username": "phone-long", "first": "Phone", "last": "Long", "email": "p10@example.org", "phone": "5" * 255},
    ]


FIRST = (
    "Amina Joseph Fatima Chidi Esther Moses Zainab Peter Lúcia Tomás Grace Daniel Aïcha Kofi Thandiwe Sipho "
    "Mercy Abdul Joana Ibrahim Wanjiru Hassan Ruth Emmanuel"
).split()
LAST = (
    "Banda Phiri Mwale Dlamini Okafor Diallo Traoré Mensah Nkosi Santos Machel Tembo Kamau Otieno Bello "
    "D'Souza Chirwa N'Diaye Gonçalves Abebe"
).split()


def personal(users: Iterable[Mapping[str, Any]]) -> list[str]:
    """The users' addresses, telephone numbers and names, but for such short or common words as stand in any text."""
    told = [one[key] for one in users for key in ("email", "phonenumber") if one.get(key) and len(one[key]) > 5]
    return told + [
        one["username"] for one in users if re.search(r"[^a-z]", one["username"]) and len(one["username"]) > 4
    ]


def people(count: int = DEFAULT_USERS, seed: int = 34) -> list[Person]:
    """Users besides the administrator, who comes with the schema: the odd ones first, then ordinary ones."""
    dice = random.Random(seed)

    def new_id() -> str:
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    result = [Person(id=new_id(), **odd) for odd in odd_people()]
    for number in range(len(result), max(count - 1, len(result))):
        first, last = dice.choice(FIRST), dice.choice(LAST)
        name = "%s.%s.%d" % (first.lower(), last.lower(), number)
        email = None if dice.random() < 0.15 else name + "@health.example.org"
        phone = "+%d %d" % (dice.choice((258, 265, 251, 234)), dice.randrange(10**8, 10**9))
        result.append(
            Person(
                id=new_id(),
                username=name,
                first=first,
                last=last,
                email=email,
                verified=email is not None and dice.random() < 0.8,
                allow_notify=dice.choice((True, True, True, False, None)),
                phone=phone if dice.random() < 0.6 else None,
                active=dice.random() < 0.95,
                extra={"employeeId": number} if dice.random() < 0.3 else None,
            )
        )
    return result


def copy(table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> str:
    """A COPY block for psql in PostgreSQL's text format."""

    def field(value: Any) -> str:
        if value is None:
            return "\\N"
        if isinstance(value, bool):
            return "t" if value else "f"
        if isinstance(value, dict):
            value = json.dumps(value, ensure_ascii=False)
        text = str(value)
        for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(plain, escaped)
        return text

    lines = ["\t".join(field(value) for value in row) for row in rows]
    return "copy %s (%s) from stdin;\n%s\n\\.\n" % (table, columns, "".join(line + "\n" for line in lines)[:-1])


def extra_data(person: Person, phone_column: bool) -> dict[str, Any] | None:
    """What the column extradata holds for a user."""
    if person.phone is None or phone_column:
        return person.extra
    return {**(person.extra or {}), "phoneNumber": person.phone}


def data_sql(
    count: int = DEFAULT_USERS, seed: int = 34, phone_column: bool = False, without: Collection[str] = ()
) -> str:
    """A psql script that fills a freshly migrated 3.3 database, `without` the schemas of components that
    are not there.
    """
    dice = random.Random(seed + 1)

    def new_id() -> str:
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    level, zone, kind, category, schedule, template = (new_id() for _number in range(6))
    users = people(count, seed)
    roles = {name: new_id() for name in ("Storeroom Manager", "Reports")}
    facilities = [new_id() for _number in range(40)]
    programs = [new_id() for _number in range(4)]
    orderables = [new_id() for _number in range(60)]
    periods = [new_id() for _number in range(12)]
    requisitions = [(new_id(), dice.choice(facilities), dice.choice(programs)) for _number in range(250)]
    orders = [(new_id(), *one) for one in requisitions[:120]]
    cards = [(new_id(), dice.choice(facilities), one, dice.choice(programs)) for one in orderables]
    catalog = [new_id() for _number in range(5)]
    user_columns = "id, username, firstname, lastname, email, verified, allownotify, active, loginrestricted, extradata"
    blocks = [
        copy("referencedata.geographic_levels", "id, code, levelnumber, name", [(level, "country", 1, "Country")]),
        copy("referencedata.geographic_zones", "id, code, name, levelid", [(zone, "mz", "Moçambique", level)]),
        copy(
            "referencedata.facility_types", "id, active, code, name", [(kind, True, "health_center", "Health Center")]
        ),
        copy(
            "referencedata.facilities",
            "id, active, code, enabled, name, geographiczoneid, typeid",
            [(one, True, "HC%02d" % n, True, "Centro de Saúde %d" % n, zone, kind) for n, one in enumerate(facilities)],
        ),
        copy(
            "referencedata.programs",
            "id, active, code, name, periodsskippable",
            [(one, True, "PRG%d" % n, "Program %d" % n, True) for n, one in enumerate(programs)],
        ),
        copy(
            "referencedata.orderable_display_categories",
            "id, code, displayname, displayorder",
            [(category, "C1", "Other", 1)],
        ),
        copy(
            "referencedata.orderables",
            "id, code, name, packroundingthreshold, packsize, roundtozero",
            [(one, "P%03d" % n, "Product %d" % n, 1, 10, False) for n, one in enumerate(orderables)],
        ),
        copy(
            "referencedata.program_orderables",
            "id, active, displayorder, fullsupply, maxmonthsstock, priceperpack, orderabledisplaycategoryid,"
            " orderableid, programid",
            # The same pair twice is allowed as long as one of them is not active.
            [
                (new_id(), True, 1, True, 3, "12.50", category, one, program)
                for one in orderables
                for program in programs
            ]
            + [(new_id(), False, 1, True, 3, "11.00", category, one, programs[0]) for one in orderables[:10]],
        ),
        copy(
            "referencedata.processing_schedules",
            "id, code, name",
            [(schedule, "monthly", "Monthly")],
        ),
        copy(
            "referencedata.processing_periods",
            "id, name, startdate, enddate, processingscheduleid",
            [(one, "M%d" % n, "2018-%02d-01" % n, "2018-%02d-28" % n, schedule) for n, one in enumerate(periods, 1)],
        ),
        copy("referencedata.roles", "id, name", [(one, name) for name, one in roles.items()]),
        "insert into referencedata.role_rights (roleid, rightid)\n"
        "select '%s', id from referencedata.rights where type = 'SUPERVISION';\n" % roles["Storeroom Manager"],
        copy(
            "referencedata.users",
            user_columns + (", phonenumber" if phone_column else ""),
            [
                (one.id, one.username, one.first, one.last, one.email, one.verified, one.allow_notify, one.active)
                + (one.login_restricted, extra_data(one, phone_column))
                + ((one.phone,) if phone_column else ())
                for one in users
            ],
        ),
        copy(
            "referencedata.role_assignments",
            "type, id, roleid, userid, programid",
            [
                ("supervision", new_id(), roles["Storeroom Manager"], one.id, program)
                for one in users
                for program in programs[:2]
            ],
        ),
        copy(
            "auth.auth_users",
            "id, email, enabled, password, referencedatauserid, username",
            [
                # auth's own copy of the address is unique too, and nobody keeps it in step.
                (new_id(), "%s@login.example" % one.id, one.active, PASSWORD_HASH, one.id, one.username)
                for one in users
                if not one.login_restricted
            ],
        ),
        copy(
            "requisition.requisition_templates", "id, numberofperiodstoaverage, programid", [(template, 3, programs[0])]
        ),
        "insert into requisition.columns_maps (requisitiontemplateid, requisitioncolumnid, displayorder, isdisplayed,\n"
        "    label, name, source, key)\n"
        "select '%s', id, row_number() over (order by name), true, label, name, 0, name\n"
        "from requisition.available_requisition_columns;\n" % template,
        copy(
            "requisition.requisitions",
            "id, createddate, emergency, facilityid, numberofmonthsinperiod, processingperiodid, programid, status,"
            " templateid",
            [
                (one, "2018-03-0%d 08:00+00" % dice.randrange(1, 9), False, facility, 1, dice.choice(periods), program)
                + (dice.choice(("INITIATED", "SUBMITTED", "AUTHORIZED", "APPROVED", "RELEASED")), template)
                for one, facility, program in requisitions
            ],
        ),
        copy(
            "requisition.requisition_line_items",
            "id, requestedquantity, stockonhand, orderableid, requisitionid, remarks",
            [
                (new_id(), dice.randrange(500), dice.randrange(900), dice.choice(orderables), one[0])
                + (dice.choice((None, "para já, é 'urgente'")),)
                for one in requisitions
                for _line in range(8)
            ],
        ),
        copy(
            "requisition.status_changes",
            "id, createddate, authorid, status, requisitionid",
            [(new_id(), "2018-03-01 08:00+00", ADMIN_ID, "INITIATED", one[0]) for one in requisitions],
        ),
        copy(
            "fulfillment.orders",
            "id, createdbyid, createddate, emergency, externalid, facilityid, ordercode, programid, quotedcost, status",
            [
                (one, ADMIN_ID, "2018-03-10 08:00+00", False, requisition, facility, "ORDER-%s" % requisition, program)
                + ("100.00", "ORDERED")
                for one, requisition, facility, program in orders
            ],
        ),
        copy(
            "fulfillment.order_line_items",
            "id, orderableid, orderedquantity, orderid",
            [
                (new_id(), dice.choice(orderables), dice.randrange(1, 99), one[0])
                for one in orders
                for _line in range(5)
            ],
        ),
        copy(
            "fulfillment.transfer_properties",
            "id, type, facilityid, protocol, serverhost, serverport, username, password, remotedirectory, passivemode",
            [(new_id(), "ftp", facilities[0], "FTP", "ftp", 21, "admin", "p@ssw0rd", "/orders", True)],
        ),
        copy("stockmanagement.stock_cards", "id, facilityid, orderableid, programid", cards),
        copy(
            "stockmanagement.stock_card_line_items",
            "id, occurreddate, quantity, stockcardid",
            [(new_id(), "2018-02-01", dice.randrange(1000), one[0]) for one in cards for _line in range(10)],
        ),
        copy(
            "cce.cce_catalog_items",
            "id, manufacturer, model",
            [(one, "Fridges", "M%d" % n) for n, one in enumerate(catalog)],
        ),
        copy(
            "cce.cce_inventory_items",
            "id, facilityid, equipmenttrackingid, catalogitemid",
            [(new_id(), one, "EQ-%d" % n, dice.choice(catalog)) for n, one in enumerate(facilities)],
        ),
        copy(
            "report.jasper_templates",
            "id, name, type, data",
            [(new_id(), "Report %d" % n, "Consistency Report", "\\x00ff%02x" % n) for n in range(6)],
        ),
    ]
    there = [block for block in blocks if not block.startswith(tuple("copy %s." % schema for schema in without))]
    return "\\set ON_ERROR_STOP on\nbegin;\n%scommit;\nanalyze;\n" % "".join(there)
