"""A CSV file goes through the page: read by the browser, predicted in chunks, and given back."""

from __future__ import annotations

import csv
import io
import random
from typing import TYPE_CHECKING

import pytest

from tests.demo.samples import CARS, read_sample
from tests.system.page.kit import AUDI, COMMIT, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.system.page.kit import Page
    from tests.system.page.relay import Relay

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_leaves_the_origin")]

FORMULAS = ("=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", " =1", "\t=1")


def write_csv(rows: Sequence[Sequence[object]], delimiter: str = ",") -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue().encode()


def read_csv(content: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(text, delimiter=delimiter))


def test_the_sample_cars_come_back_with_the_servers_own_answers(fuel: Page) -> None:
    fuel.open()
    header, *rows = read_sample(CARS)
    fuel.send_file("cars.csv", write_csv([header, *rows]))
    fuel.wait_for_text("#batch-status", "397 rows of 397 predicted.")
    given = [dict(zip(header, row, strict=True)) for row in rows]
    asked = [
        {name: None if row[name] == "?" else float(row[name]) for name in AUDI} for row in given
    ]
    answers = ask(fuel, *asked)["predictions"]
    found = read_csv(fuel.download())
    assert [float(row["mpg_predicted"]) for row in found] == answers
    assert [float(row["litres_per_100_km"]) for row in found] == [
        pytest.approx(235.214583 / mpg, rel=1e-12) for mpg in answers
    ]
    assert {(row["model_version"], row["model_commit"]) for row in found} == {("v1.2.0", COMMIT)}
    assert [{name: row[name] for name in header} for row in found] == given
    assert fuel.texts("#batch-notes li") == ["Not used by the model: mpg, name."]
    assert len(fuel.find_all("#batch-table tbody tr")) == 20
    fuel.photograph("batch.png")
    fuel.photograph("batch-dark.png", dark=True)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_awkward_cells_come_back_as_they_were_and_formulas_are_disarmed(
    fuel: Page, delimiter: str
) -> None:
    fuel.open()
    names = ["plain", 'a "quoted" one', "two\r\nlines", "a,b;c", " spaced ", "", "ünïcode 🚗", "-5"]
    rows = [[name, *AUDI.values()] for name in (*names, *FORMULAS)]
    content = write_csv([["=name", *AUDI], *rows], delimiter)
    fuel.send_file("awkward.csv", b"\xef\xbb\xbf" + content)
    fuel.wait_for_text("#batch-status", "14 rows of 14 predicted.")
    file = fuel.download()
    assert file.startswith(b"\xef\xbb\xbf")
    found = read_csv(file, delimiter)
    assert [row["'=name"] for row in found] == [*names, *(f"'{text}" for text in FORMULAS)]
    assert {float(row["mpg_predicted"]) for row in found} == set(ask(fuel, AUDI)["predictions"])


def test_rows_that_do_not_fit_are_named_by_line_and_the_others_are_predicted(fuel: Page) -> None:
    fuel.open()
    good = ",".join(map(str, AUDI.values()))
    lines = [
        f"note,{','.join(AUDI)}", f'"two\nlines",{good}', f"x,{good.replace('2582', 'heavy')}", "",
        f"x,{good},extra", f"x,{good.replace('76', '')}", f"x,{good.replace('95', 'NA')}",
        f"x,{good.replace('2582', '1e39')}",
    ]  # fmt: skip
    fuel.send_file("bad.csv", "\n".join(lines).encode())
    fuel.wait_for_text("#batch-status", "2 rows of 6 predicted.")
    assert fuel.texts("#batch-notes li")[1:] == [
        "Line 4: wght: is not a number with a decimal point.",
        "Line 6: Has 9 cells; the header has 8.",
        "Line 7: year: is missing, and the model was never trained without it.",
        "Line 9: wght: is too large a number.",
    ]
    found = read_csv(fuel.download())
    assert [bool(row["error"]) for row in found] == [False, True, True, True, False, True]
    assert [bool(row["mpg_predicted"]) for row in found] == [True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty"),
        (b"cyl,dpl,hp\n1,2,3\n", "no column \u201cwght\u201d, \u201cacc\u201d, \u201cyear\u201d"),
        (",".join([*AUDI, "hp"]).encode() + b"\n", "names \u201chp\u201d more than once"),
        (",".join(AUDI).encode() + b"\n", "a header and no rows"),
        (",".join(AUDI).encode() + b'\n"4,1\n', "Line 2: a quotation mark is opened and never"),
        (",".join(AUDI).encode() + b'\n"4"4,1\n', "Line 2: text follows a closing quotation"),
        (",".join(AUDI).encode() + b"\n\xff\n", "The file is not UTF-8 text."),
        (b" " * (21 << 20), "The file is larger than 20 MB."),
    ],
    ids=["empty", "columns", "twice", "rows", "open", "closed", "encoding", "large"],
)
def test_a_file_that_cannot_be_used_says_why(fuel: Page, content: bytes, message: str) -> None:
    fuel.open()
    fuel.send_file("bad.csv", content)
    fuel.wait_for_text("#batch-problem", message)
    assert fuel.run("return document.activeElement.id") == "batch-problem"
    assert not fuel.find("#download").is_displayed()


