// The reporter: results, status lines, errors.
#include "cli/output.hpp"

#include "cli/terminal.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace mlp {

namespace {

[[noreturn]] void output_failed(int error) {
  if (error == EPIPE) throw ClosedPipe{};
  throw system_error(error, "write to", "standard output");
}

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) output_failed(errno);
}

void flush_out() {
  if (std::fflush(stdout) != 0) output_failed(errno);
}

bool knows_escapes(int fd) {
  return ::isatty(fd) == 1 && get_env("TERM").value_or("dumb") != "dumb";
}

bool colors(const OutputOptions& options, int fd) {
  return options.color == ColorWhen::always ||
         (options.color == ColorWhen::automatic && knows_escapes(fd));
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
                                               knows_escapes(STDERR_FILENO),
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
  write_out(render(record, view, colors(options_, STDOUT_FILENO)));
}

void Output::emit_line(Json record, std::string_view text) {
  if (options_.json) {
    record["version"] = 1;
    write_out(dump_json(record) + "\n");
  } else {
    terminal_->clear();
    write_out(text);
  }
  flush_out();
}

void Output::write(std::string_view text) {
  terminal_->clear();
  write_out(text);
}

void Output::status(std::string_view line) {
  if (!options_.quiet && !options_.json) terminal_->line(printable_lines(line));
}

void Output::warning(std::string_view line) {
  if (!options_.quiet) terminal_->line(fmt::format("mlp: warning: {}", printable_lines(line)));
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
  flush_out();
}

bool Output::draws_color() const noexcept {
  return colors(options_, STDOUT_FILENO);
}

void print_error(const Error& error, const OutputOptions& options) {
  std::string text;
  if (options.json) {
    const Json record = json_object({{"version", 1},
                                     {"error",
                                      {{"kind", kind_name(error.kind())},
                                       {"message", error.message()},
                                       {"contexts", error.contexts()},
                                       {"hints", error.hints()},
                                       {"exit_code", exit_code(error.kind())}}}});
    text = dump_json(record) + "\n";
  } else {
    const bool color = colors(options, STDERR_FILENO);
    text = fmt::format("mlp: {}error:{} {}\n", color ? "\033[31;1m" : "", color ? "\033[0m" : "",
                       printable_lines(error.message()));
    for (const std::string& context : error.contexts())
      text += fmt::format("  {}\n", printable_lines(context));
    for (const std::string& hint : error.hints())
      if (!hint.empty()) text += fmt::format("hint: {}\n", printable_lines(hint));
  }
  std::fflush(stdout);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

bool confirm(std::string_view question) {
  if (::isatty(STDIN_FILENO) != 1)
    throw Error(ErrorKind::usage, "this needs a yes, and there is no terminal to ask on")
        .with_hint("give --yes");
  std::fputs(fmt::format("{} [y/N] ", printable(question)).c_str(), stderr);
  std::string answer;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar())
    if (answer.size() < 16) answer += static_cast<char>(c);
  return answer == "y" || answer == "Y" || answer == "yes";
}

} // namespace mlp
