// What a command is. Help, manual page, completion and the command reference all read this.
//
// To add a command `mlp NOUN VERB`:
//   1. cli/commands/noun_verb.cpp: define `const Command noun_verb_command = {...}` and its run().
//      Logic that is more than wiring belongs in core.
//   2. cli/commands.cpp: declare it and add it to the table; cli/CMakeLists.txt: add the file.
//   3. man/noun-verb.md: DESCRIPTION, EXAMPLES, EXIT STATUS.
//   4. tests/functional/: one or two scripts that a user would recognise; a line in CHANGELOG.md.
//   5. MLP_TEST_ACCEPT=1 ctest -R reference: accepts the new text of tests/golden/commands.txt.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

class Session;

// A word that the shell may complete to, and what it is.
struct Candidate {
  std::string value;
  std::string description;
};

// Names that exist, for completion. Must be quick, must not throw for lack of a project: the caller
// swallows Errors. The caller filters by prefix. See cli/completers.hpp.
using Completer = std::vector<Candidate> (*)(Session& session);

struct Argument {
  std::string_view name; // "NAME", as help shows it and run() asks for it
  std::string_view help;
  bool required = true;
  bool repeated = false; // takes all that follow; last argument only
  Completer complete = nullptr;
  // Repeated: nothing is an option of ours from its first word on, nor behind the argument before.
  bool verbatim = false;
};

struct Option {
  std::string_view name;       // "--output"
  std::string_view value = {}; // "FILE", as help shows it; empty: a flag
  std::string_view help;
  char letter = 0;       // 'o' for -o
  bool repeated = false; // may be given several times
  Completer complete = nullptr;
};

struct Example {
  std::string_view line; // "mlp data push digits"; must parse (a test runs the parser on it)
  std::string_view what;
};

// Groups of `mlp --help`, in the order shown.
enum class Category { project, data, images, training, serving, settings, hidden };

struct Command {
  std::string_view path;    // "data push"
  std::string_view summary; // one line, lower case, no full stop
  Category category;
  std::vector<Argument> arguments = {};
  std::vector<Option> options = {};
  // Keys of core/config/settings whose options and environment variables this command takes.
  std::vector<std::string_view> settings = {};
  std::vector<Example> examples = {};
  // Its words are taken as they are, options among them: arguments() has them all under "WORDS".
  bool raw = false;
  // Emits its result through session.output(); throws Error.
  void (*run)(Session& session);
};

// Options that several commands share, so that they read the same everywhere.
[[nodiscard]] Option dry_run_option();
[[nodiscard]] Option yes_option();

// Options of every command: -C, --json, -q, -v, --no-progress, -h.
[[nodiscard]] std::span<const Option> global_options();

// The table, in the order of the reference.
[[nodiscard]] std::span<const Command* const> commands();
// nullptr if there is none.
[[nodiscard]] const Command* find_command(std::string_view path);

} // namespace mlp