def test_any_table_reads_in_the_browser_as_it_does_in_python(fuel: Page) -> None:
    """200 random tables of awkward cells, in both delimiters."""
    draw, signs = random.Random(4), ['"', ",", ";", "\n", "\r\n", " ", "=", "x", "é", "'"]
    tables = [
        [["a", "b"], *([pick(draw, signs), pick(draw, signs)] for _ in range(draw.randint(1, 6)))]
        for _ in range(200)
    ]
    texts = [write_csv(rows, draw.choice(",;")).decode() for rows in tables]
    fuel.open()
    script = """
        const [texts, done] = arguments;
        import("/csv.js").then(({ parseCsv, renderCsv }) => done(texts.map((text) => {
          const table = parseCsv(text);
          const again = parseCsv([...renderCsv([table.header, ...table.rows.map((row) => row.cells)], table)].join(""));
          return [table.rows, again.rows].map((rows) => rows.map((row) => row.cells));
        })), (error) => done(String(error)));
    """
    for (read, again), rows in zip(fuel.run_async(script, texts), tables, strict=True):
        assert read == rows[1:]
        assert [[cell.removeprefix("'") for cell in row] for row in again] == [
            [cell.removeprefix("'") for cell in row] for row in rows[1:]
        ]


def pick(draw: random.Random, signs: Sequence[str]) -> str:
    return "".join(draw.choice(signs) for _ in range(draw.randint(0, 6)))


def many(count: int) -> bytes:
    return write_csv([list(AUDI), *[list(AUDI.values())] * count])


def test_a_large_file_goes_in_chunks_and_goes_on_where_it_was_interrupted(
    relayed: Page, relay: Relay
) -> None:
    relay.replies += [lambda answer: None, (503, "")]
    relayed.send_file("many.csv", many(5000))
    relayed.wait_for_text("#batch-problem", "The model is not available right now.")
    assert relayed.find("#batch-status").text == "2,000 rows of 5000 predicted."
    assert [row["error"] for row in read_csv(relayed.download())].count("Not asked.") == 3000
    relayed.find("#resume").click()
    relayed.wait_for_text("#batch-status", "5,000 rows of 5000 predicted.")
    assert not relayed.find("#batch-problem").is_displayed()
    assert [path for method, path, _ in relay.heads if method == "POST"] == [
        "/v1/models/fuel:predict"
    ] * 4
    assert all(row["mpg_predicted"] for row in read_csv(relayed.download()))


def test_a_model_that_changes_in_the_middle_is_named_row_by_row(
    relayed: Page, relay: Relay
) -> None:
    relay.replies += [lambda answer: None, lambda answer: answer["model"].update(version="v9")]
    relayed.send_file("many.csv", many(4000))
    relayed.wait_for_text("#batch-notes", "The model changed on the way: v1.2.0, v9 answered.")
    versions = [row["model_version"] for row in read_csv(relayed.download())]
    assert versions == ["v1.2.0"] * 2000 + ["v9"] * 2000


def test_a_row_that_only_the_server_refuses_does_not_spoil_the_others(
    relayed: Page, relay: Relay
) -> None:
    refusal = '{"error": "row 1, field `hp`: is odd", "field": "hp", "row": 1}'
    relay.replies.append((400, refusal))
    relayed.send_file("some.csv", many(3))
    relayed.wait_for_text("#batch-status", "2 rows of 3 predicted.")
    assert relayed.texts("#batch-notes li") == ["Line 3: hp: Is odd."]


def test_a_file_can_be_stopped_and_gone_on_with(relayed: Page, relay: Relay) -> None:
    relay.replies.append((0, ""))  # hangs
    relayed.send_file("some.csv", many(3))
    relayed.wait_for("#stop").click()
    relayed.wait_for_text("#batch-problem", "Stopped.")
    relay.late.set()
    relayed.find("#resume").click()
    relayed.wait_for_text("#batch-status", "3 rows of 3 predicted.")


def test_a_classifier_gives_label_and_probability_of_each_class(water: Page) -> None:
    water.open()
    names = [each["name"] for each in water.http.get("/v2/models/water").json()["inputs"]]
    rows = [[1.0 + number for number in range(len(names))], ["", *range(2, len(names) + 1)]]
    water.send_file("water.csv", write_csv([names, *rows]))
    water.wait_for_text("#batch-status", "2 rows of 2 predicted.")
    answers = ask(water, *({n: v or None for n, v in zip(names, row)} for row in rows))  # noqa: B905  same lengths above
    for row, answer in zip(read_csv(water.download()), answers["predictions"], strict=True):
        assert row["Potability_predicted"] == answer["label"]
        shown = {name: float(row[f"probability_{name}"]) for name in answer["probabilities"]}
        assert shown == answer["probabilities"]
