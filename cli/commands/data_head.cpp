// `mlp data head`: what a table of a dataset holds, column by column, and its first rows.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/train/table_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace mlp {

namespace {

constexpr std::size_t most_shown = 1000; // rows

// The bytes of a stored file.
class StoredSource final : public train::ByteSource {
 public:
  StoredSource(data::ObjectSource& objects, const data::Content& content, std::string name,
               Progress& progress)
      : objects_(objects), chunks_(objects, content), name_(std::move(name)), progress_(progress) {}

  std::size_t read(std::span<char> into) override {
    if (at_ == plain_.size()) {
      const auto chunk = chunks_.next();
      if (!chunk) return 0;
      objects_.read(chunk->id, plain_);
      at_ = 0;
      progress_.advance(plain_.size());
    }
    const std::size_t count = std::min(into.size(), plain_.size() - at_);
    std::memcpy(into.data(), plain_.data() + at_, count);
    at_ += count;
    return count;
  }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }

 private:
  data::ObjectSource& objects_;
  data::ContentReader chunks_;
  std::string name_;
  Progress& progress_;
  data::Bytes plain_;
  std::size_t at_ = 0;
};

bool looks_tabular(std::string_view path) {
  if (path.ends_with(".gz")) path.remove_suffix(3);
  return path.ends_with(".csv") || path.ends_with(".tsv") || path.ends_with(".data");
}

// The path that was given, or the only table of the version.
std::string chosen_path(Session& session, VersionSource& version, const data::Entry& root) {
  if (const auto path = session.arguments().get("PATH")) return *path;
  if (root.is_file()) return "";
  std::vector<std::string> tables;
  data::for_each_entry(version.objects(), root, [&](const std::string& path, const data::Entry& e) {
    if (e.is_file() && looks_tabular(path) && tables.size() < 100) tables.push_back(path);
    return true;
  });
  if (tables.size() == 1) return tables.front();
  if (tables.empty())
    throw Error(ErrorKind::not_found, "the dataset has no file whose name ends in .csv or .tsv")
        .with_hint("name the file: mlp data head NAME PATH");
  tables.resize(std::min<std::size_t>(tables.size(), 12));
  throw Error(ErrorKind::usage, "the dataset has several tables")
      .with_hint("name one of them: " + join(tables, ", "));
}

std::int64_t count_option(Session& session, std::string_view name, std::int64_t otherwise) {
  const auto text = session.arguments().get(name);
  if (!text) return otherwise;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < 0)
    throw Error(ErrorKind::usage, fmt::format("{} takes a number, not '{}'", name, *text));
  return value;
}

Json column_json(const train::ColumnProfile& column) {
  Json row = json_object({{"name", column.name},
                          {"type", column.type()},
                          {"values", column.values},
                          {"blanks", column.blanks},
                          {"distinct", column.distinct},
                          {"examples", column.some}});
  if (column.distinct > train::ColumnProfile::kMostDistinct) row["distinct"] = nullptr;
  if (column.numbers > 0 && column.numbers == column.values) {
    row["min"] = column.least;
    row["max"] = column.most;
    row["mean"] = column.mean;
  }
  return row;
}

std::string range_text(const train::ColumnProfile& column) {
  if (column.values == 0) return "-";
  if (column.numbers == column.values)
    return fmt::format("{:.6g} to {:.6g}, mean {:.6g}", column.least, column.most, column.mean);
  std::string text = join(column.some, ", ");
  if (column.distinct > static_cast<std::int64_t>(column.some.size())) text += ", ...";
  return printable(fit_width(text, 60));
}

