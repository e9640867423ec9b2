"""Units: stored as UCUM, read as people write them, shown as people read them."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from edgeloop.config.currencies import CODES
from edgeloop.config.ucum import METRIC, OTHERS, PREFIXES

ALIASES = {
    "°c": "Cel", "degc": "Cel", "deg c": "Cel", "deg_c": "Cel", "celsius": "Cel", "grad c": "Cel", "℃": "Cel",
    "ºc": "Cel", "°f": "[degF]", "degf": "[degF]", "deg f": "[degF]", "deg_f": "[degF]", "fahrenheit": "[degF]",
    "ºf": "[degF]", "degk": "K", "kelvin": "K", "°k": "K", "°": "deg", "degree": "deg", "degrees": "deg",
    "grad": "deg", "rpm": "{rev}/min", "r/min": "{rev}/min", "rev/min": "{rev}/min", "u/min": "{rev}/min",
    "tr/min": "{rev}/min", "rps": "{rev}/s", "rev/s": "{rev}/s", "perc": "%", "percent": "%",
    "pct": "%", "prozent": "%", "%rh": "%", "% rh": "%", "rh%": "%", "%rf": "%", "‰": "[ppth]", "bar": "bar",
    "mbar": "mbar", "kpa": "kPa", "hpa": "hPa", "pa": "Pa", "v": "V", "psi": "[psi]", "psig": "[psi]",
    "psia": "[psi]", "barg": "bar", "bara": "bar", "bar(g)": "bar", "bar(a)": "bar", "mmhg": "mm[Hg]",
    "inhg": "[in_i'Hg]", "inh2o": "[in_i'H2O]", "mmh2o": "mm[H2O]", "atm": "atm", "torr": "mm[Hg]", "kwh": "kW.h",
    "wh": "W.h", "mwh": "MW.h", "va": "V.A", "kva": "kV.A", "mva": "MV.A", "var": "V.A", "kvar": "kV.A",
    "varh": "V.A.h", "kvarh": "kV.A.h", "kvah": "kV.A.h", "ah": "A.h", "mah": "mA.h", "nm": "N.m", "knm": "kN.m",
    "volt": "V", "volts": "V", "amp": "A", "amps": "A", "ampere": "A", "watt": "W", "watts": "W", "kw": "kW",
    "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ohm": "Ohm", "ω": "Ohm", "kohm": "kOhm", "kω": "kOhm", "sec": "s",
    "secs": "s", "second": "s", "seconds": "s", "sek": "s", "mins": "min", "minute": "min", "minutes": "min",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "std": "h", "msec": "ms", "usec": "us", "days": "d", "day": "d",
    "gpm": "[gal_us]/min", "cfm": "[cft_i]/min", "scfm": "[cft_i]/min", "lpm": "L/min", "slpm": "L/min", "lps": "L/s",
    "ft": "[ft_i]", "feet": "[ft_i]", "in": "[in_i]", "inch": "[in_i]", "inches": "[in_i]", "yd": "[yd_i]",
    "mi": "[mi_i]", "lb": "[lb_av]", "lbs": "[lb_av]", "lbf": "[lbf_av]", "oz": "[oz_av]", "gal": "[gal_us]",
    "mph": "[mi_i]/h", "kph": "km/h", "kmh": "km/h", "kn": "[kn_i]",
    "hp": "[HP]", "btu": "[Btu]", "ppm": "[ppm]",
    "ppb": "[ppb]", "ph": "[pH]", "lux": "lx", "dba": "dB", "db": "dB", "counts": "{count}", "count": "{count}",
    "cnt": "{count}", "pcs": "{piece}", "pieces": "{piece}", "stk": "{piece}", "stück": "{piece}",
    "cycles": "{cycle}", "ton": "t", "tons": "t", "tonne": "t", "sqm": "m2", "qm": "m2", "cbm": "m3", "litre": "L",
    "liter": "L", "ltr": "L", "meter": "m", "metre": "m", "gram": "g", "kilogram": "kg", "newton": "N",
    "pascal": "Pa", "joule": "J", "none": "1", "-": "1", "n/a": "1",
}  # fmt: skip
"""What people write, in small letters, where it means one thing only."""
TWOFOLD = {
    "C": "write Cel for °C, A.s for coulomb", "F": "write [degF] for °F, C/V for farad",
    "kt": "write [kn_i] for knots, 10*3.t for kilotonnes", "PS": "write [HP] for horsepower, 10*15.S for siemens",
}  # fmt: skip
"""UCUM in the letter, but hardly ever meant so."""
MEANT = frozenset({"ft", "mph", "kph"})
"""UCUM in the letter too (femtotonne, milliphot), and never meant so."""
_FEET = re.compile(r"(?<![a-z\[_])ft(?![a-z_\[])")
_SHOWN = {
    "Cel": "°C", "[degF]": "°F", "{rev}/min": "rpm", "[psi]": "psi", "Ohm": "Ω", "deg": "°", "[ppm]": "ppm",
    "[ppb]": "ppb", "[pH]": "pH", "kW.h": "kWh", "W.h": "Wh", "N.m": "Nm", "V.A": "VA", "kV.A": "kVA", "m/s2": "m/s²",
    "m3/h": "m³/h", "m2": "m²", "m3": "m³", "[g]": "g", "mm[Hg]": "mmHg", "1": "",
}  # fmt: skip
_SIGNS = str.maketrans({
    "²": "2", "³": "3", "·": ".", "×": ".", "⋅": ".", "µ": "u", "μ": "u", "\u03a9": "Ohm", "\u2126": "Ohm", "⁻": "-",
    "¹": "1",
})  # fmt: skip
_FIGURES = re.compile(r"[\d.,*/^+()-]+")
_ANNOTATION = re.compile(r"\{[\x21-\x7a|~]*\}")
_TOKEN = re.compile(r"\(|\)|\.|/|\{[\x21-\x7a|~]*\}|(?:\[[^\]\s]*\]|[^\[\]./(){}\s])+")
_EXPONENT = re.compile(r"(.*?)([+-]?\d)?")
LONGEST = 40


def meant(text: str) -> str | None:
    """The unit in UCUM, None where it is none.

    >>> [meant(t) for t in ("Cel", "°C", "rpm", "m/s²", "kWh", "m^3/h", "CDAB", "FLOAT32", "C")]
    ['Cel', 'Cel', '{rev}/min', 'm/s2', 'kW.h', 'm3/h', None, None, None]
    >>> meant("0.1"), meant("1/min"), meant("kn")
    (None, '1/min', '[kn_i]')
    >>> meant("EUR"), meant("€/MWh"), meant("l/kWh")
    ('{EUR}', '{EUR}/(MW.h)', 'l/(kW.h)')
    """
    try:
        return unit(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def unit(text: str) -> str:
    """As `meant`; raises ValueError that says what is likely meant."""
    given = text.strip()
    if given in TWOFOLD:
        raise ValueError(f"{given!r} may be two units: {TWOFOLD[given]}")
    if given in ("", "1"):
        return "1"
    if _FIGURES.fullmatch(given):
        raise ValueError(f"{given!r} is no unit (UCUM); a factor is written *0.1 or /10, a summand +5 or -40")
    if len(given) > LONGEST:
        raise ValueError(f"{given[:LONGEST]!r} … is no unit (UCUM)")
    if given.lower() in ALIASES and not (is_ucum(given) and given.lower() not in ("u/min", *MEANT)):
        return ALIASES[given.lower()]
    plain = given.translate(_SIGNS).replace("**", "").replace("*", ".") if not given.startswith("10*") else given
    plain = re.sub(r"\^(?=[-+]?\d)", "", plain) if not plain.startswith("10^") else plain
    plain = _FEET.sub("[ft_i]", plain)
    if is_ucum(plain):
        return plain
    if len(given) == 3 and given.upper() in CODES and not given.isupper() and given.lower() not in ("eur", "usd"):
        raise ValueError(f"{given!r} is no unit (UCUM); is the currency {given.upper()} meant?")
    parts = [_money(part) or (part if is_ucum(part) else ALIASES.get(part.lower(), part)) for part in plain.split("/")]
    joined = "/".join(f"({part})" if i and ("/" in part or "." in part) else part for i, part in enumerate(parts))
    if is_ucum(joined):
        return joined
    near = difflib.get_close_matches(given.lower(), [*ALIASES, *(m.lower() for m in _USUAL)], n=1, cutoff=0.75)
    said = ""
    if near:
        said = ALIASES.get(near[0]) or next(m for m in _USUAL if m.lower() == near[0])
    raise ValueError(f"{given!r} is no unit (UCUM)" + (f"; is {said} meant?" if said else ""))


def _money(text: str) -> str:
    """UCUM has no currencies: they are annotations, which it passes on. "" where it is none.

    >>> _money("EUR"), _money("€"), _money("ct")
    ('{EUR}', '{EUR}', '')
    """
    code = {"€": "EUR", "£": "GBP", "eur": "EUR", "usd": "USD"}.get(text, text)
    return f"{{{code}}}" if code in CODES else ""


_USUAL = (
    "Cel",
    "bar",
    "mbar",
    "kPa",
    "MPa",
    "Hz",
    "V",
    "mV",
    "A",
    "mA",
    "kW",
    "m/s2",
    "mm/s",
    "L/min",
    "m3/h",
    "{rev}/min",
)


def is_ucum(text: str) -> bool:
    """Whether a text is a unit by UCUM's grammar (case-sensitive codes).

    >>> [is_ucum(t) for t in ("mm/s2", "kW.h", "{rev}/min", "/min", "10*3/uL", "m.(s-1)", "degC", "mm/", "")]
    [True, True, True, True, True, True, False, False, False]
    """
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != text or len(text) > LONGEST:
        return False
    end = _term(tokens, 1 if tokens[0] == "/" else 0)
    return end == len(tokens)


def _term(tokens: list[str], at: int) -> int:
    """Index after the term that begins there, or -1."""
    at = _component(tokens, at)
    while 0 < at < len(tokens) and tokens[at] in "./":
        at = _component(tokens, at + 1)
    return at


def _component(tokens: list[str], at: int) -> int:
    if not 0 <= at < len(tokens):
        return -1
    token = tokens[at]
    if token == "(":
        end = _term(tokens, at + 1)
        if not (0 < end < len(tokens) and tokens[end] == ")"):
            return -1
        return end + 2 if end + 1 < len(tokens) and _ANNOTATION.fullmatch(tokens[end + 1]) else end + 1
    if _ANNOTATION.fullmatch(token):
        return at + 1
    if token in ("/", ".", ")") or not _simple(token):
        return -1
    return at + 2 if at + 1 < len(tokens) and _ANNOTATION.fullmatch(tokens[at + 1]) else at + 1


def _simple(token: str) -> bool:
    if token.isdecimal():
        return token.isascii()
    if token[:3] in ("10*", "10^"):
        return re.fullmatch(r"[+-]?\d*", token[3:]) is not None
    match = _EXPONENT.fullmatch(token)
    name = match[1] if match else token
    if name in METRIC or name in OTHERS:
        return True
    return any(name.startswith(prefix) and name[len(prefix) :] in METRIC for prefix in PREFIXES)


def shown(unit: str) -> str:
    """As people read it.

    >>> shown("Cel"), shown("{rev}/min"), shown("1"), shown("um"), shown("mm/s2")
    ('°C', 'rpm', '', 'µm', 'mm/s²')
    >>> shown("{EUR}/(MW.h)")
    'EUR/MWh'
    """
    if unit in _SHOWN:
        return _SHOWN[unit]
    text = re.sub(r"(?<=[a-z])2\b", "²", re.sub(r"(?<=[a-z])3\b", "³", unit))
    text = re.sub(r"\bu(?=[A-Za-z])", "µ", text)
    text = re.sub(r"\((k|M|)W\.h\)", r"\1Wh", re.sub(r"\{([A-Z]{3})\}", r"\1", text))
    return text.replace("Cel", "°C").replace("{rev}", "rev").replace("Ohm", "Ω")
