"""Reading series: forms of numbers and times, errors that name the line, hostile bytes that only give ValueError."""

import gzip
import io
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usp_sklearn import datasets
from usp_sklearn.io.series import read_series

DAYS = pd.date_range("2024-01-30", periods=4)
VALUES = [1.5, -2.0, 1234.5, 0.25]


def written(frame, **options):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return buffer.getvalue()


def rows(cells, values=("1", "2", "3", "4"), header="when;value\n"):
    return (header + "".join(f"{c};{v}\n" for c, v in zip(cells, values, strict=False))).encode()


# --------------------------------------------------------------------- text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_pandas_writes_is_read_back(delimiter, tmp_path):
    frame = pd.DataFrame({"value": VALUES, "note": ["a", "b, c", 'd "e"', "f; g"]}, index=DAYS.rename("day"))
    path = tmp_path / "data.csv"
    frame.to_csv(path, sep=delimiter)
    series = read_series(path)
    pd.testing.assert_series_equal(series, frame["value"], check_freq=False, check_index_type=False)
    assert (series.index == DAYS).all() and series.index.name == "day" and series.name == "value"


def test_the_bundled_series_is_read_as_it_is():
    from importlib.resources import files

    data = files("usp_sklearn.io").joinpath("data/wti.csv.gz").read_bytes()
    expected = datasets.load_wti()
    for each in (data, gzip.decompress(data)):
        series = read_series(each)
        assert (series.index == expected.index).all() and (series.to_numpy() == expected.to_numpy()).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(encoding):
    series = read_series("Größe\n1\n2\n".encode(encoding))
    assert series.name == "Größe" and series.tolist() == [1.0, 2.0]
    assert read_series("größe\n1\n".encode("koi8-r", "replace"), encoding="koi8-r").tolist() == [1.0]
    with pytest.raises(ValueError, match="'encoding' parameter must be the name of a text encoding"):
        read_series(b"1\n", encoding="no such thing")
    with pytest.raises(ValueError, match="not text in ascii"):
        read_series("größe\n1\n".encode(), encoding="ascii")


@pytest.mark.parametrize("text, expected", [
    ("1.5;x\n-2;x\n1234.5;x\n.25;x\n", VALUES),
    ("1,5;x\n-2;x\n1234,5;x\n,25;x\n", VALUES),
    ("1,5;x\n-2;x\n1.234,5;x\n0,25;x\n", VALUES),
    ("1.5;x\n-2;x\n1,234.5;x\n0.25;x\n", VALUES),
    ("1.5;x\n-2;x\n1'234.5;x\n0.25;x\n", VALUES),
    ("1,5;x\n-2;x\n1 234,5;x\n0,25;x\n", VALUES),
    ('"1,234",x\n"-2",x\n"1,234,567",x\n', [1234.0, -2.0, 1234567.0]),
    ("1e3;x\n+1.5E-2;x\n007;x\n5.;x\n", [1000.0, 0.015, 7.0, 5.0]),
])  # fmt: skip
def test_forms_of_numbers(text, expected):
    assert read_series(text.encode(), column=0).tolist() == expected


def test_a_comma_that_may_be_either_is_asked_about():
    text = b"when;v\n2024-01-01;1,234\n2024-01-02;2,345\n"
    with pytest.raises(ValueError, match="Column 'v': Its commas may mark decimals or group thousands"):
        read_series(text)
    assert read_series(text, decimal=",").tolist() == [1.234, 2.345]
    assert read_series(text, decimal=".").tolist() == [1234.0, 2345.0]
    assert read_series(b"1,5\n2,5\n", decimal=",").tolist() == [1.5, 2.5]


