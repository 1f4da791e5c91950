"""The view Groups: what a person does there is what the service has afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import IDS
from playwright.sync_api import Page, Route, expect

from service.demo import FILES, GROUPS, OPTIONS, PROMPT, QUESTION


def stored(url: str, group: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/groups/{group}?include=preferences", timeout=30)
    response.raise_for_status()
    found: dict[str, Any] = response.json()
    return found


def card(page: Page, number: int) -> Any:
    return page.locator(".preference").nth(number)


def parts_of(page: Page, number: int) -> list[int]:
    """The shares of a survey question in thousandths."""
    fields = card(page, number).get_by_role("spinbutton").all()
    return [round(float(field.input_value()) * 10) for field in fields]


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def version_of(page: Page) -> int:
    """The version that the page says is saved; an id goes on counting after a deletion."""
    state = page.locator(".state")
    expect(state).to_contain_text("Saved as version")
    return int(state.inner_text().rpartition(" ")[2])


def save_as(page: Page, version: int) -> None:
    save(page)
    expect(page.locator(".state")).to_have_text(f"Saved as version {version}")


def test_the_first_step_leads_to_a_prediction(empty: str, open_page: OpenPage) -> None:
    page = open_page(empty)
    page.get_by_role("button", name="Load two example groups").click()
    page.get_by_role("link", name="Ask how they would answer").click()
    for group in IDS:
        expect(page.locator(f"[type=checkbox][value={group}]")).to_be_checked()
    expect(page.get_by_label("Question")).to_have_value(QUESTION)
    expect(page.get_by_label("Options")).to_have_value("\n".join(OPTIONS))
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".bar")).to_have_count(4)
    for name in FILES:
        sent = json.loads((GROUPS / name).read_text())
        assert stored(empty, sent["id"])["preference_count"] == len(sent["preferences"])


def test_what_is_next_is_offered_when_both_examples_are_there(
    empty: str, open_page: OpenPage
) -> None:
    page = open_page(empty)
    held: list[Route] = []

    def hold_the_second(route: Route) -> None:
        if IDS[1] in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/groups", hold_the_second)
    with page.expect_request(lambda r: IDS[1] in (r.post_data or "")):
        page.get_by_role("button", name="Load two example groups").click()
    next_step = page.get_by_role("link", name="Ask how they would answer")
    assert stored(empty, IDS[0])["id"] == IDS[0]
    expect(next_step).to_have_count(0)
    held[0].continue_()
    expect(next_step).to_be_visible()


def test_the_first_step_offers_the_demos_prompt(examples: str, open_page: OpenPage) -> None:
    page = open_page(examples)
    page.goto(f"{examples}/#predict")
    for group in IDS:
        page.locator(f"[type=checkbox][value={group}]").check()
    page.get_by_role("link", name="Groups", exact=True).click()
    page.get_by_role("link", name="Let them choose an answer").click()
    address = httpx.URL(page.url.replace("#", "?", 1).replace("generate?", "", 1))
    assert address.params["prompt"] == PROMPT
    assert address.params["groups"] == ",".join(IDS)


def test_a_group_is_made_in_the_form(empty: str, open_page: OpenPage) -> None:
    page = open_page(empty)
    page.get_by_role("link", name="New group").click()
    page.get_by_label("Name", exact=True).fill("Night owls")
    page.get_by_label("Id (optional)").fill("night-owls")
    page.get_by_label("Description").fill("They are awake.")

    page.get_by_role("button", name="Add: survey question").click()
    card(page, 0).get_by_label("Question").fill("When should shops close?")
    card(page, 0).get_by_role("button", name="Add an option").click()
    for number, text in enumerate(("At six", "At ten", "Never"), 1):
        card(page, 0).get_by_label(f"Option {number}", exact=True).get_by_role("textbox").fill(text)
    card(page, 0).get_by_label("Share of option 3").last.fill("60")
    card(page, 0).get_by_label("Share of option 3").last.press("Tab")

    page.get_by_role("button", name="Add: rated answer").click()
    card(page, 1).get_by_label("Prompt").fill("A better town?")
    card(page, 1).get_by_label("Answer").fill("A night bus.")
    card(page, 1).get_by_label("Share that approves").last.fill("93")
    card(page, 1).get_by_label("Raters").fill("41")

    page.get_by_role("button", name="Add: comparison").click()
    card(page, 2).get_by_label("Prompt").fill("A good evening?")
    card(page, 2).get_by_label("Preferred answer").fill("A late show.")
    card(page, 2).get_by_label("Rejected answer").fill("An early night.")

    expect(page.locator(".context")).to_contain_text("3 preferences, 6 of at most 8,192")
    page.get_by_role("button", name="Create the group").click()
    expect(page.get_by_text("Saved as version 1").last).to_be_visible()
    group = stored(empty, "night-owls")
    assert (group["name"], group["description"]) == ("Night owls", "They are awake.")
    assert group["context_tokens"] == 6
    assert group["preferences"] == [
        {
            "question": "When should shops close?",
            "options": ["At six", "At ten", "Never"],
            "distribution": [0.2, 0.2, 0.6],
        },
        {"prompt": "A better town?", "response": "A night bus.", "score": 0.93, "weight": 41},
        {"prompt": "A good evening?", "chosen": "A late show.", "rejected": "An early night."},
    ]


def test_a_slider_moves_the_others_and_the_sum_stays(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}")
    version = version_of(page)
    card(page, 1).locator("summary").click()
    sliders = card(page, 1).get_by_role("slider")
    expect(sliders).to_have_count(4)
    before = [int(one.input_value()) for one in sliders.all()]
    assert before == [620, 280, 70, 30]
    sliders.first.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    after = parts_of(page, 1)
    assert after[0] == 500
    assert sum(after) == 1000
    assert after[1:] == pytest.approx([part * 500 / 380 for part in before[1:]], abs=1)
    expect(sliders.first).to_have_attribute("aria-valuetext", "50 %")
    expect(page.get_by_text("Unsaved changes")).to_be_visible()
    # All the way and back loses nothing.
    page.keyboard.press("End")
    assert [int(one.input_value()) for one in sliders.all()] == [1000, 0, 0, 0]
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    assert parts_of(page, 1) == after
    save_as(page, version + 1)
    preference = stored(examples, IDS[0])["preferences"][1]
    assert preference["distribution"] == [part / 1000 for part in after]
    # What was not touched is what it was, counts included.
    sent = json.loads((GROUPS / FILES[0]).read_text())["preferences"]
    kept = stored(examples, IDS[0])["preferences"]
    assert [p for i, p in enumerate(kept) if i != 1] == [p for i, p in enumerate(sent) if i != 1]


def test_shares_sum_to_one_whatever_is_moved(served: str, open_page: OpenPage) -> None:
    page = open_page(served)
    results = page.evaluate(
        """async () => {
          const { rescale, apportion } = await import("./web/js/groups/shares.js");
          const found = [];
          const lists = [[1, 1, 1], [1, 0, 0], [0, 0, 0], [3, 5, 7, 11], [1e9, 1], [1, 2]];
          for (const weights of lists) {
            let parts = apportion(weights);
            for (const wanted of [0, 1, 333, 1000, 999, -5, 2000, 0])
              for (let at = 0; at < parts.length; at += 1) {
                parts = rescale(parts, at, wanted);
                found.push([parts, at, Math.min(Math.max(wanted, 0), 1000)]);
              }
          }
          return found;
        }"""
    )
    assert len(results) > 100
    for parts, at, wanted in results:
        assert sum(parts) == 1000
        assert min(parts) >= 0
        assert parts[at] == wanted


def test_counts_stay_counts_and_can_become_shares(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}")
    version = version_of(page)
    card(page, 9).locator("summary").click()
    people = card(page, 9).get_by_label("People for option 1")
    expect(people).to_have_value("142")
    people.fill("158")
    save_as(page, version + 1)
    assert stored(examples, IDS[0])["preferences"][9]["counts"] == [158, 58]
    card(page, 9).get_by_label("Shares").check()
    save_as(page, version + 2)
    assert stored(examples, IDS[0])["preferences"][9]["distribution"] == [0.731, 0.269]


def test_what_is_refused_is_told_where_it_stands(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}", allowed=("422",))
    version = version_of(page)
    card(page, 18).locator("summary").click()
    chosen = card(page, 18).get_by_label("Preferred answer").input_value()
    card(page, 18).get_by_label("Rejected answer").fill(chosen)
    card(page, 18).locator("summary").click()
    save(page)
    expect(page.get_by_role("alert")).to_contain_text(
        "Preference 19, rejected: chosen and rejected are the same."
    )
    expect(card(page, 18)).to_have_attribute("open", "")
    expect(card(page, 18).locator(".preference-fault")).to_contain_text("are the same")
    assert stored(examples, IDS[0])["version"] == version


def test_nobodys_edit_is_lost(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}", allowed=("412",))
    version = version_of(page)
    page.get_by_label("Description").fill("Mine.")
    theirs = stored(examples, IDS[0])
    body = {"name": "Theirs", "preferences": theirs["preferences"]}
    httpx.put(f"{examples}/groups/{IDS[0]}", json=body, timeout=30).raise_for_status()
    save(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(
        f"was changed since you opened version {version}; it is at version {version + 1} now"
    )
    assert stored(examples, IDS[0])["name"] == "Theirs"
    expect(page.get_by_label("Description")).to_have_value("Mine.")
    alert.get_by_role("button", name="Replace it by mine").click()
    expect(page.locator(".state")).to_have_text(f"Saved as version {version + 2}")
    assert stored(examples, IDS[0])["description"] == "Mine."

    page.get_by_label("Description").fill("Mine again.")
    httpx.put(f"{examples}/groups/{IDS[0]}", json=body, timeout=30).raise_for_status()
    save(page)
    alert.get_by_role("button", name="Drop mine").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Theirs")
    assert stored(examples, IDS[0])["version"] == version + 3


def test_a_group_that_was_deleted_meanwhile_can_be_made_anew(
    examples: str, open_page: OpenPage
) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}", allowed=("412", "404"))
    page.get_by_label("Description").fill("Mine.")
    httpx.delete(f"{examples}/groups/{IDS[0]}", timeout=30).raise_for_status()
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("This group was deleted")
    page.get_by_role("button", name="Create it anew").click()
    expect(page.locator(".state")).to_contain_text("Saved as version")
    assert stored(examples, IDS[0])["description"] == "Mine."


def test_changes_are_not_lost_silently(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}")
    page.get_by_label("Description").fill("Not saved.")
    page.get_by_role("link", name="Small landlords").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog.get_by_role("button", name="Stay")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Description")).to_have_value("Not saved.")
    expect(page).to_have_url(f"{examples}/#groups?id={IDS[0]}")
    # Another view and back: it is still there.
    page.get_by_role("link", name="Predict").click()
    page.get_by_role("link", name="Groups", exact=True).click()
    expect(page.get_by_label("Description")).to_have_value("Not saved.")
    # The browser asks before the page is left.
    with page.expect_event("dialog") as leaving:
        page.close(run_before_unload=True)
    assert leaving.value.type == "beforeunload"
    leaving.value.dismiss()
    page.get_by_role("link", name="Small landlords").click()
    dialog.get_by_role("button", name="Drop the changes").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Small landlords")


def test_a_group_is_deleted_after_a_question(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    assert stored(examples, IDS[0])
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("link", name="City tenants")).to_have_count(0)
    expect(page.get_by_role("link", name="Small landlords")).to_be_visible()
    assert httpx.get(f"{examples}/groups/{IDS[0]}", timeout=30).status_code == 404


def group_line(number: int, **more: object) -> str:
    body = {"id": f"g{number:04}", "name": f"Group {number}", "preferences": []}
    return json.dumps({**body, **more})


def import_file(page: Page, file: Path) -> None:
    panel = page.locator(".panel")
    if panel.get_attribute("open") is None:
        panel.locator("summary").click()
    panel.get_by_label("File").set_input_files(file)
    panel.get_by_role("button", name="Import", exact=True).click()


def test_an_import_names_the_lines_that_were_refused(
    empty: str, open_page: OpenPage, tmp_path: Path
) -> None:
    lines = [group_line(number) for number in range(1, 701)]
    lines[2] = group_line(3, name=1)
    lines[649] = group_line(650, preferences=[{"prompt": "?", "response": "a", "score": 7}])
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(lines) + "\n")
    page = open_page(empty)
    import_file(page, file)
    panel = page.locator(".panel")
    expect(panel.locator(".notice")).to_have_text("698 created, 2 refused.")
    # The second is in the second part of those that are sent.
    expect(panel.locator(".faults li")).to_contain_text(["Line 3 /name", "Line 650 /preferences/0"])
    # A page at a time, and by id for those further on.
    links = page.locator(".group-list a")
    expect(links).to_have_count(100)
    page.get_by_role("button", name="Load more").click()
    expect(links).to_have_count(200)
    page.get_by_label("Find a group").first.fill("g0150")
    expect(links).to_have_count(1)
    page.get_by_label("Find a group").first.fill("g0700")
    page.get_by_role("button", name="Look up the id “g0700”").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Group 700")


def test_a_line_that_is_no_json_is_named_without_a_pointer(
    empty: str, open_page: OpenPage, tmp_path: Path
) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text('{"id": "a", "name": \n')
    page = open_page(empty)
    import_file(page, file)
    expect(page.locator(".panel .faults li")).to_contain_text("Line 1: ")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_that_is_not_utf_8_is_refused(
    empty: str, open_page: OpenPage, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "old.jsonl"
    line = json.dumps({"id": "a", "name": "Käufer", "preferences": []}, ensure_ascii=False)
    file.write_text(line + "\n", encoding=encoding)
    page = open_page(empty)
    import_file(page, file)
    alert = page.locator(".panel").get_by_role("alert")
    expect(alert).to_contain_text("old.jsonl is not UTF-8, so nothing was imported.")
    assert httpx.get(f"{empty}/groups", timeout=30).json()["data"] == []
    file.write_text(line + "\n", encoding="utf-8-sig")
    import_file(page, file)
    expect(page.locator(".panel .notice")).to_have_text("1 created.")
    expect(page.locator(".group-name")).to_have_text("Käufer")


def test_a_csv_can_be_checked_before_it_is_written(
    empty: str, open_page: OpenPage, tmp_path: Path
) -> None:
    file = tmp_path / "two.csv"
    file.write_text(
        "group_id,group_name,question,option,share\n"
        "a,A,Parks or roads?,Parks,0.7\na,A,Parks or roads?,Roads,0.3\n"
        "b,B,Parks or roads?,Parks,half\nb,B,Parks or roads?,Roads,0.5\n"
    )
    page = open_page(empty)
    panel = page.locator(".panel")
    panel.locator("summary").click()
    panel.get_by_label("Only check it").check()
    import_file(page, file)
    notice = panel.locator(".notice")
    expect(notice).to_have_text("Checked, nothing written: 1 created, 1 refused.")
    expect(panel.locator(".faults li")).to_contain_text("Line 4 column share")
    assert httpx.get(f"{empty}/groups", timeout=30).json()["data"] == []
    panel.get_by_label("Only check it").uncheck()
    import_file(page, file)
    expect(notice).to_have_text("1 created, 1 refused.")
    expect(page.get_by_role("link", name="A 1 preferences")).to_be_visible()


@pytest.mark.parametrize(("name", "kind"), [("JSON Lines", "jsonl"), ("CSV", "csv")])
def test_an_export_is_what_the_service_exports(
    examples: str, open_page: OpenPage, name: str, kind: str
) -> None:
    page = open_page(examples)
    with page.expect_download() as started:
        page.get_by_role("button", name=name).click()
    file = started.value
    assert file.suggested_filename == f"groups.{kind}"
    expected = httpx.get(f"{examples}/groups/export?format={kind}", timeout=30).content
    assert Path(file.path()).read_bytes() == expected


def test_a_large_group_makes_a_form_only_for_what_is_opened(
    empty: str, open_page: OpenPage
) -> None:
    preferences = [
        {"prompt": f"Question {number}?", "response": "Yes.", "score": 0.5}
        for number in range(2000)
    ]
    body = {"id": "large", "name": "Large", "preferences": preferences}
    httpx.post(f"{empty}/groups", json=body, timeout=60).raise_for_status()
    page = open_page(f"{empty}/#groups?id=large")
    expect(page.locator(".preference")).to_have_count(2000)
    assert page.locator(".preference textarea").count() == 0
    card(page, 1999).locator("summary").click()
    expect(page.locator(".preference textarea")).to_have_count(2)
    version_of(page)  # opening it is no change


def test_large_groups_are_sent_in_parts_that_are_taken(
    empty: str, open_page: OpenPage, tmp_path: Path
) -> None:
    file = tmp_path / "large.jsonl"
    note = {"metadata": {"note": "x" * 12_000}}
    file.write_text("\n".join(group_line(number, **note) for number in range(800)))
    assert file.stat().st_size > 8_000_000
    page = open_page(empty)
    import_file(page, file)
    expect(page.locator(".panel .notice")).to_have_text("800 created.", timeout=30_000)


def test_names_are_texts_and_nothing_else(empty: str, open_page: OpenPage) -> None:
    name = "<img src=x onerror=alert(1)><b>Bold</b>"
    body = {"id": "x", "name": name, "preferences": []}
    httpx.post(f"{empty}/groups", json=body, timeout=30).raise_for_status()
    page = open_page(f"{empty}/#groups?id=x")
    expect(page.locator(".editor h2")).to_have_text(name)
    expect(page.locator(".group-name")).to_have_text(name)
    assert page.locator("main img, main b").count() == 0
