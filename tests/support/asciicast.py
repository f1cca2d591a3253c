"""A strict reader of asciicast, versions 2 and 3, by their descriptions (docs.asciinema.org/manual/asciicast).

It takes what they say that a recorder writes and nothing else: no attribute or event that they do not have.
"""

import dataclasses
import decimal
import json
import re

COLOUR = r"#[0-9a-fA-F]{6}"
# Attribute → its type; those that must be there have "!".
THEME = {"fg!": str, "bg!": str, "palette!": str}
TERM = {"cols!": int, "rows!": int, "type": str, "version": str, "theme": THEME}
COMMON = {"version!": int, "command": str, "title": str, "idle_time_limit": float, "env": dict}
HEADERS = {
    2: COMMON | {"width!": int, "height!": int, "timestamp": float, "duration": float, "theme": THEME},
    3: COMMON | {"term!": TERM, "timestamp": int, "tags": list},
}
CODES = {2: "oimr", 3: "oimrx"}
# Text that is longer on the line than it must be is right as well.
DATA = {"o": r"(?s).*", "i": r"(?s).*", "m": r"(?s).*", "r": r"[1-9]\d*x[1-9]\d*", "x": r"\d+"}


class Malformed(Exception):
    pass


@dataclasses.dataclass
class Event:
    time_us: int  # since the beginning, in both versions
    code: str
    data: str


@dataclasses.dataclass
class Cast:
    header: dict
    columns: int
    rows: int
    events: list[Event]

    def data_of(self, code: str) -> list[str]:
        return [event.data for event in self.events if event.code == code]

    def text_of(self, code: str) -> str:
        return "".join(self.data_of(code))


def check(good, what) -> None:
    if not good:
        raise Malformed(what)


def unique(pairs) -> dict:
    check(len(dict(pairs)) == len(pairs), f"an attribute twice: {pairs}")
    return dict(pairs)


def no_constant(text):
    raise Malformed(f"{text} is no JSON")


def parse(line: str):
    # What is not printable is escaped.
    check(all(c.isprintable() for c in line), f"a character that is not escaped: {line!r}")
    try:
        return json.loads(line, object_pairs_hook=unique, parse_float=decimal.Decimal, parse_constant=no_constant)
    except ValueError as why:
        raise Malformed(f"no JSON: {why}: {line!r}") from None


def has_type(value, wanted) -> bool:
    if wanted is float:
        return type(value) in (int, decimal.Decimal)
    return type(value) is wanted  # so that no truth is a number


def check_object(value, attributes: dict, where: str) -> None:
    check(type(value) is dict, f"{where} is no object")
    known = {name.rstrip("!"): wanted for name, wanted in attributes.items()}
    check({name[:-1] for name in attributes if name.endswith("!")} <= set(value), f"{where} lacks an attribute: {value}")
    for name, content in value.items():
        check(name in known, f"{where} has {name}, which is not described")
        if isinstance(known[name], dict):
            check_object(content, known[name], name)
        else:
            check(has_type(content, known[name]), f"{name} of {where} is {content!r}")
    if attributes is THEME:
        check(re.fullmatch(COLOUR, value["fg"]) and re.fullmatch(COLOUR, value["bg"]), f"no colours: {value}")
        check(re.fullmatch(rf"{COLOUR}(:{COLOUR}){{7}}((:{COLOUR}){{8}})?", value["palette"]), f"no palette: {value}")


def read_header(line: str, version: int) -> tuple[dict, int, int]:
    header = parse(line)
    check_object(header, HEADERS[version], "the header")
    check(header["version"] == version, f"version {header['version']}")
    for name, value in header.get("env", {}).items():
        check(type(value) is str, f"env has {name}: {value!r}")
    check(all(type(tag) is str for tag in header.get("tags", [])), "a tag that is no text")
    size = (header["width"], header["height"]) if version == 2 else (header["term"]["cols"], header["term"]["rows"])
    check(min(size) > 0, f"a size of {size}")
    return header, *size


def read_event(line: str, version: int) -> tuple[int, str, str]:
    event = parse(line)
    check(type(event) is list and len(event) == 3, f"no event of three: {line}")
    time, code, data = event
    check(has_type(time, float) and time >= 0, f"no time: {time!r}")
    check(type(code) is str and len(code) == 1 and code in CODES[version], f"no code: {code!r}")
    check(type(data) is str and re.fullmatch(DATA[code], data), f"no data of {code}: {data!r}")
    check(not re.search("[\ud800-\udfff]", data), f"half a character: {data!r}")
    return int(decimal.Decimal(time) * 1_000_000), code, data


def read(content: bytes, version: int) -> Cast:
    try:
        text = content.decode()
    except UnicodeDecodeError as why:
        raise Malformed(f"no UTF-8: {why}") from None
    check(text.endswith("\n"), "the last line has no end")
    first, *lines = text[:-1].split("\n")
    header, columns, rows = read_header(first, version)
    events, now = [], 0
    for line in lines:
        if version == 3 and line.startswith("#"):
            continue
        check(not events or events[-1].code != "x", "an event after the exit")
        time_us, code, data = read_event(line, version)
        check(version == 3 or time_us >= now, f"time goes back: {line}")
        now = now + time_us if version == 3 else time_us
        events.append(Event(now, code, data))
    return Cast(header, columns, rows, events)
