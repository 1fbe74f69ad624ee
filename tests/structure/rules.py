#!/usr/bin/env python3
"""The rules of the tree that a compiler does not see. `rules.py ROOT` prints each breach as
FILE:LINE: what, and fails if there is one. rules_test.sh plants breaches to see them found."""
import pathlib
import re
import sys

# Who may use whom. Inside core a folder may use itself and those of the ranks below its own.
CORE_RANKS = [
    {"base"},
    {"db", "net", "config", "gpu", "secret"},
    {"data"},
    {"image", "track"},
    {"job"},
    {"model"},
    {"flow", "queue", "train", "serve"},
    {"safe"},
]
ROOMS = {
    "kernels": {"kernels"},
    "core": {"core"},
    "backends": {"backends", "core", "kernels"},
    "cli": {"cli", "backends", "core"},
}
MAY_USE_KERNELS = {"train", "gpu"}

# What a header of core may include beside the standard library (names without a suffix).
PLAIN_C_HEADERS = {"sys/stat.h", "sys/types.h"}
THIRD_PARTY_IN_HEADERS = {
    "core/base/json_fwd.hpp": {"nlohmann/json_fwd.hpp"},
    "core/base/json.hpp": {"nlohmann/json.hpp"},
    "core/track/git.hpp": {"git2.h"},
}
# Headers that bring a third party with them: for .cpp files.
HEAVY_HEADERS = {"core/base/json.hpp", "core/track/git.hpp"}

LONGEST_FILE = 600
SOURCE_SUFFIXES = {".cpp", ".hpp", ".cu", ".cuh", ".c", ".h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


class Tree:
    def __init__(self, root):
        self.root = root
        self.breaches = []

    def breach(self, path, line, what):
        self.breaches.append(f"{path.relative_to(self.root)}:{line}: {what}")

    def files(self, *rooms):
        for room in rooms:
            for path in sorted((self.root / room).rglob("*")):
                if path.is_file() and path.suffix in SOURCE_SUFFIXES:
                    yield path


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def core_folder(name):
    parts = name.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "core" else None


def rank(folder):
    return next((i for i, folders in enumerate(CORE_RANKS) if folder in folders), None)


def check_direction(tree, path, text):
    name = str(path.relative_to(tree.root))
    room, own = name.split("/")[0], core_folder(name)
    if own is not None and rank(own) is None:
        tree.breach(path, 1, f"core/{own} has no rank in tests/structure/rules.py")
        return
    for line, ours, included in includes(text):
        target = included.split("/")[0]
        if not ours or target not in ROOMS:
            continue
        kernels_allowed = own in MAY_USE_KERNELS and target == "kernels"
        if target not in ROOMS[room] and not kernels_allowed:
            tree.breach(path, line, f"{room} must not include {target}: {included}")
        other = core_folder(included)
        if own and other and own != other and (rank(other) is None or rank(other) >= rank(own)):
            tree.breach(path, line, f"core/{own} must not include core/{other}: {included}")


def check_header(tree, path, text):
    if "#pragma once" not in text:
        tree.breach(path, 1, "a header lacks #pragma once")
    name = str(path.relative_to(tree.root))
    if not name.startswith("core/"):
        return
    allowed = THIRD_PARTY_IN_HEADERS.get(name, set())
    for line, ours, included in includes(text):
        if ours and included in HEAVY_HEADERS:
            tree.breach(path, line, f"a header includes {included}, which is for .cpp files")
        standard = re.fullmatch(r"[a-z_0-9]+", included) or included in PLAIN_C_HEADERS
        if not ours and not standard and included not in allowed:
            tree.breach(path, line, f"a header of core includes a third party's: {included}")


def first_comment(text):
    lines = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line)
    return " ".join(lines)


def check_opening(tree, path, text):
    comment = first_comment(text)
    if not comment:
        tree.breach(path, 1, "the file does not open with a comment on what it is for")
    lines = text.count("\n")
    if lines > LONGEST_FILE and "long because" not in comment.lower():
        tree.breach(path, 1, f"{lines} lines, and its first comment does not say 'long because'")


def check_unfinished(tree, path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            tree.breach(path, number, "unfinished work is noted in an issue, not in the code")


def check_listed(tree):
    """Every source file is built: named in the CMakeLists.txt of its folder or of one above."""
    for path in tree.files("kernels", "core", "backends", "cli", "tests"):
        if path.suffix not in {".cpp", ".cu"} or "fuzz/corpus" in str(path):
            continue
        folder, found = path.parent, False
        while not found and folder != tree.root.parent:
            cmake = folder / "CMakeLists.txt"
            if cmake.exists():
                text = cmake.read_text()
                name = str(path.relative_to(folder))
                count = len(re.findall(rf"(?<![\w/.-]){re.escape(name)}(?![\w.-])", text))
                target = path.stem.removesuffix("_fuzz")  # as mlp_fuzz_target() names it
                named = re.search(rf"(?<![\w/.-]){re.escape(target)}(?![\w.-])", text)
                found = count > 0 or named or re.search(r"file\(GLOB[^)]*\*\.cpp", text)
                lines = [line.strip() for line in text.splitlines()].count(name)
                if lines > 1:
                    tree.breach(cmake, 1, f"{name} is listed {lines} times")
            folder = folder.parent
        if not found:
            tree.breach(path, 1, "in no CMakeLists.txt: it is not built")


def check_commands(tree):
    """The table of commands holds each command once, and every command that is defined."""
    path = tree.root / "cli/commands.cpp"
    table = path.read_text()
    body = table[table.find("table[]") :]
    listed = re.findall(r"&(\w+_command)\b", body)
    for name in sorted(set(listed)):
        if listed.count(name) > 1:
            tree.breach(path, 1, f"{name} is in the table {listed.count(name)} times")
    paths = {}
    for source in sorted((tree.root / "cli/commands").glob("*.cpp")):
        text = source.read_text()
        defined = re.findall(r"^const Command (\w+_command)\s*=", text, re.M)
        if len(defined) != 1:
            tree.breach(source, 1, f"defines {len(defined)} commands, not one")
        for name in defined:
            if name not in listed:
                tree.breach(source, 1, f"{name} is not in the table of cli/commands.cpp")
        for words in re.findall(r'\.path\s*=\s*"([^"]+)"', text):
            if words in paths:
                tree.breach(source, 1, f"'{words}' is also defined in {paths[words]}")
            paths[words] = source.name
            file_name = words.lstrip("_").replace(" ", "_").replace("-", "_")
            if source.stem != file_name:
                tree.breach(source, 1, f"'{words}' belongs in {file_name}.cpp")


def main():
    tree = Tree(pathlib.Path(sys.argv[1]).resolve())
    for path in tree.files("kernels", "core", "backends", "cli"):
        text = path.read_text()
        check_direction(tree, path, text)
        if path.suffix in {".hpp", ".cuh", ".h"}:
            check_header(tree, path, text)
    for path in tree.files("kernels", "core", "backends", "cli", "tests"):
        text = path.read_text()
        check_opening(tree, path, text)
        check_unfinished(tree, path, text)
    check_listed(tree)
    check_commands(tree)
    print("\n".join(tree.breaches))
    sys.exit(1 if tree.breaches else 0)


main()
