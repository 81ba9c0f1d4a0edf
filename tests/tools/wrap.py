#!/usr/bin/env python3
"""wrap.py [--check] FILE... - block comments within 100 columns.

clang-format leaves comments alone, so that diagrams survive; this wraps only a line that is too long, together with the
plain lines of its paragraph that follow it. A line that looks like a table, a list or a diagram (two blanks in a row,
a leading dash or number, drawing signs) is not joined to the one before it.
"""
import re
import sys

WIDTH = 100
SHAPED = re.compile(r"^\s|^[-*+|] |^\d+[.)] |\S {2,}\S|[|<>=-]{3,}")


def fill(words, head, rest):
    out, line = [], head + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > WIDTH:
            out.append(line)
            line = rest + word
        else:
            line += " " + word
    return out + [line]


def close(lines, rest):
    if len(lines[-1]) + 3 <= WIDTH:
        lines[-1] += " */"
    else:
        lines.append(rest.rstrip(" *") + " */" if not rest.strip() else rest[: rest.index("*")] + "*/")
    return lines


def wrap(lines):
    out, i = [], 0
    while i < len(lines):
        line = lines[i]
        one = re.match(r"^(\s*)/\*+ (.*?) ?\*/$", line)
        mid = re.match(r"^(\s*)(/\*| \*) (\S.*)$", line)
        if len(line) <= WIDTH or not (one or mid):
            out.append(line)
            i += 1
            continue
        if one:
            head, rest = one.group(1) + "/* ", one.group(1) + " * "
            out += close(fill(one.group(2).split(), head, rest), rest)
            i += 1
            continue
        indent, mark = mid.group(1), mid.group(2)
        head, rest = indent + mark + " ", indent + " * "
        text, end = mid.group(3), False
        i += 1
        while True:
            if text.endswith("*/"):
                text, end = text[:-2].rstrip(), True
                break
            more = re.match(r"^" + indent + r" \* (\S.*)$", lines[i]) if i < len(lines) else None
            if not more or SHAPED.search(more.group(1)):
                break
            text += " " + more.group(1)
            i += 1
        filled = fill(text.split(), head, rest)
        out += close(filled, rest) if end else filled
    return out


def main(argv):
    check = argv[:1] == ["--check"]
    bad = 0
    for path in argv[1:] if check else argv:
        with open(path, encoding="utf-8") as f:
            old = f.read()
        new = "\n".join(wrap(old.split("\n")))
        if new != old:
            bad += 1
            print(path)
            if not check:
                with open(path, "w", encoding="utf-8") as f:
                    f.write(new)
    return 1 if check and bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
