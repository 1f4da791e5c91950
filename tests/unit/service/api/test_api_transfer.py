"""Import and export over HTTP: JSON Lines and CSV, refused groups with their lines."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import httpx
import pytest
from fixtures.service_app import COMPARISON, GROUP, RATING, SHARE, Bench
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.api.transfer.csv_columns import COLUMNS

NDJSON = "application/x-ndjson"
COUNTS = {"question": "Why?", "options": ["a, or b", 'the "c"'], "counts": [30, 10]}
GROUPS = [
    GROUP,
    {"id": "empty", "name": "Nobody", "preferences": []},
    {
        "id": "full",
        "name": "Ålesund, «night»",
        "description": 'Quotes " and\nnew lines.',
        "metadata": {"region": "nørth", "n": [1, None, 2.5]},
        "preferences": [
            {**SHARE, "distribution": [0.5, 0.3, 0.195]},
            COUNTS,
            COUNTS,
            {**RATING, "score": 1 / 3, "weight": 12, "prompt": " padded\r\n"},
            {**COMPARISON, "weight": 2.5},
        ],
    },
]


def lines(*groups: Any) -> bytes:
    return b"".join(json.dumps(group).encode() + b"\n" for group in groups)


async def send(
    bench: Bench, body: bytes | str, media_type: str = NDJSON, **query: Any
) -> dict[str, Any]:
    response = await bench.client.post(
        "/groups/import", content=body, headers={"Content-Type": media_type}, params=query
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    counted = [found[s] for s in ("created", "updated", "unchanged", "skipped", "refused")]
    assert sum(counted) == len(found["results"])
    return found


async def export(bench: Bench, **query: Any) -> httpx.Response:
    response = await bench.client.get("/groups/export", params=query)
    assert response.status_code == 200, response.text
    return response


def statuses(report: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(r["line"], r["id"], r["status"]) for r in report["results"]]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_json_lines_are_imported_as_by_post(bench: Bench, prefix: str) -> None:
    response = await bench.client.post(
        f"{prefix}/groups/import", content=lines(*GROUPS), headers={"Content-Type": NDJSON}
    )
    report = response.json()
    assert statuses(report) == [
        (1, "town", "created"), (2, "empty", "created"), (3, "full", "created"),
    ]  # fmt: skip
    assert [r["version"] for r in report["results"]] == [1, 1, 1]
    assert (report["created"], report["dry_run"]) == (3, False)
    got = (await bench.client.get("/groups/full?include=preferences")).json()
    assert (got["name"], got["description"]) == (GROUPS[2]["name"], GROUPS[2]["description"])
    assert got["metadata"] == GROUPS[2]["metadata"]
    assert got["preferences"][1:3] == [COUNTS, COUNTS]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_an_export_is_imported_again_without_a_change(bench: Bench, format: str) -> None:
    await send(bench, lines(*GROUPS))
    response = await export(bench, format=format)
    assert response.headers["X-Total-Count"] == "3"
    media_type = response.headers["Content-Type"].partition(";")[0]
    assert media_type == (NDJSON if format == "jsonl" else "text/csv")
    again = await send(bench, response.content, media_type)
    assert [r["status"] for r in again["results"]] == ["unchanged"] * 3
    ids = ["empty", "full", "town"]
    before = [(await bench.client.get(f"/groups/{i}?include=preferences")).json() for i in ids]
    for group_id in ids:
        await bench.client.delete(f"/groups/{group_id}")
    report = await send(bench, response.content, media_type)
    assert [(r["id"], r["status"]) for r in report["results"]] == [(i, "created") for i in ids]
    for group_id, old in zip(ids, before, strict=True):
        new = (await bench.client.get(f"/groups/{group_id}?include=preferences")).json()
        changed = {"version", "created_at", "updated_at"}
        assert {k: v for k, v in new.items() if k not in changed} == {
            k: v for k, v in old.items() if k not in changed
        }
    assert (await export(bench, format=format)).content == response.content


async def test_an_export_goes_on_behind_an_id(bench: Bench) -> None:
    assert (await export(bench)).content == b""
    assert (await export(bench, format="csv")).content.startswith(b"group_id,group_name,")
    await send(bench, lines(*({**GROUP, "id": f"g{i:03}"} for i in range(120))))
    whole = (await export(bench)).content.splitlines()
    assert [json.loads(line)["id"] for line in whole] == [f"g{i:03}" for i in range(120)]
    assert (await export(bench, after="g079")).content.splitlines() == whole[80:]
    rows = list(csv.DictReader(io.StringIO((await export(bench, format="csv")).text)))
    assert len({row["group_id"] for row in rows}) == 120
    assert len(rows) == 120 * 5
    refused = await bench.client.get("/groups/export", params={"after": "no id"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/after")


async def test_each_refused_line_is_named_and_the_others_are_written(bench: Bench) -> None:
    long = " ".join(["word"] * 60)
    body = lines(
        {**GROUP, "id": "a"},
        {**GROUP, "id": "b", "colour": 1},
        {**GROUP, "id": "c", "preferences": [RATING, {**SHARE, "distribution": [0.5, 0.3, 0.1]}]},
    )
    body += b'\n{"id": "d", \n[1]\n\xff\n' + b'{"name": "x", "name": "y", "preferences": []}\n'
    body += lines(
        {**GROUP, "id": "e", "preferences": [RATING, {**RATING, "response": long}]},
        {**GROUP, "id": "f", "preferences": [RATING] * 6},
        {**GROUP, "id": "export"},
        {**GROUP, "id": "a", "name": "again"},
        {**GROUP, "id": "z"},
    )
    report = await send(bench, body)
    assert (report["created"], report["refused"]) == (2, 10)
    refused = {r["line"]: r for r in report["results"] if r["status"] == "refused"}
    named = {line: [e["pointer"] for e in r["errors"]] for line, r in refused.items()}
    assert named == {
        2: ["/colour"],
        3: ["/preferences/1/distribution"],
        5: [""],
        6: [""],
        7: [""],
        8: [""],
        9: ["/preferences/1/response"],
        10: ["/preferences"],
        11: ["/id"],
        12: ["/id"],
    }
    for line, result in refused.items():
        assert result["version"] is None
        assert [e["line"] for e in result["errors"]] == [line] * len(result["errors"])
    assert "line 1" in refused[12]["errors"][0]["detail"]
    assert "twice" in refused[8]["errors"][0]["detail"]
    assert [g["id"] for g in await bench.stored()] == ["a", "z"]
    assert (await bench.client.get("/groups/a")).json()["name"] == "Town"


async def test_conflicts_are_updated_skipped_or_refused(bench: Bench) -> None:
    await send(bench, lines(GROUP))
    other = {**GROUP, "name": "Other"}
    skipped = await send(bench, lines(other), on_conflict="skip")
    assert statuses(skipped) == [(1, "town", "skipped")]
    failed = await send(bench, lines(other), on_conflict="fail")
    assert failed["results"][0]["errors"][0]["pointer"] == "/id"
    assert (failed["refused"], failed["results"][0]["version"]) == (1, 1)
    dry = await send(bench, lines(other, {**GROUP, "id": "new"}), dry_run="true")
    assert [(r["status"], r["version"]) for r in dry["results"]] == [
        ("updated", 1), ("created", None),
    ]  # fmt: skip
    assert [g["name"] for g in await bench.stored()] == ["Town"]
    updated = await send(bench, lines(other))
    assert (updated["results"][0]["status"], updated["results"][0]["version"]) == ("updated", 2)
    assert (await send(bench, lines(other), on_conflict="fail"))["unchanged"] == 1


async def test_a_group_without_an_id_is_added_once(bench: Bench) -> None:
    nameless = {k: v for k, v in GROUP.items() if k != "id"}
    first = await send(bench, lines(nameless, {**nameless, "name": "Other"}))
    assert first["created"] == 2
    again = await send(bench, lines(dict(reversed(nameless.items()))))
    assert again["results"][0]["status"] == "unchanged"
    assert again["results"][0]["id"] == first["results"][0]["id"]
    assert len(await bench.stored()) == 2


CSV = """\
group_id,group_name,question,option,share,count,prompt,response,score,chosen,rejected,weight
a,A,Parks or roads?,Parks,0.7,,,,,,,
a,,Parks or roads?,Roads,.3,,,,,,,
,,How?,Well,,3,,,,,,
,,How?,Badly,,1,,,,,,

