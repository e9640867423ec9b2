"""Tables of tags as many programs and people write them: each row is what was meant, or the file is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor_ingest.sources import entries
from sensor_ingest.sources.modbus import tagfile
from sensor_ingest.sources.modbus.tags import Tag, parse


def read(text: str) -> dict[str, Tag]:
    return entries.parse(tagfile.rows(text), parse, "tags.csv")


@pytest.mark.parametrize(
    ("header", "row", "meant"),
    [
        ("Bezeichnung;Adresse;Datentyp;Einheit;Faktor", "Öl;40105;INT16;°C;0,1", "hr 104 int16 Cel *0.1"),
        (
            "Tag Name,Address,Data Type,Client Access,Scan Rate,Raw Low,Raw High,Scaled Low,Scaled High,Eng Units",
            "T,40105,Short,RO,100,0,1000,-50,150,°C",
            "hr 104 int16 Cel *0.2 -50.0",
        ),
        ("Tag Name,Address,Data Type,Raw Low,Raw High,Scaled Low,Scaled High", "T,400105,Float,,,,", "hr 104 float32"),
        ("name,function code,register,type,scale,unit", "a,4,10,float32,1,bar", "ir 10 float32 bar"),
        ("Name,Type of register,Register,Data Type", "a,Input registers,10,UINT16", "ir 10 uint16"),
        ("Name,Table,Address,Type", "a,hr,68h,int16", "hr 104 int16"),
        ("Name,Table,Address,Type", "a,hr,0x9CA9,int16", "hr 40105 int16"),
        ("Name,Address,Type", "a,4x0105,INT16", "hr 104 int16"),
        ("Name,Address,Type", "a,1x0005,BOOL", "di 4"),
        ("Name,Address,Type", "a,%MW104,INT16", "hr 104 int16"),
        ("Name,Address,Type", "a,HR104,INT16", "hr 104 int16"),
        ("Name,Address,Type,Gain", "a,40105,INT16,1/10", "hr 104 int16 *0.1"),
        ("Name,Address,Type,Gain", "a,40105,INT16,x0.1", "hr 104 int16 *0.1"),
        ("Name,Address,Type,Gain", "a,40105,INT16,10^-1", "hr 104 int16 *0.1"),
        ("Name,Address,Type,SF", "a,40105,INT16,-2", "hr 104 int16 *0.01"),
        ("Name,Address,Registers,Signed", "a,40105,2,yes", "hr 104 int32"),
        ("Name,Address,Registers,Type", "a,40105,2,UINT", "hr 104 uint32"),
        ("Name,Address,Type,Byte Order", "a,40105,FLOAT,Big Endian", "hr 104 float32 big"),
        ("Name,Address,Type,Byte Order", "a,40105,FLOAT,Big Endian Word Swap", "hr 104 float32 little"),
        ("Name,Address,Type,Byte Order", "a,40105,FLOAT,3-4-1-2", "hr 104 float32 little"),
        ("Name,Address,Bit,Type", "a,40105,3,BOOL", "hr 104.3"),
        ("Name,Address,Type,Values", "a,40105,ENUM,0=stop;1=run", "hr 104 enum(stop=0,run=1)"),
        ("Name,Address,Type,Length", "a,40105,STRING,8", "hr 104 string8"),
        ("Name,Register (1-based),Table,Type", "a,105,hr,INT16", "hr 104 int16"),
        ("Name,Register (0-based),Table,Type", "a,104,hr,INT16", "hr 104 int16"),
        ("Slave ID,Name,Address,Type", "7,a,40105,INT16", "hr 104 int16 @7"),
        ("Name,Address,Type,Invalid", "a,40105,INT16,0x8000", "hr 104 int16 none=0x8000"),
    ],
)
def test_a_row_is_what_was_meant(header: str, row: str, meant: str) -> None:
    (found,) = read(f"\ufeff{header}\r\n{row}\r\n").values()
    assert str(found) == meant


@pytest.mark.parametrize(
    ("header", "row", "why"),
    [
        ("Name,Table,Address,Type", "a,hr,40105,int16", "hr 40105 may be hr 104"),
        ("Name,Address,Type", "a,104,int16", "names no table"),
        ("Name,Address,Type", "a,40105,INT", "no type"),
        ("Name,Address,Type,Length", "a,40105,INT,2", "bytes, or registers"),
        ("Name,Address,Registers", "a,40105,2", "of no type"),
        ("Name,Address,Type,Byte Order", "a,40105,FLOAT,Little Endian", "DCBA .* or CDAB"),
        ("Name,Address,Type,Factor", 'a,40105,INT16,"1,000"', "about a thousand"),
        ("Name,Address,Type,Factor", "a,40105,INT16,ten", "is no number"),
        ("Name,Address,Type,Decimals", "a,40105,INT16,1", "say the factor"),
        ("Name,Address,Type,Factor,SF", "a,40105,INT16,0.1,-1", "said twice"),
        ("Name,Table,Address,Type", "a,ir,HR104,int16", "no address of ir"),
        ("Address,Type", "40105,INT16", "no column name"),
    ],
)
def test_what_may_be_two_things_is_refused(header: str, row: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(f"{header}\n{row}\n")


@given(st.text(alphabet=" ,;\t\nabNameddress4015x%.0=/*°-", max_size=80))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    for body in (text, f"Name,Address,Type,Factor,Bit,Length,Signed\n{text}"):
        try:
            found = tagfile.rows(body)
        except ValueError:
            continue
        assert all(isinstance(row, str) for row in found.values())
