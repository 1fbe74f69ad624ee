// mlp: build the tree, parse, run, the only catch, the exit code.
#include "cli/arguments.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/output.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

using namespace mlp;

namespace {

// Before anything is parsed, so that a parse error too is JSON where that was asked for.
OutputOptions early_options(const std::vector<std::string>& words) {
  const auto given = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  OutputOptions options;
  options.json = given("--json");
  options.color = !get_env("NO_COLOR").value_or("").empty() ? false : true;
  return options;
}

void apply_globals(const Arguments& arguments, OutputOptions& options) {
  options.json = arguments.has("--json");
  options.quiet = arguments.has("--quiet");
  options.verbose = arguments.has("--verbose");
  options.progress = !arguments.has("--no-progress");
  if (const auto directory = arguments.get("--directory"))
    if (::chdir(directory->c_str()) != 0) throw system_error(errno, "enter folder", *directory);
}

int run(const std::vector<std::string>& words, OutputOptions& options) {
  ParsedLine line = parse_line(words);
  const bool raw = line.command != nullptr && line.command->raw;
  if (!raw) apply_globals(line.arguments, options);
  int code = 0;
  Output output(options);
  set_log_sink(&output.log_sink());
  if (line.command == nullptr) {
    const bool asked = line.arguments.has("--help");
    const std::string text = line.noun.empty() ? overview_help() : noun_help(line.noun);
    if (!asked)
      throw Error(ErrorKind::usage,
                  line.noun.empty() ? "no command given" : "no verb given for '" + line.noun + "'")
          .with_hint(line.noun.empty() ? "mlp --help lists the commands"
                                       : "mlp " + line.noun + " --help lists them");
    output.emit({{"help", text}}, TextView{text});
  } else if (!raw && line.arguments.has("--help")) {
    const std::string text = command_help(*line.command);
    output.emit({{"help", text}}, TextView{text});
  } else {
    const Command& command = *line.command;
    Session session(std::move(line), output);
    command.run(session);
    code = session.exit_code();
  }
  output.finish();
  set_log_sink(nullptr);
  return code;
}

int report(const Error& error, const OutputOptions& options) {
  set_log_sink(nullptr);
  print_error(error, options);
  return exit_code(error.kind());
}

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  OutputOptions options = early_options(words);
  try {
    return run(words, options);
  } catch (const Error& error) {
    return report(error, options);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::failed, "out of memory"), options);
  } catch (const std::exception& error) {
    return report(Error(ErrorKind::failed, error.what()), options);
  }
}
