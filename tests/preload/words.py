#!/usr/bin/env python3
"""words.py [--forms] RULES < impairdoc --words - which words of the mini-language of impairments no rule in the file RULES (one a line)
uses. Each word and value of each form's syntax counts, each kind of packet and way to number them, each field and option; with --forms
only the forms."""
import re
import sys

NUMBERED = {"#3": r"#\d+", "#3..5": r"#\d+\.\.\d+", "#3+": r"#\d+\+", "#3+2": r"#\d+\+\d+"}


def main():
    lists = {}
    for line in sys.stdin:
        kind, word = line.rstrip("\n").split(" ", 1)
        lists.setdefault(kind, []).append(word)
    either = lambda words: "(?:" + "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True)) + ")"
    values = {
        "TIME": r"\d[\d.]*(?:ns|us|ms|s)", "CHANCE": r"\d[\d.]*%", "SIZE": r"\d+(?:B|k|K|M|G|KiB|MiB|KB|MB)", "BYTES": r"\d+[A-Za-z]*",
        "BITRATE": r"\d[\d.]*[kmg]?bit", "WHICH": either(lists["which"]) + r"(?:#[\d.+]+)?", "FIELD": either(lists["field"]),
        "OPTION": either(lists["option"]) + "(?:," + either(lists["option"]) + ")*", "NAME": either(lists["profile"]), "xN": r"x\d+", "Np": r"\d+p",
    }
    with open(sys.argv[-1]) as f:
        rules = [re.sub(r"^\s*(in|out):\s*", "", r).strip() for r in f.read().replace(";", "\n").split("\n")]
    used = lambda pattern: any(re.search(pattern, r) for r in rules)
    missing = []
    for syntax in lists["form"]:
        name = syntax.split()[0]
        for word in re.split(r"[ \[\]|]+|\.\.\.", syntax.replace("[,OPTION...]", "").replace("icmp=sent|silent", "icmp=sent|icmp=silent")):
            if not word:
                continue
            key, eq, value = word.partition("=")
            token = re.escape(key) + "=" + values[value] if eq and value in values else values.get(word, re.escape(word))
            if not used(r"^%s(?= |$)(?:.* )?%s(?: |$)" % (re.escape(name), token)) and not (word == name and used(r"^%s( |$)" % re.escape(name))):
                missing.append("%s: %s" % (syntax, word))
    if "--forms" in sys.argv:
        lists["which"], lists["field"], lists["option"] = [], [], []
    for which in lists["which"]:
        if not used(r"(?:^| )%s(?:#\S+)?(?: |$)" % re.escape(which)):
            missing.append("the packets " + which)
    for like, pattern in NUMBERED.items() if lists["which"] else ():
        if not used(r" %s%s(?: |$)" % (values["WHICH"].split("(?:#")[0], pattern)):
            missing.append("numbers like " + like)
    for field in lists["field"]:
        if not used(r" at %s(?: |$)" % re.escape(field)) and field != "any":
            missing.append("the field " + field)
    for option in lists["option"]:
        if not used(r"^strip (?:\S*,)?%s(?:,\S*)?(?: |$)" % re.escape(option)):
            missing.append("the option " + option)
    print("\n".join(missing))
    sys.exit(bool(missing))


main()
