"""envelope_schema - what doc/envelope.schema.json says, for tests/library/test_envelope.c.

   envelope_schema.py SCHEMA                that the schema is one
   envelope_schema.py SCHEMA table FILE     that it agrees with the table of envelopes
   envelope_schema.py SCHEMA lines          that each line of standard input matches
   envelope_schema.py SCHEMA page FILE      that doc/envelope.md names each field, and its example
"""

import json
import re
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
validator = Draft202012Validator(schema)
failed = False


def complain(*words):
    global failed
    failed = True
    print(*words)


def is_good(text):
    try:
        return validator.is_valid(json.loads(text))
    except ValueError:
        return False


def expand(text, words):
    while "@" in text:
        at = text.index("@")
        text = text[:at] + words[text[at + 1]] + text[at + 2:]
    return text


def check_table(path):
    words = {}
    with open(path, encoding="utf-8") as table:
        rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
    for row in rows:
        if row[0] == "let":
            words[row[1]] = row[2]
        elif is_good(expand(row[3], words)) != (row[1] == "good"):
            complain("the schema finds not", row[1] + ":", row[2])


def check_page(path):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    table = re.search(r"\n## Fields\n+(.*?)\n\n", page, re.DOTALL).group(1)
    named = [name for row in table.split("\n")[2:] for name in re.findall("`(.*?)`", row.split("|")[1])]
    if named != list(schema["properties"]):
        complain("the page has", named)
    for example in re.findall(r"```json\n(.*?)```", page, re.DOTALL):
        if not is_good(example):
            complain("not an envelope:", example)


Draft202012Validator.check_schema(schema)
if sys.argv[2:3] == ["table"]:
    check_table(sys.argv[3])
elif sys.argv[2:3] == ["page"]:
    check_page(sys.argv[3])
elif sys.argv[2:3] == ["lines"]:
    for line in sys.stdin:
        for error in validator.iter_errors(json.loads(line)):
            complain(error.message[:200])
sys.exit(failed)