def test_comments_blank_lines_and_columns_of_nothing():
    text = b"# source: somewhere\n\nday;v;\n# more\n2024-01-01;1;\n\n2024-01-02;2;\n"
    series = read_series(text)
    assert series.tolist() == [1.0, 2.0] and series.index.tolist() == list(pd.date_range("2024-01-01", periods=2))
    with pytest.raises(ValueError, match=r"Line 7, column 'v': 'x' is not a number\."):
        read_series(text.replace(b"2;\n", b"x;\n"))


def test_columns_aligned_with_blanks():
    assert read_series(b"t    v\n1  1.5\n2  -3\n10 4e1\n").to_dict() == {1: 1.5, 2: -3.0, 10: 40.0}


# --------------------------------------------------------------------- times


@pytest.mark.parametrize("form", [
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y",
    "%d-%m-%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%y", "%B %d, %Y", "%b %d, %Y %I:%M %p", "%Y%m%d", "%Y%m%d%H%M%S",
    "%a, %d %b %Y %H:%M:%S",
])  # fmt: skip
def test_forms_of_times(form):
    series = read_series(rows([day.strftime(form) for day in DAYS], header="date;value\n"))
    assert series.index.tolist() == DAYS.tolist()


@pytest.mark.parametrize("unit, size", [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_counts_since_1970(unit, size):
    cells = [int(day.timestamp() * size) for day in DAYS]
    assert read_series(rows(cells, header="timestamp;value\n")).index.tolist() == DAYS.tolist()


def test_months_quarters_years():
    months = pd.date_range("2024-01-01", periods=4, freq="MS")
    assert read_series(rows([m.strftime("%Y-%m") for m in months])).index.tolist() == months.tolist()
    assert read_series(rows([m.strftime("%b %Y") for m in months])).index.tolist() == months.tolist()
    assert read_series(rows(["Q3 2023", "Q4 2023", "Q1 2024"])).index.tolist() == [
        pd.Timestamp(2023, 7, 1), pd.Timestamp(2023, 10, 1), pd.Timestamp(2024, 1, 1),
    ]  # fmt: skip
    assert read_series(rows([2001, 2002], header="year;v\n")).index.year.tolist() == [2001, 2002]
    assert read_series(rows([2001, 2002], header="t;v\n")).index.tolist() == [2001, 2002]


def test_time_zones():
    winter = ["2024-03-31T00:00:00+01:00", "2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"]
    series = read_series(rows(winter))
    assert series.index.tolist() == list(pd.date_range("2024-03-30 23:00", periods=3, freq="h", tz="UTC"))
    bare = rows([t[:19] for t in winter])
    berlin = read_series(bare, timezone="Europe/Berlin")
    assert (berlin.index == series.index).all() and str(berlin.index.tz) == "Europe/Berlin"
    assert str(read_series(rows(winter), timezone="Asia/Tokyo").index[0]) == "2024-03-31 08:00:00+09:00"
    for suffix in ("Z", " UTC", "+00:00"):
        assert str(read_series(rows(["2024-01-01 10:00:00" + suffix])).index[0]) == "2024-01-01 10:00:00+00:00"
    assert str(read_series(rows(["01.02.2024 10:00 +0530", "01.02.2024 11:00 +0530"])).index[0]) == (
        "2024-02-01 04:30:00+00:00"
    )
    with pytest.raises(ValueError, match="'timezone' parameter must be the name of a zone"):
        read_series(bare, timezone="../../etc/passwd")
    with pytest.raises(ValueError, match="not all times of Europe/Berlin"):
        read_series(rows(["2024-03-31 02:30:00"]), timezone="Europe/Berlin")
    with pytest.raises(ValueError, match="Line 3, column 'when': '2024-01-02T00:00' is not a time of the form of"):
        read_series(rows(["2024-01-01T00:00Z", "2024-01-02T00:00"]))


def test_day_and_month_are_told_apart_by_the_column_by_order_or_by_the_caller():
    assert read_series(rows(["01/02/2024", "01/25/2024"])).index[0] == pd.Timestamp(2024, 1, 2)
    assert read_series(rows(["01/02/2024", "02/02/2024", "01/03/2024"])).index[2] == pd.Timestamp(2024, 3, 1)
    either = rows(["01/01/2024", "02/02/2024"])
    with pytest.raises(ValueError, match="'dayfirst' parameter must be True or False"):
        read_series(either)
    assert read_series(either, dayfirst=False).index[1] == pd.Timestamp(2024, 2, 2)
    assert read_series(rows(["03/04/2024"]), dayfirst=True).index[0] == pd.Timestamp(2024, 4, 3)


def test_order_of_time():
    newest_first = read_series(rows(["2024-01-03", "2024-01-02", "2024-01-01"]))
    assert newest_first.tolist() == [3.0, 2.0, 1.0] and newest_first.index.is_monotonic_increasing
    with pytest.raises(ValueError, match=r"Line 3: 2024-01-01 00:00:00 comes twice\."):
        read_series(rows(["2024-01-01", "2024-01-01", "2024-01-03"]))
    with pytest.raises(ValueError, match="Line 4: 2024-01-02 00:00:00 comes after 2024-01-05 00:00:00"):
        read_series(rows(["2024-01-01", "2024-01-05", "2024-01-02", "2024-01-06"]))


@pytest.mark.parametrize("cells, message", [
    (["2024-01-01", "2024-13-01"], "Line 3, column 'when': '2024-13-01' is not a time of the form of '2024-01-01'"),
    (["01.02.2024", "30.02.2024"], "Line 3, column 'when': '30.02.2024' is not a time"),
    (["2024-01-01", "", "2024-01-03"], "Line 3, column 'when': is empty"),
    (["20240101", "20240199"], "Line 3, column 'date': '20240199' is not a time"),
    (["Q1 2020", "Q7 2020"], "Line 3, column 'when': 'Q7 2020' is not a time"),
])  # fmt: skip
def test_bad_times_are_named(cells, message):
    header = "date;value\n" if "date" in message else "when;value\n"
    with pytest.raises(ValueError, match=message):
        read_series(rows(cells, header=header), index=0)


def test_the_first_of_many_bad_times_is_found():
    cells = [day.strftime("%d.%m.%Y") for day in pd.date_range("2000-01-01", periods=5000)]
    cells[3210] = cells[4000] = "31.02.2000"
    with pytest.raises(ValueError, match="Line 3212, "):
        read_series(rows(cells, ["1"] * 5000))


# --------------------------------------------------------------------- columns and missing values


def test_columns_are_guessed_or_chosen():
    text = b"Date,Open,Close,Volume\n2024-01-01,1,2,3\n2024-01-02,4,5,6\n"
    assert read_series(text).tolist() == [2.0, 5.0]
    assert read_series(text, column="Volume").tolist() == read_series(text, column=-1).tolist() == [3.0, 6.0]
    assert read_series(text, column="Open", index="Volume").index.tolist() == [3, 6]
    assert isinstance(read_series(text, index=False).index, pd.RangeIndex)
    with pytest.raises(ValueError, match="'column' parameter must be one of the columns 'Date', 'Open'"):
        read_series(text, column="Last")
    with pytest.raises(ValueError, match="'index' parameter must be one of the columns"):
        read_series(text, index=4)
    with pytest.raises(ValueError, match="which of the columns of numbers is meant, 'a', 'b'"):
        read_series(b"a,b\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"must be different columns\. Got 'Open' for two"):
        read_series(text, column=1, index=1)
    with pytest.raises(ValueError, match=r"None of the columns .* holds numbers"):
        read_series(b"a\nx\ny\n")
    assert read_series(b",value\n0,5\n1,6\n").index.tolist() == [0, 1]
    assert read_series(b"5\n6\n").name == "column 1"
    assert read_series(b"A,5\nB,6\n").tolist() == [5.0, 6.0]


def test_exogenous_columns_stand_beside_the_series():
    text = b"day;heat;load;wind\n2024-01-02;2,5;10;1\n2024-01-01;1,5;20;-\n"
    table = read_series(text, exog=["wind", 1], missing="keep")
    assert table.columns.tolist() == ["load", "wind", "heat"] and table.index.day.tolist() == [1, 2]
    np.testing.assert_array_equal(table, [[20, np.nan, 1.5], [10, 1, 2.5]])
    with pytest.raises(ValueError, match=r"Line 3, column 'wind': there is no value"):
        read_series(text, exog=["wind", "heat"])
    assert read_series(text, exog=["heat", "wind"], missing="drop").index.day.tolist() == [2]
    with pytest.raises(ValueError, match=r"different columns\. Got 'heat' for two"):
        read_series(text, column="load", exog=["heat", "heat"])
    with pytest.raises(ValueError, match="'exog' parameter must be one of the columns"):
        read_series(text, exog=["rain"])
    with pytest.raises(ValueError, match="Column 'b' holds no numbers"):
        read_series(b"a,b\n1,\n2,NA\n", column="a", exog=["b"], missing="keep")
    # Columns may share a name where positions tell them apart; Parquet is no different.
    np.testing.assert_array_equal(read_series(b"x,x\n1,2\n3,4\n", column=1, exog=[0]), [[2, 1], [4, 3]])
    file = io.BytesIO()
    pd.DataFrame({"load": [1.0, 2.0], "heat": [3, 4]}).to_parquet(file)
    assert read_series(file.getvalue(), exog=["heat"]).to_numpy().tolist() == [[1, 3], [2, 4]]


def test_missing_values():
    text = rows(["2024-01-01", "2024-01-02", "2024-01-03"], ["1", "NA", "3"])
    with pytest.raises(ValueError, match=r"Line 3, column 'value': there is no value\. missing='drop' leaves"):
        read_series(text)
    assert read_series(text, missing="drop").index.day.tolist() == [1, 3]
    np.testing.assert_array_equal(read_series(text, missing="keep"), [1, np.nan, 3])
    with pytest.raises(ValueError, match="Column 'value' holds no numbers"):
        read_series(rows(["2024-01-01", "2024-01-02"], ["NA", ""]), column="value", missing="keep")


@pytest.mark.parametrize("options, message", [
    ({"missing": "fill"}, "'missing' parameter must be 'error', 'drop' or 'keep'. Got 'fill'"),
    ({"decimal": ";"}, "'decimal' parameter must be"),
    ({"delimiter": ";;"}, "'delimiter' parameter must be one character"),
    ({"limit": 3}, "must have at most 3 bytes"),
])  # fmt: skip
def test_parameters_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        read_series(b"1\n2\n3\n", **options)


@pytest.mark.parametrize("data, message", [
    (b"", "The file is empty"),
    (b" \n\n", "The file is empty"),
    (b"# nothing\n", "The file has no rows"),
    (b"price\n", "a header and no rows"),
    (b"a,b\n1,2\n3\n5,6\n", r"Line 3 must have 2 cells, as most have\. Got 1"),
    (b"v\n1\n1e999\n", r"Line 3, column 'v': '1e999' is not a number"),
    (b"v\n1\ninf\n", "'inf' is not a number"),
    (b"v\n1\n1_000\n", "'1_000' is not a number"),
    (b"v\n1\n2\n" + "٣".encode(), "is not a number"),
    (b"v\n1\n" + b"7" * 500_000, "Line [34]"),
    (b"PK\x03\x04rest", "ZIP archive"),
    (b"PAR1rest", "not valid Parquet"),
    (b"\x1f\x8bno", "not valid gzip"),
])  # fmt: skip
def test_bad_files_are_explained(data, message):
    with pytest.raises(ValueError, match=message):
        read_series(data)


def test_a_bomb_is_not_unpacked():
    bomb = gzip.compress(b"1\n" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="must unpack to at most 1000000 bytes"):
        read_series(bomb, limit=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_series(tmp_path / "none.csv")


# --------------------------------------------------------------------- Parquet


def test_parquet(tmp_path):
    index = pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin", name="when")
    frame = pd.DataFrame({"value": [1, 2, 3], "note": ["a", "b", "c"]}, index=index)
    frame.to_parquet(tmp_path / "a.bin")
    series = read_series(tmp_path / "a.bin")
    assert (series.index == index).all() and str(series.index.tz) == "Europe/Berlin"
    assert series.dtype == np.float64 and series.name == "value"
    plain = written(pd.DataFrame({"value": [1.5, None, 2.5], "day": ["01.02.2024", "02.02.2024", "03.02.2024"]}))
    assert read_series(plain, missing="drop").index.day.tolist() == [1, 3]
    with pytest.raises(ValueError, match="Row 2, column 'value': there is no value"):
        read_series(plain)
    with pytest.raises(ValueError, match="Row 1, column 'v': is infinite"):
        read_series(written(pd.DataFrame({"v": [np.inf]})))
    with pytest.raises(ValueError, match="at most 100 bytes"):
        read_series(plain[:4] + plain[4:], limit=100)
    categories = pd.DataFrame({"d": pd.Categorical(["2024-01-01", "2024-01-02"]), "v": [1, 2]})
    assert read_series(written(categories)).index.day.tolist() == [1, 2]


def test_parquet_without_pyarrow_names_the_extra(monkeypatch):
    data = written(pd.DataFrame({"v": [1.0]}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"needs pyarrow: pip install 'usp-sklearn\[cli\]'"):
        read_series(data)


# --------------------------------------------------------------------- hostile bytes

SEEDS = [
    rows(["01.02.2024", "02.02.2024"], ["1,5", "NA"]),
    b"# c\nt,y\n2024-01-01T00:00:00+01:00,1\n2024-01-01T01:00:00+02:00,2\n",
    b'ts,x\n1700000000,"1,234.5"\n1700000100,2\n',
    "date\tpr\nQ1 2020\t1\nQ2 2020\t2\n".encode("utf-16"),
    gzip.compress(b"a,b\n1,Tue, 05 Nov 2019\n"),
    written(pd.DataFrame({"day": pd.date_range("2024", periods=3, tz="UTC"), "v": [1, 2, 3], "s": list("abc")})),
]
PIECES = [b"\x00", b'"', b"\n", b"\r", b",", b";", b"1e999", b"NaT", b"9" * 30, b"0001-01-01", b"99999-01-01",
          b"+99:99", b"24:00", b"\xff\xfe", b"\xe2\x80\xaf", b"now", b"Q9 9999", b"#", b"1.000.000,0"]  # fmt: skip
POLICIES = st.sampled_from(["error", "drop", "keep"])


def survives(data, **options):
    try:
        series = read_series(data, **options)
    except ValueError:
        return
    assert series.dtype == np.float64 and len(series) and not np.isinf(series).any()
    assert options["missing"] == "keep" or not series.isna().any()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), POLICIES)
@example(b"\xff\xfe\x00", "keep")
@example(b"PAR1" + b"\xff" * 40 + b"PAR1", "keep")
def test_any_bytes_give_a_series_or_value_error(data, missing):
    survives(data, missing=missing)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(PIECES) | st.binary(max_size=4)),
             max_size=6),
    POLICIES,
    st.sampled_from([None, True, False]),
)  # fmt: skip
def test_damaged_files_give_a_series_or_value_error(seed, edits, missing, dayfirst):
    data = bytearray(seed)
    for place, cut, piece in edits:
        place %= len(data) + 1
        data[place : place + cut] = piece
    survives(bytes(data), missing=missing, dayfirst=dayfirst)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_float_is_read_back_exactly(values):
    text = "v\n" + "\n".join(map(repr, values))
    assert read_series(text.encode()).tolist() == values
