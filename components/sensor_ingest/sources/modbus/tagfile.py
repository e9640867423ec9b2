"""Tables of tags as people keep them: CSV with a header."""

from __future__ import annotations

import csv
import re

from edgeloop.config.identifiers import is_id

_COLUMNS = {
    "name": "name tag tagname tag_name symbol bezeichnung id",
    "table": "table function area kind registertype register_type objecttype object_type type_of_register funktion fc",
    "address": "address register offset_address addr adresse reg start registeraddress register_address modbus_address",
    "type": "type datatype data_type format dtype datentyp typ",
    "unit": "unit units einheit uom eu engineering_unit",
    "scale": "scale factor faktor multiplier gain scaling skalierung",
    "offset": "offset bias",
    "order": "order byteorder byte_order wordorder word_order endian endianness",
    "device": "device unitid unit_id slave slaveid slave_id station",
    "none": "none nodata no_data invalid",
}
_KNOWN = {word: column for column, words in _COLUMNS.items() for word in words.split()}
_FUNCTIONS = {"1": "co", "2": "di", "3": "hr", "4": "ir", "01": "co", "02": "di", "03": "hr", "04": "ir"}
_LEADING = {"0": "co", "1": "di", "3": "ir", "4": "hr"}


def rows(text: str) -> dict[str, str]:
    """Rows of the tag table by name. Raises ValueError.

    >>> rows("Name;Register;Type;Unit;Factor\\noil temp;40105;INT16;°C;0,1\\n")
    {'oil_temp': 'hr 104 INT16 °C *0.1'}
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return {}
    separator = max(";\t,", key=lines[0].count)
    header, *body = csv.reader(lines, delimiter=separator)
    places: dict[str, int] = {}
    for at, title in enumerate(header):
        column = _KNOWN.get(re.sub(r"[^a-z0-9]+", "_", title.strip().lower()).strip("_"))
        if column is not None:
            places.setdefault(column, at)
    lacking = [column for column in ("name", "address") if column not in places]
    if lacking:
        raise ValueError(f"it has no column {' and '.join(lacking)}; its columns are {', '.join(header)}")
    found: dict[str, str] = {}
    for number, cells in enumerate(body, 2):
        row = {column: cells[at].strip() for column, at in places.items() if at < len(cells)}
        if not row.get("name") and not row.get("address"):
            continue
        name = _name(row.get("name", ""))
        if name in found:
            raise ValueError(f"row {number}: {name} is there twice")
        found[name] = _row(row, number)
    return found


def _name(text: str) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_-")[:32]
    return plain if is_id(plain) else f"t_{plain}"[:32]


def _row(row: dict[str, str], number: int) -> str:
    table = row.get("table", "").lower()
    table = _FUNCTIONS.get(table, table)
    address, point, bit = row.get("address", "").partition(".")
    if re.fullmatch(r"[0134]\d{4,5}", address) and len(address) in (5, 6) and not table:
        table, address = _LEADING[address[0]], str(int(address[1:]) - 1)
    if not table:
        where = f"row {number}: {row.get('address')!r}"
        raise ValueError(f"{where} names no table: write 40001 to 49999, or a column of tables")
    words = [table.replace(" ", "_"), address + point + bit]
    words += [row[column] for column in ("type", "unit", "order") if row.get(column)]
    for column, mark in (("scale", "*"), ("offset", "+")):
        said = row.get(column, "").replace(",", ".")
        if said and float(said) != (1.0 if column == "scale" else 0.0):
            words.append(said if said[0] in "+-*/" and column == "offset" else f"{mark}{said}")
    words += [f"@{row['device']}"] if row.get("device") else []
    words += [f"none={row['none']}"] if row.get("none") else []
    return " ".join(words)
