// Command lines: what each says, and how each mistake is answered.
#include "cli/arguments.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <catch2/catch.hpp>

using namespace mlp;

namespace {

ParsedLine parse(const std::vector<std::string>& words) {
  return parse_line(words);
}

// "message | hint"
std::string mistake(const std::vector<std::string>& words) {
  try {
    (void)parse(words);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.message() + " | " + join(error.hints(), "; ");
  }
  return "no mistake";
}

} // namespace

TEST_CASE("a command is found by its words, and global options may stand anywhere") {
  CHECK(parse({"version"}).command->path == "version");
  CHECK(parse({"--version"}).command->path == "version");
  CHECK(parse({"data", "push"}).command->path == "data push");
  CHECK(parse({"--json", "data", "-q", "push", "-v"}).command->path == "data push");
  const Arguments arguments = parse({"-C", "a", "--json", "data", "-q", "push", "-v"}).arguments;
  for (const char* option : {"--json", "--quiet", "--verbose"})
    CHECK(arguments.has(option));
  CHECK(arguments.get("--directory") == "a");
}

TEST_CASE("values may be attached, apart or in a cluster of letters, and the last one counts") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"version", "--directory", "x"},
        {"version", "--directory=x"},
        {"version", "-C", "x"},
        {"version", "-Cx"},
        {"version", "-qvCx"},
        {"-Cx", "version"},
        {"version", "-C", "y", "-C", "x"},
        {"-C", "y", "version", "--directory=x"}})
    CHECK(parse(words).arguments.get("--directory") == "x");
  CHECK(parse({"version", "--directory="}).arguments.get("--directory") == "");
  CHECK(parse({"version", "--directory=a=b"}).arguments.get("--directory") == "a=b");
  CHECK(parse({"version", "-vv"}).arguments.all("--verbose").size() == 2);
}

TEST_CASE("a number below zero, a dash and what follows -- are values") {
  const auto first = [](std::vector<std::string> words) {
    return parse(words).arguments.get("SHELL");
  };
  CHECK(first({"completion", "-1.5"}) == "-1.5");
  CHECK(first({"completion", "-"}) == "-");
  CHECK(first({"completion", "--", "--json"}) == "--json");
  CHECK(parse({"version", "-C", "-1"}).arguments.get("--directory") == "-1");
}

TEST_CASE("without a command, a line says whether help is asked for") {
  CHECK(parse({}).command == nullptr);
  CHECK(parse({"-h"}).arguments.has("--help"));
  CHECK(parse({"data"}).noun == "data");
  CHECK(parse({"data", "--help"}).arguments.has("--help"));
  CHECK(parse({"--help", "version"}).command->path == "version");
}

TEST_CASE("help is given even while the rest of the line is not right yet") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"completion", "--help"},
                                                {"completion", "a", "b", "-h"},
                                                {"completion", "--nonsense", "--help"},
                                                {"completion", "-C", "--help"}})
    CHECK(parse(words).arguments.has("--help"));
  CHECK_FALSE(parse({"completion", "--", "--help"}).arguments.has("--help"));
}

TEST_CASE("a mistake is named, and answered with the nearest name") {
  CHECK(mistake({"versoin"}) == "'versoin' is not an mlp command | did you mean 'version'?");
  CHECK(mistake({"zzzzzzz"}) == "'zzzzzzz' is not an mlp command | mlp --help lists the commands");
  CHECK(mistake({"push"}) == "'push' is not an mlp command | did you mean 'data push'?");
  CHECK(mistake({"data", "psuh"}) == "'mlp data' has no command 'psuh' | did you mean 'push'?");
  CHECK(mistake({"version", "--jsn"}) == "unknown option '--jsn' | did you mean '--json'?");
  CHECK(mistake({"version", "-json"}) == "unknown option '-json' | did you mean '--json'?");
  CHECK(mistake({"version", "-qx"}) ==
        "unknown option '-x' | mlp version --help shows what it takes");
  CHECK(mistake({"version", "more"}) ==
        "unexpected argument 'more' | mlp version --help shows what it takes");
  CHECK(mistake({"completion"}) ==
        "missing argument SHELL | bash, zsh or fish; mlp completion --help shows more");
  CHECK(mistake({"version", "--json=no"}) ==
        "option '--json' takes no value | mlp version --help shows what it takes");
  CHECK(mistake({"\x1b[31m"}).starts_with("'\\x1b[31m' is not"));
}

TEST_CASE("an option of a command before the command is told where it belongs") {
  CHECK(mistake({"--compression-level", "3", "data", "add"}) ==
        "unknown option '--compression-level' | the options of a command stand after it: mlp "
        "COMMAND --compression-level");
}

TEST_CASE("a forgotten value is noticed, and does not swallow the option after it") {
  CHECK(mistake({"version", "--directory"}) ==
        "option '--directory' (-C) needs a value: DIR | --directory DIR: run as if started in DIR");
  CHECK(mistake({"version", "-qC"}).starts_with("option '--directory' (-C) needs a value"));
  CHECK(mistake({"version", "-C", "--json"}) ==
        "option '--directory' (-C) needs a value: DIR | if '--json' is the value: "
        "--directory=--json");
  CHECK(mistake({"version", "-C", "--"}).starts_with("option '--directory' (-C) needs a value"));
}

TEST_CASE("a whole number is in its range, or the option is named") {
  Arguments arguments;
  arguments.values["--seed"] = {"42"};
  CHECK(arguments.integer("--seed", 0, 100) == 42);
  CHECK_FALSE(arguments.integer("--other", 0, 100));
  for (const char* bad : {"", "x", "4x", "101", "-1", "1e3", "99999999999999999999"}) {
    arguments.values["--seed"] = {bad};
    try {
      (void)arguments.integer("--seed", 0, 100);
      FAIL(bad);
    } catch (const Error& error) {
      CHECK(error.message() == "'" + std::string(bad) + "' is not a whole number from 0 to 100");
      CHECK(error.contexts() == std::vector<std::string>{"while reading option --seed"});
    }
  }
}

TEST_CASE("every command's own table is sound") {
  for (const Command* command : commands()) {
    INFO(command->path);
    CHECK(find_command(command->path) == command);
    CHECK(command->run != nullptr);
    CHECK_FALSE(command->summary.ends_with("."));
    bool optional = false;
    for (const Argument& argument : command->arguments) {
      CHECK_FALSE((argument.required && optional)); // a required one after an optional one
      optional = !argument.required;
      CHECK((!argument.repeated || &argument == &command->arguments.back()));
    }
    for (const Option& option : options_of(*command)) {
      CHECK(option.name.starts_with("--"));
      CHECK_FALSE(option.help.empty());
    }
  }
}
