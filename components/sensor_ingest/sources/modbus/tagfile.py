"""Tables of tags as people keep them: CSV with a header."""

from __future__ import annotations

import csv
import re
import unicodedata

from edgeloop.config.identifiers import is_id

_COLUMNS = {
    "name": "name tag tagname tag_name symbol bezeichnung id variable item point signal",
    "table": "table function area kind registertype register_type objecttype object_type type_of_register funktion fc "
             "function_code functioncode fcode object memory_area",
    "address": "address register offset_address addr adresse reg start registeraddress register_address modbus_address "
               "register_number registernummer",
    "type": "type datatype data_type format dtype datentyp typ variable_type",
    "unit": "unit units einheit uom eu engineering_unit engineering_units eng_units unité",
    "scale": "scale factor faktor multiplier gain scaling_factor skalierung scale_factor",
    "offset": "offset bias",
    "order": "order byteorder byte_order wordorder word_order endian endianness swap",
    "device": "device unitid unit_id slave slaveid slave_id station slave_address server_id",
    "none": "none nodata no_data invalid not_available na_value",
    "words": "words count quantity registers number_of_registers no_of_registers num_registers",
    "length": "length size laenge len",
    "signed": "signed vorzeichen", "bit": "bit bit_number bitnumber", "power": "sf exponent power",
    "raw_low": "raw_low raw_min rawmin raw_minimum", "raw_high": "raw_high raw_max rawmax raw_maximum",
    "low": "scaled_low eu_low eng_min scaled_min low min minimum eumin",
    "high": "scaled_high eu_high eng_max scaled_max high max maximum eumax",
    "values": "values enum enumeration states werte", "decimals": "decimals decimal_places nachkommastellen dp",
}  # fmt: skip
_KNOWN = {word: column for column, words in _COLUMNS.items() for word in words.split()}
_FUNCTIONS = {"1": "co", "2": "di", "3": "hr", "4": "ir", "5": "co", "6": "hr", "15": "co", "16": "hr"}
_TABLES = {"0": "co", "1": "di", "3": "ir", "4": "hr"}
_RANGES = {"co": range(0), "di": range(10_001, 20_000), "ir": range(30_001, 40_000), "hr": range(40_001, 50_000)}
"""What a manual counts from: 40001 is the first holding register."""
_ORDERS = {
    "big endian": "ABCD", "big endian word swap": "CDAB", "big endian byte swap": "BADC",
    "little endian byte swap": "CDAB", "little endian word swap": "BADC", "big endian swap": "CDAB",
    "1 2 3 4": "ABCD", "3 4 1 2": "CDAB", "2 1 4 3": "BADC", "4 3 2 1": "DCBA", "high low": "big", "low high": "little",
    "high word first": "big", "low word first": "little", "msb first": "ABCD", "lsb first": "DCBA",
}  # fmt: skip
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "µ": "u", "°": ""})
_FACTOR = re.compile(r"(?P<by>[*x×]|1\s*/|/|÷)?\s*(?P<number>[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:[eE][-+]?\d+)?)")
_POWER = re.compile(r"10\s*(?:\^|\*\*)\s*(-?\d{1,2})")
_BASE = re.compile(r"\(?\b(?:(?P<zero>0|zero)|(?P<one>1|one))[ -]?(?:based|basiert)\)?|\(?from (?P<first>[01])\)?")


