"""The documents about our messages: true of real records, and strict about change."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.schemas import generate, read_folder
from schemas.documents import breaks, differences, documents
from schemas.messages import EVENTS, MESSAGES
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORDER_PLACED = "json/billing.order.placed.json"


@pytest.fixture(scope="module")
def generated() -> dict[str, dict[str, Any]]:
    return generate()


def test_every_message_has_a_schema(generated: dict[str, dict[str, Any]]) -> None:
    for wire_type in MESSAGES:
        schema = generated[f"json/{wire_type}.json"]
        assert schema["$id"] == f"urn:billing:schema:{wire_type}"
        jsonschema.Draft202012Validator.check_schema(schema)


def test_real_records_are_as_described(generated: dict[str, dict[str, Any]]) -> None:
    log = SampleLog()
    log.buy("alice")
    log.buy("bob", "premium:month")
    seen = set()
    for record in log.records:
        wire_type = dict(record.headers)["ce_type"].decode()
        if wire_type in EVENTS:
            assert record.value is not None
            validator = jsonschema.Draft202012Validator(generated[f"json/{wire_type}.json"])
            validator.validate(orjson.loads(record.value))
            seen.add(wire_type)
    assert len(seen) > 8


def test_asyncapi_names_only_what_there_is(generated: dict[str, dict[str, Any]]) -> None:
    document = generated["asyncapi.json"]
    messages = document["components"]["messages"]
    for channel in document["channels"].values():
        for reference in channel["messages"].values():
            assert reference["$ref"].removeprefix("#/components/messages/") in messages
    for message in messages.values():
        assert message["payload"]["$ref"].removeprefix("./") in generated
    assert all("sequence" in messages[name]["headers"]["properties"] for name in EVENTS)


def test_openapi_names_only_what_there_is(generated: dict[str, dict[str, Any]]) -> None:
    document = generated["openapi.json"]
    named = set(re.findall(rb'"\$ref":"#/components/schemas/([^"]+)"', orjson.dumps(document)))
    assert {name.decode() for name in named} == document["components"]["schemas"].keys()


def test_no_amount_is_a_float(generated: dict[str, dict[str, Any]]) -> None:
    for path, document in generated.items():
        if path != "asyncapi.json":
            assert '"type":"number"' not in orjson.dumps(document).decode(), path


def test_committed_documents_are_what_the_code_says() -> None:
    result = CliRunner().invoke(app, ["schemas", "check"])
    assert result.exit_code == 0, result.exception


def _rename(schema: dict[str, Any]) -> None:
    schema["properties"]["price"] = schema["properties"].pop("total")


def _remove(schema: dict[str, Any]) -> None:
    del schema["properties"]["total"]


def _retype(schema: dict[str, Any]) -> None:
    schema["$defs"]["Money"]["properties"]["amount"]["type"] = "number"


def _require(schema: dict[str, Any]) -> None:
    schema["properties"]["note"] = {"type": "string"}
    schema["required"].append("note")


def _release(schema: dict[str, Any]) -> None:
    schema["required"].remove("total")


def _add_value(schema: dict[str, Any]) -> None:
    schema["$defs"]["ProductKind"]["enum"].append("series")


@pytest.mark.parametrize("change", [_rename, _remove, _retype, _require, _release, _add_value])
def test_what_a_reader_would_not_survive(change: Callable[[dict[str, Any]], None]) -> None:
    before = documents()
    after = copy.deepcopy(before)
    change(after[ORDER_PLACED])
    assert breaks(before, after)
    assert differences(before, after) == [ORDER_PLACED]


def test_message_may_not_vanish() -> None:
    before = documents()
    after = {path: document for path, document in before.items() if path != ORDER_PLACED}
    assert breaks(before, after) == [f"{ORDER_PLACED}: the message is gone"]
    assert breaks(after, before) == []


def test_new_field_that_may_be_absent_is_welcome() -> None:
    before = documents()
    after = copy.deepcopy(before)
    after[ORDER_PLACED]["properties"]["note"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    after[ORDER_PLACED]["description"] = "Said otherwise."
    assert breaks(before, after) == []
    assert differences(before, after) == [ORDER_PLACED]


def test_breaking_change_is_written_only_on_purpose(data_dir: Path) -> None:
    folder = ["--folder", str(data_dir)]
    assert CliRunner().invoke(app, ["schemas", "write", *folder]).exit_code == 0
    path = data_dir / ORDER_PLACED
    changed = orjson.loads(path.read_bytes())
    changed["properties"]["gone"] = {"type": "string"}
    path.write_bytes(orjson.dumps(changed))

    assert CliRunner().invoke(app, ["schemas", "check", *folder]).exit_code == 1
    assert CliRunner().invoke(app, ["schemas", "write", *folder]).exit_code == 1
    assert CliRunner().invoke(app, ["schemas", "write", *folder, "--allow-breaking"]).exit_code == 0
    assert read_folder(data_dir) == generate()