a,A,,,,,A day off?,"A swim,
in the lake.",0.9,,,41
a,A,,,,,A meal?,,,Soup.,Cake.,
b,B,,,,,,,,,,
,No id,,,,,A day off?,Work.,0.1,,,
"""


async def test_rows_of_csv_become_groups(bench: Bench) -> None:
    report = await send(bench, "\ufeff" + CSV, "text/csv; charset=utf-8")
    assert [(r["line"], r["status"]) for r in report["results"]] == [
        (2, "created"), (10, "created"), (11, "created"),
    ]  # fmt: skip
    got = (await bench.client.get("/groups/a?include=preferences")).json()
    assert got["preferences"] == [
        {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.7, 0.3]},
        {"question": "How?", "options": ["Well", "Badly"], "counts": [3, 1]},
        {
            "prompt": "A day off?",
            "response": "A swim,\nin the lake.",
            "score": 0.9,
            "weight": 41,
        },
        {"prompt": "A meal?", "chosen": "Soup.", "rejected": "Cake."},
    ]
    assert report["results"][2]["id"].startswith("grp_")


async def test_faults_of_csv_are_told_by_line_and_column(bench: Bench) -> None:
    head = "group_id,group_name,group_metadata,question,option,share,prompt,response,score\n"
    rows = [
        "a,A,,Why?,x,0.5,,,",  # 2
        "a,A,,Why?,y,half,,,",
        "b,B,,Why?,x,0.5,,,",  # 4
        "b,B,,Why?,y,0.1,,,",
        "c,C,,,,,Say.,Yes.,7",  # 6
        "c,Other,,,,,Say.,No.,0.5",
        "d,D,{,,,,,,",  # 8
        "e,E,,,,,Say.,,",  # 9
        "f,F,,,,,Say.,Yes.,0.5,more,cells",  # 10
        "g,G,,,,,Say.,Yes.,0.5",  # 11
        "a,A,,Why?,x,1,,,",  # 12
        "h,,,,,,Say.,Yes.,0.5",  # 13
    ]
    report = await send(bench, head + "\n".join(rows), "text/csv")
    told = {(r["id"], e["line"], e["column"]) for r in report["results"] for e in r["errors"]}
    assert told == {
        ("a", 3, "share"),
        ("b", 4, "share"),
        ("c", 7, "group_name"),
        ("d", 8, "group_metadata"),
        ("e", 9, None),
        ("f", 10, None),
        ("a", 12, "group_id"),
        ("h", 13, None),
    }
    assert [g["id"] for g in await bench.stored()] == ["g"]


@pytest.mark.parametrize(
    ("body", "media_type", "status", "said"),
    [
        (b"{}", "application/json", 415, "application/x-ndjson"),
        (b"{}", "application/x-ndjson; charset=latin-1", 415, "UTF-8"),
        (b"a,b\n", "text/csv", 422, "is not a column"),
        (b"group_id,group_id\n", "text/csv", 422, "twice"),
        (b"question,option\n", "text/csv", 422, "is missing"),
        (b"", "text/csv", 422, "the first line"),
        (b"group_id\rgroup_name\n", "text/csv", 422, "the first line cannot be read"),
        (b"group_id\n\xff\n", "text/csv", 400, "UTF-8 at byte 9"),
        (b"{}\n" * 10_001, NDJSON, 413, "10000 groups"),
        (b"group_id\n" + b"a\n" * 100_001, "text/csv", 413, "100000 lines"),
        (b" " * 600_000, NDJSON, 413, "500000 bytes"),
    ],
    ids=[
        "json",
        "charset",
        "column",
        "twice",
        "no id",
        "empty",
        "torn",
        "bytes",
        "many",
        "rows",
        "large",
    ],
)
async def test_bodies_that_are_no_import(
    bench: Bench, body: bytes, media_type: str, status: int, said: str
) -> None:
    response = await bench.client.post(
        "/groups/import", content=body, headers={"Content-Type": media_type}
    )
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert said in json.dumps(response.json(), ensure_ascii=False)
    assert await bench.stored() == []


async def test_a_wrong_method_is_told_the_right_ones(bench: Bench) -> None:
    for method, path, allowed in (
        ("POST", "/groups/export", "GET, HEAD"),
        ("OPTIONS", "/groups/import", "POST"),
        ("PATCH", "/groups/town", "DELETE, GET, HEAD, PUT"),
    ):
        response = await bench.client.request(method, path)
        assert (response.status_code, response.headers["Allow"]) == (405, allowed)


async def test_a_body_of_nothing_imports_nothing(bench: Bench) -> None:
    assert (await send(bench, b"\n \n"))["results"] == []
    assert (await send(bench, b"group_id,group_name\n", "text/csv"))["results"] == []
    no_type = await bench.client.post("/groups/import", content=b"{}")
    assert no_type.status_code == 415


CELLS = st.sampled_from(["a", "", '"', "\n", ",", "x,y", "0.5", "nan", "\r", "é", "\0", "{}"])
BODIES = st.one_of(
    st.binary(max_size=60),
    st.lists(CELLS, max_size=30).map(lambda cells: ",".join(cells).encode()),
    st.lists(CELLS, max_size=30).map(
        lambda cells: (",".join(COLUMNS) + "\n" + ",".join(cells)).encode()
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "name", "preferences", "metadata"]), inner)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


async def test_no_body_is_a_fault_of_the_service(bench: Bench) -> None:
    bodies: list[bytes] = []

    @given(BODIES)
    @hypothesis_settings(max_examples=150, database=None)
    def draw(body: bytes) -> None:
        bodies.append(body)

    await asyncio.to_thread(draw)
    for body in bodies:
        for media_type in (NDJSON, "text/csv"):
            response = await bench.client.post(
                "/groups/import", content=body, headers={"Content-Type": media_type}
            )
            assert response.status_code in (200, 400, 413, 422), (body, response.text)
            if response.status_code != 200:
                assert len(response.content) < 8_000


async def test_requests_are_answered_while_an_import_runs(bench: Bench) -> None:
    groups = [{**GROUP, "id": f"g{i}", "name": f"Group {i}"} for i in range(800)]
    importing = asyncio.create_task(send(bench, lines(*groups)))
    answered, longest = 0, 0.0
    clock = asyncio.get_running_loop().time
    while not importing.done():
        began = clock()
        assert (await bench.client.get("/livez")).status_code == 200
        longest = max(longest, clock() - began)
        answered += 1
        await asyncio.sleep(0.001)
    assert (await importing)["created"] == 800
    assert answered > 20
    print(f"{answered} answers, the longest after {longest * 1e3:.0f} ms")


async def test_an_append_with_a_key_is_done_once(bench: Bench) -> None:
    await bench.add(preferences=[SHARE])
    await bench.add(id="other", preferences=[SHARE])
    body, key = {"preferences": [RATING]}, {"Idempotency-Key": "k"}
    at = "/groups/town/preferences"
    first = await bench.client.post(at, json=body, headers=key)
    again = await bench.client.post(at, json=body, headers=key)
    assert (first.status_code, first.json()["version"]) == (200, 2)
    assert (again.json(), again.headers["ETag"]) == (first.json(), first.headers["ETag"])
    matched = await bench.client.post(at, json=body, headers={**key, "If-Match": '"1"'})
    assert matched.json() == first.json()
    for path, sent in ((at, {"preferences": [COMPARISON]}), ("/groups/other/preferences", body)):
        conflict = await bench.client.post(path, json=sent, headers=key)
        assert (conflict.status_code, conflict.json()["code"]) == (422, "idempotency_conflict")
    conflict = await bench.client.post("/groups", json=GROUP, headers=key)
    assert (conflict.status_code, conflict.json()["code"]) == (422, "idempotency_conflict")
    assert (await bench.client.get("/groups/town")).json()["version"] == 2
    await bench.client.delete("/groups/town")
    assert (await bench.client.post(at, json=body, headers=key)).json() == first.json()
    blank = await bench.client.post(at, json=body, headers={"Idempotency-Key": " "})
    assert blank.json()["errors"][0]["pointer"] == "/Idempotency-Key"