def rows(text: str) -> dict[str, str]:
    """Rows of the tag table by name. Raises ValueError.

    >>> rows("Name;Register;Type;Unit;Factor\\noil temp;40105;INT16;°C;0,1\\n")
    {'oil_temp': 'hr 104 INT16 °C *0.1'}
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip() and not line.startswith(("#", ";"))]
    if not lines:
        return {}
    separator = max(";\t,", key=lines[0].count)
    header, *body = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    places, base = _header(header)
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
        try:
            found[name] = _row(row, base)
        except ValueError as error:
            raise ValueError(f"row {number} ({row.get('name')}): {error}") from None
    return found


def _header(header: list[str]) -> tuple[dict[str, int], int | None]:
    """Places of the columns that are known, and what addresses count from, where the header says so."""
    places: dict[str, int] = {}
    base = None
    for at, title in enumerate(header):
        plain = title.strip().lower()
        said = _BASE.search(plain)
        if said is not None:
            plain = plain.replace(said[0], " ")
        column = _KNOWN.get(re.sub(r"[^a-z0-9é]+", "_", plain).strip("_"))
        if column == "address" and said is not None:
            base = 0 if said["zero"] or said["first"] == "0" else 1
        if column is not None:
            places.setdefault(column, at)
    return places, base


def _name(text: str) -> str:
    """
    >>> _name("Öltemperatur 1"), _name("Débit")
    ('oeltemperatur_1', 'debit')
    """
    text = unicodedata.normalize("NFKD", text.lower().translate(_GERMAN)).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9_-]+", "_", text).strip("_-")[:32]
    return plain if is_id(plain) else f"t_{plain}"[:32]


def _row(row: dict[str, str], base: int | None) -> str:
    table, address = _place(row, base)
    if row.get("bit"):
        if "." in address:
            raise ValueError("its bit is said twice")
        address += f".{row['bit']}"
    words = [table, address, *_type(row, address)]
    words += [row["unit"]] if row.get("unit") else []
    words += [_order(row["order"])] if row.get("order") and _order(row["order"]) else []
    words += _conversion(row)
    words += [f"@{row['device']}"] if row.get("device") else []
    words += [f"none={row['none']}"] if row.get("none") else []
    return " ".join(words)


def _place(row: dict[str, str], base: int | None) -> tuple[str, str]:
    """Table and address, as in a row."""
    given = re.sub(r"[\s_-]+", " ", row.get("table", "").lower()).strip().removesuffix("s")
    table = _FUNCTIONS.get(given.lstrip("0"), given.replace(" ", "_"))
    said = row.get("address", "").strip()
    prefixed = re.fullmatch(r"(co|di|hr|ir)\s*:?\s*(\d.*)", said, re.IGNORECASE)
    crossed = re.fullmatch(r"([0134])[xX](\d{4,5})(\.\d+)?", said) if not re.match(r"0[xX]", said) or table else None
    iec = re.fullmatch(r"%([MIQ])([WX])?(\d+)(\.\d+)?", said, re.IGNORECASE)
    if prefixed:
        return _same(table, prefixed[1].lower(), said), prefixed[2]
    if crossed and crossed[1] != "0":
        return _same(table, _TABLES[crossed[1]], said), f"{int(crossed[2]) - 1}{crossed[3] or ''}"
    if iec and iec[1].upper() == "M" and (iec[2] or "").upper() == "W":
        return _same(table, "hr", said), f"{iec[3]}{iec[4] or ''}"
    if hexadecimal := re.fullmatch(r"([0-9a-fA-F]+)[hH](\.\d+)?", said):
        said = f"0x{hexadecimal[1]}{hexadecimal[2] or ''}"
    number, point, bit = said.partition(".")
    counted = re.fullmatch(r"[0134]\d{4,5}", number) is not None
    if counted and not table:
        return _TABLES[number[0]], f"{int(number[1:]) - 1}{point}{bit}"
    if not table:
        raise ValueError(f"{said!r} names no table: write 40001 to 49999, or a column of tables (hr, ir, co, di)")
    if counted and base is None and int(number) in _RANGES.get(table, ()):
        raise ValueError(f"{table} {number} may be {table} {int(number[1:]) - 1}, as manuals count, or as on the wire: "
                         f"leave the table out, or write 0x{int(number):X}")  # fmt: skip
    if base == 1 and number.isdigit():
        number = str(int(number) - 1)
    return table, number + point + bit


def _same(table: str, meant: str, said: str) -> str:
    if table and table != meant:
        raise ValueError(f"{said!r} is no address of {table}")
    return meant


def _type(row: dict[str, str], address: str) -> list[str]:
    """The type, with what a column of lengths and one of signs say of it."""
    kind, words = row.get("type", "").strip(), row.get("words", "").strip()
    sign = row.get("signed", "").strip().lower()
    signed = sign in ("yes", "y", "true", "1", "ja", "signed", "x")
    if sign and not signed and sign not in ("no", "n", "false", "0", "nein", "unsigned"):
        raise ValueError(f"signed: {sign!r} is neither yes nor no")
    if row.get("values") and kind.lower() in ("", "enum"):
        parts = (part.strip() for part in re.split(r"[;,|]", row["values"]))
        labels = (re.sub(r"^(\d+)\s*[=:]\s*(.+)$", r"\2=\1", part) for part in parts)
        return [f"enum({','.join(re.sub(r'[^a-z0-9_=-]+', '_', label.lower()) for label in labels)})"]
    if kind.lower() in ("string", "text", "char") and (words or row.get("length")):
        return [f"string{row.get('length') or 2 * int(words)}"]
    if text := re.fullmatch(r"str(?:ing)?\s*[\[(]?\s*(\d+)\s*[\])]?", kind, re.IGNORECASE):
        return [f"string{text[1]}"]
    if kind.lower() in ("bool", "boolean", "bit", "coil"):
        return []
    if row.get("length") and kind.lower() in ("int", "integer", "uint", "unsigned", "signed", "unsigned int", ""):
        raise ValueError(
            f"length {row['length']} may be bytes, or registers: write the type with its bits, such as int32"
        )
    if not words:
        if signed and not kind:
            return ["int16"]
        return kind.replace(", ", " ").split()
    if not words.isdigit():
        raise ValueError(f"length: {words!r} is no number of registers")
    plain = {
        "int": "int", "integer": "int", "uint": "uint", "unsigned": "uint", "signed": "int", "unsigned int": "uint",
        "float": "float", "real": "float", "": "int" if signed else "uint",
    }.get(kind.lower())  # fmt: skip
    if plain is None:
        return kind.split()
    if not kind and not sign and words != "1":
        raise ValueError(f"{words} registers of no type: write one, such as int32 or float32")
    if int(words) not in (1, 2, 3, 4):
        raise ValueError(f"length: {words} registers are no {plain}")
    return [f"{'int' if signed and plain == 'uint' and kind else plain}{16 * int(words)}"]


def _order(text: str) -> str:
    """
    >>> _order("Big Endian"), _order("3-4-1-2"), _order("cdab"), _order("none")
    ('ABCD', 'CDAB', 'cdab', '')
    """
    plain = re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
    if plain in ("none", "no", "ab", "default"):
        return ""
    if plain in ("little endian", "little"):
        raise ValueError(f"order: {text!r} may be DCBA (all bytes) or CDAB (the words): say which")
    return _ORDERS.get(plain, text.replace(" ", "_"))


def _number(text: str, what: str) -> float:
    """Raises ValueError where it is no number, or one that can be two."""
    plain = text.strip()
    if re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", plain):
        raise ValueError(f"{what}: {plain!r} is about one or about a thousand: write it with a point")
    try:
        return float(plain.replace(",", "."))
    except ValueError:
        raise ValueError(f"{what}: {plain!r} is no number") from None


def _conversion(row: dict[str, str]) -> list[str]:
    """Scale and offset, as in a row."""
    found: list[str] = []
    scale, said = row.get("scale", ""), 0
    if scale:
        power, factor = _POWER.fullmatch(scale), _FACTOR.fullmatch(scale)
        if power:
            found, said = [f"*1e{power[1]}"], 1
        elif factor:
            value = _number(factor["number"], "factor")
            divides = (factor["by"] or "")[-1:] in ("/", "÷")
            found = [f"{'/' if divides else '*'}{value:g}"] if value != 1.0 else []
            said = 1
        else:
            raise ValueError(f"factor: {scale!r} is no number")
    if row.get("power") and int(_number(row["power"], "exponent")):
        found, said = [f"*1e{int(_number(row['power'], 'exponent'))}"], said + 1
    if row.get("decimals") and int(_number(row["decimals"], "decimals")):
        raise ValueError("decimals: say the factor, such as 0.1")
    if row.get("raw_low") and row.get("raw_high"):
        low, high, first, last = (_number(row.get(key) or "", key) for key in ("raw_low", "raw_high", "low", "high"))
        if high == low or first == last:
            raise ValueError("raw and scaled ranges are empty")
        factor_, said = (last - first) / (high - low), said + 1
        shift = first - low * factor_
        found = [f"*{factor_!r}"] + ([f"{shift:+}"] if shift else [])
    if said > 1:
        raise ValueError("its scale is said twice")
    if row.get("offset") and (value := _number(row["offset"], "offset")):
        found.append(f"{value:+}")
    return found