std::string text_of(const train::TableProfile& profile) {
  std::vector<std::vector<std::string>> lines = {{"COLUMN", "TYPE", "BLANK", "DISTINCT", "VALUES"}};
  for (const train::ColumnProfile& column : profile.columns)
    lines.push_back({printable(column.name), column.type(),
                     format_count(static_cast<std::uint64_t>(column.blanks)),
                     column.distinct > train::ColumnProfile::kMostDistinct
                         ? "> 10,000"
                         : format_count(static_cast<std::uint64_t>(column.distinct)),
                     range_text(column)});
  std::size_t widths[4] = {};
  for (const auto& line : lines)
    for (std::size_t i = 0; i < 4; ++i)
      widths[i] = std::max(widths[i], display_width(line[i]));
  std::string text;
  const auto pad = [](std::size_t width, const std::string& cell) {
    return std::string(width - display_width(cell), ' ');
  };
  for (const auto& line : lines)
    text += fmt::format("{}{}  {}{}  {}{}  {}{}  {}\n", line[0], pad(widths[0], line[0]), line[1],
                        pad(widths[1], line[1]), pad(widths[2], line[2]), line[2],
                        pad(widths[3], line[3]), line[3], line[4]);
  if (!profile.first_rows.empty()) text += '\n';
  for (const auto& row : profile.first_rows)
    text += printable(join(row, " | ")) + "\n";
  return text;
}

void run(Session& session) {
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const std::int64_t shown = count_option(session, "--lines", 5);
  const std::int64_t rows = count_option(session, "--rows", -1);
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  const data::Entry root = version.root();
  const std::string path = chosen_path(session, version, root);
  const auto entry = data::find_entry(version.objects(), root, path);
  if (!entry || !entry->is_file())
    throw Error(ErrorKind::not_found,
                fmt::format("'{}' is no file of version {} of dataset '{}'", printable(path),
                            version.digest().short_hex(), name.dataset.name));
  const std::string file = path.empty() ? fs::path(name.dataset.path).filename().native() : path;
  Progress& progress = session.output().progress();
  progress.begin("reading " + printable(file), entry->content.size, ProgressUnit::bytes);
  std::string head;
  auto source = train::peek_source(train::unpacked_source(std::make_unique<StoredSource>(
                                       version.objects(), entry->content, file, progress)),
                                   64 * 1024, head);
  train::ProfileOptions options;
  options.dialect.delimiter = train::guess_delimiter(head);
  options.kept_rows = std::min<std::size_t>(static_cast<std::size_t>(shown), most_shown);
  if (rows >= 0) options.max_rows = rows;
  options.on_rows = [&] { throw_if_stopped(session.stop_token()); };
  const train::TableProfile profile = train::profile_table(std::move(source), options);
  progress.end();

  Json columns = json_array();
  for (const train::ColumnProfile& column : profile.columns)
    columns.push_back(column_json(column));
  const std::string count = fmt::format(
      "{}: {}{} rows, {} columns{}\n", printable(file), profile.ended ? "" : "the first ",
      format_count(static_cast<std::uint64_t>(profile.rows)), profile.columns.size(),
      profile.header ? "" : ", no header");
  session.output().emit(json_object({{"name", name.dataset.name},
                                     {"digest", version.digest().text()},
                                     {"path", path},
                                     {"rows", profile.rows},
                                     {"complete", profile.ended},
                                     {"header", profile.header},
                                     {"columns", std::move(columns)},
                                     {"first_rows", Json(profile.first_rows)}}),
                        TextView{count + text_of(profile)});
}

} // namespace

extern const Command data_head_command;
const Command data_head_command = {
    .path = "data head",
    .summary = "show the columns of a table: types, ranges, blanks, first rows",
    .category = Category::data,
    .arguments = {version_argument(),
                  {.name = "PATH",
                   .help = "the file; left out where there is one table",
                   .required = false}},
    .options = {{.name = "--lines",
                 .value = "COUNT",
                 .help = "how many of the first rows to show (default 5)",
                 .letter = 'n'},
                {.name = "--rows",
                 .value = "COUNT",
                 .help = "read only so many rows (default: all)"},
                remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data head iris", "the one table of a dataset"},
                 {"mlp data head sales@v1 2024.csv --rows 100000", "a look at a large file"}},
    .run = run};

} // namespace mlp
