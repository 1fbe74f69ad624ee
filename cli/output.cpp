// The reporter: results, status lines, errors.
#include "cli/output.hpp"

#include "cli/terminal.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

namespace mlp {

namespace {

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw system_error(errno, "write to", "standard output");
}

} // namespace

// A named subclass so that terminal.hpp stays out of output.hpp.
class Output::Terminal : public TerminalProgress {
 public:
  using TerminalProgress::TerminalProgress;
};

Output::Output(OutputOptions options)
    : options_(options),
      terminal_(std::make_unique<Terminal>(options.progress && !options.json && !options.quiet &&
                                               ::isatty(STDERR_FILENO) == 1,
                                           options.verbose, options.quiet || options.json)) {}

Output::~Output() = default;

void Output::emit(Json record, const View& view) {
  terminal_->end();
  if (options_.json) {
    record["version"] = 1;
    write_out(dump_json_pretty(record));
    return;
  }
  if (const auto* table = std::get_if<TableView>(&view);
      table != nullptr && record.at(std::string(table->rows)).empty()) {
    if (!table->empty.empty()) status(table->empty);
    return;
  }
  write_out(render(record, view, options_.color && ::isatty(STDOUT_FILENO) == 1));
}

void Output::emit_line(Json record, std::string_view text) {
  if (options_.json) {
    record["version"] = 1;
    write_out(dump_json(record) + "\n");
  } else {
    terminal_->clear();
    write_out(text);
  }
  if (std::fflush(stdout) != 0) throw system_error(errno, "write to", "standard output");
}

void Output::status(std::string_view line) {
  if (!options_.quiet && !options_.json) terminal_->line(line);
}

void Output::warning(std::string_view line) {
  if (!options_.quiet) terminal_->line(fmt::format("mlp: warning: {}", line));
}

Progress& Output::progress() {
  return *terminal_;
}
bool Output::draws_progress() const noexcept {
  return terminal_->draws();
}
LogSink& Output::log_sink() {
  return *terminal_;
}

void Output::finish() {
  terminal_->end();
  if (std::fflush(stdout) != 0) throw system_error(errno, "write to", "standard output");
}

void print_error(const Error& error, const OutputOptions& options) {
  std::string text;
  if (options.json) {
    const Json record = {{"version", 1},
                         {"error",
                          {{"kind", kind_name(error.kind())},
                           {"message", error.message()},
                           {"contexts", error.contexts()},
                           {"hints", error.hints()},
                           {"exit_code", exit_code(error.kind())}}}};
    text = dump_json(record) + "\n";
  } else {
    const bool color = options.color && ::isatty(STDERR_FILENO) == 1;
    text = fmt::format("mlp: {}error:{} {}\n", color ? "\033[31;1m" : "", color ? "\033[0m" : "",
                       error.message());
    for (const std::string& context : error.contexts())
      text += fmt::format("  {}\n", context);
    for (const std::string& hint : error.hints())
      text += fmt::format("hint: {}\n", hint);
  }
  std::fflush(stdout);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool confirm(std::string_view question) {
  if (::isatty(STDIN_FILENO) != 1)
    throw Error(ErrorKind::usage, "this needs a yes, and there is no terminal to ask on")
        .with_hint("give --yes");
  std::fputs(fmt::format("{} [y/N] ", question).c_str(), stderr);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

} // namespace mlp
