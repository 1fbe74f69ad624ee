// mlp: build the tree, parse, run, the only catch, the exit code.
#include "cli/arguments.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/output.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/config/settings.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <new>

using namespace mlp;

namespace {

constexpr int closed_pipe_code = 128 + SIGPIPE;

// Descriptors 0, 1 and 2 that are closed would be given to the next file opened, and its content
// mixed with what is printed.
void open_standard_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// Before anything is parsed, so that a parse error too is JSON where that was asked for.
OutputOptions early_options(const std::vector<std::string>& words) {
  OutputOptions options;
  const auto end = std::find(words.begin(), words.end(), "--");
  options.json = std::find(words.begin(), end, "--json") != end;
  if (!get_env("NO_COLOR").value_or("").empty()) options.color = ColorWhen::never;
  return options;
}

// The settings of the user interface. What is wrong with the settings is for the commands that use
// them to say: `mlp --help` and `mlp config set` work all the same.
void apply_settings(OutputOptions& options) {
  try {
    const config::Settings settings = config::Settings::load();
    const std::string& color = settings.get_string("ui.color");
    if (color == "never") options.color = ColorWhen::never;
    if (color == "always" && options.color != ColorWhen::never) options.color = ColorWhen::always;
    options.progress = settings.get_bool("ui.progress");
  } catch (const Error&) {
  }
}

void apply_globals(const Arguments& arguments, OutputOptions& options) {
  options.json = arguments.has("--json");
  options.quiet = arguments.has("--quiet");
  options.verbose = arguments.has("--verbose");
  if (arguments.has("--no-progress")) options.progress = false;
  if (const auto directory = arguments.get("--directory"))
    if (::chdir(directory->c_str()) != 0) throw system_error(errno, "enter folder", *directory);
}

// The log's sink while an Output lives.
class LogTo {
 public:
  explicit LogTo(Output& output) { set_log_sink(&output.log_sink()); }
  ~LogTo() { set_log_sink(nullptr); }
  LogTo(const LogTo&) = delete;
};

// The exit code of a command whose result was told: its verdict.
int run(const std::vector<std::string>& words, OutputOptions& options) {
  int code = 0;
  ParsedLine line = parse_line(words);
  apply_globals(line.arguments, options);
  Output output(options);
  const LogTo log(output);
  if (line.arguments.has("--help")) {
    const std::string text = line.command != nullptr ? command_help(*line.command)
                             : line.noun.empty()     ? overview_help()
                                                     : noun_help(line.noun);
    output.emit(json_object({{"help", text}}), TextView{text});
  } else if (line.command == nullptr) {
    throw Error(ErrorKind::usage,
                line.noun.empty() ? "no command given" : "no verb given for '" + line.noun + "'")
        .with_hint(line.noun.empty() ? "mlp --help lists the commands"
                                     : "mlp " + line.noun + " --help lists them");
  } else {
    const Command& command = *line.command;
    Session session(std::move(line), output);
    command.run(session);
    code = session.exit_code();
  }
  output.finish();
  return code;
}

int report(const Error& error, const OutputOptions& options) {
  print_error(error, options);
  return exit_code(error.kind());
}

} // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  // A closed pipe or connection is an error where it is written to, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  OutputOptions options = early_options(words);
  apply_settings(options);
  try {
    return run(words, options);
  } catch (const ClosedPipe&) {
    return closed_pipe_code;
  } catch (const Error& error) {
    return report(error, options);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::failed, "out of memory"), options);
  } catch (const std::exception& error) {
    return report(Error(ErrorKind::failed, error.what()), options);
  }
}
