// How a command speaks: one result value on standard output, as text for people or as JSON; status
// and warnings on standard error; progress on a terminal.
#pragma once

#include "core/base/error.hpp"
#include "core/base/json_fwd.hpp"
#include "core/base/log.hpp"
#include "core/base/progress.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlp {

// How a JSON value is shown to people. A null or absent value shows as "-".
enum class Format { text, count, bytes, age, duration, percent, digest, number };

struct Column {
  std::string_view key; // of the row; "a.b" reaches into an object
  std::string_view title;
  Format format = Format::text;
};

// Rows of record[rows] with a header line; numbers to the right.
struct TableView {
  std::string_view rows;
  std::vector<Column> columns;
  std::string_view empty; // a line on standard error when there is no row
};

// "title: value" lines from the record itself. An absent value has no line.
struct FieldsView {
  std::vector<Column> fields;
};

// Lines made by the command from the same record (a log, a file, a list without header).
struct TextView {
  std::string text;
};

using View = std::variant<TableView, FieldsView, TextView>;

// automatic: on a terminal that knows escapes.
enum class ColorWhen { automatic, always, never };

struct OutputOptions {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool progress = true;                   // false: --no-progress or the setting ui.progress
  ColorWhen color = ColorWhen::automatic; // never: NO_COLOR or the setting ui.color
};

// Thrown when the reader of standard output has gone (`mlp runs ls | head -1`): not a mistake, so
// no Error. main() then ends quietly with the code of a program that SIGPIPE ended. Work under way
// is unwound as for any failure.
struct ClosedPipe {};

// Not thread-safe but for the Progress and the LogSink that it hands out. What is printed on
// standard error has control characters made visible: names and messages may come from outside.
class Output {
 public:
  explicit Output(OutputOptions options);
  ~Output();

  // The command's one result; `record` is an object and gains "version". Called at most once. This,
  // emit_line() and finish() throw Error if standard output cannot take it, or ClosedPipe.
  void emit(Json record, const View& view);
  // A stream: one record a line with --json, else `text` as it is (with its newline).
  void emit_line(Json record, std::string_view text);

  // What happened, one line on standard error; not with --quiet or --json.
  void status(std::string_view line);
  void warning(std::string_view line); // "mlp: warning: ..."; not with --quiet

  // Draws on standard error, after half a second, if that is a terminal; else shows nothing.
  [[nodiscard]] Progress& progress();
  // True if progress() draws: a command that follows a run then skips its plain lines.
  [[nodiscard]] bool draws_progress() const noexcept;
  // True if text on standard output may have colours.
  [[nodiscard]] bool draws_color() const noexcept;
  [[nodiscard]] const OutputOptions& options() const noexcept { return options_; }
  [[nodiscard]] LogSink& log_sink();

  // Text as it is, without a record: for what is no result but the program's own interface.
  void write(std::string_view text);

  // Ends the progress and flushes.
  void finish();

 private:
  class Terminal; // progress and log share the terminal's last line
  OutputOptions options_;
  std::unique_ptr<Terminal> terminal_;
};

// "mlp: error: ...", contexts and hints, or one JSON record, on standard error.
void print_error(const Error& error, const OutputOptions& options);

// The text of a view, as emit() prints it without --json. For tests and other renderers.
[[nodiscard]] std::string render(const Json& record, const View& view, bool color);

// Asks on the terminal; true for y or yes. Without a terminal throws Error(usage) with the hint
// to give --yes. Blocks.
[[nodiscard]] bool confirm(std::string_view question);

} // namespace mlp
