// Reading the program's file line by line and appending to the journal in large writes.
#include "core/job/metrics_intake.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace mlp::job {

namespace {

constexpr std::size_t batch_bytes = 256u << 10;
constexpr std::uint64_t most_at_once = 8u << 20; // while the program runs: others wait too

std::optional<Json> parse_object(std::string_view line) {
  try {
    Json value = parse_json(line, "metrics", {track::max_line_bytes, 16});
    if (value.is_object()) return value;
  } catch (const Error&) {
  }
  return std::nullopt;
}

// The value without secrets, in whichever of its texts they stand.
Json without_secrets(const Json& value, const secret::MaskedValues& secrets) {
  if (value.is_string()) return secrets.mask(value.get_ref<const std::string&>());
  if (value.is_object()) {
    Json out = json_object();
    for (const auto& [name, member] : value.items())
      out[secrets.mask(name)] = without_secrets(member, secrets);
    return out;
  }
  if (value.is_array()) {
    Json out = json_array();
    for (const Json& item : value)
      out.push_back(without_secrets(item, secrets));
    return out;
  }
  const std::string text = dump_json(value);
  return secrets.occurs_in(text) ? Json(secrets.mask(text)) : value;
}

} // namespace

std::string without_nan(std::string_view line) {
  static constexpr std::array<std::string_view, 3> words = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (in_string && c == '\\' && i + 1 < line.size()) {
      out += line.substr(i, 2);
      i += 2;
      continue;
    }
    if (c == '"') in_string = !in_string;
    std::size_t length = 0;
    if (!in_string)
      for (const std::string_view word : words)
        if (line.substr(i).starts_with(word)) length = word.size();
    if (length != 0) {
      out += "null";
      i += length;
    } else {
      out += c;
      ++i;
    }
  }
  return out;
}

std::optional<std::string> masked_line(std::string_view line, const secret::MaskedValues& secrets) {
  const std::optional<Json> value = parse_object(line);
  if (!value) return std::nullopt;
  Json changed = without_secrets(*value, secrets);
  if (changed == *value && !secrets.occurs_in(line)) return std::string(line);
  std::string text = dump_json(changed);
  if (secrets.occurs_in(text)) return std::nullopt;
  return text;
}

std::optional<std::string> metric_line(std::string_view line, std::string_view time) {
  line = trim(line);
  if (line.empty()) return std::nullopt;
  std::string text(line);
  std::optional<Json> value = parse_object(text);
  if (!value) {
    text = without_nan(line);
    value = parse_object(text);
  }
  if (!value || value->empty()) return std::nullopt;
  // Spliced in rather than printed anew: numbers keep their digits, and it is quicker.
  if (!value->contains("time")) text.insert(1, fmt::format("\"time\":\"{}\",", time));
  if (text.size() >= track::max_line_bytes) return std::nullopt;
  return text;
}

MetricsIntake::MetricsIntake(const track::RunFolder& run, const secret::MaskedValues* secrets)
    : run_(run), metrics_(run.metrics()), secrets_(secrets) {
  const fs::path path = run.root / "reported.offset";
  mark_ = File(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!mark_.is_open()) throw system_error(errno, "write", path.native());
  (void)mark_.read_at(std::as_writable_bytes(std::span(&offset_, 1)), 0);
}

bool MetricsIntake::take(bool last) {
  struct stat info {};
  if (::stat(run_.reported().c_str(), &info) != 0) return false;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < offset_) offset_ = 0; // the program started its file anew
  const auto note_offset = [&] {
    if (last && secrets_ != nullptr && ::truncate(run_.reported().c_str(), 0) == 0) offset_ = 0;
    [[maybe_unused]] const ssize_t n = ::pwrite(mark_.fd(), &offset_, sizeof offset_, 0);
  };
  if (size == offset_) {
    if (last) note_offset();
    return false;
  }
  if (last && size > offset_) {
    // A program that ends without a newline still meant its last line.
    const File reader = File::open_read(run_.reported());
    std::byte end{};
    if (reader.read_at(std::span(&end, 1), size - 1) == 1 && end != std::byte{'\n'})
      File::open_append(run_.reported()).write(std::string_view("\n"));
  }

  const std::string time = format_time(wall_now());
  std::string batch;
  const auto refuse = [&](std::string_view line) {
    if (refused_++ == 0)
      first_refused_ = printable(
          (secrets_ == nullptr ? std::string(line) : secrets_->mask(line)).substr(0, 120));
  };
  const track::JournalEnd end = track::read_lines(
      run_.reported(), offset_,
      [&](std::string_view line) {
        if (trim(line).empty()) return;
        auto record = metric_line(line, time);
        if (record && secrets_ != nullptr) record = masked_line(*record, *secrets_);
        if (record) {
          batch += *record;
          batch += '\n';
        } else {
          refuse(line);
        }
        if (batch.size() < batch_bytes) return;
        metrics_.append_lines(batch);
        batch.clear();
      },
      last ? ~std::uint64_t{0} : most_at_once);
  metrics_.append_lines(batch);
  if (end.damaged != 0) {
    if (refused_ == 0)
      first_refused_ = fmt::format("a line of more than {} bytes", track::max_line_bytes);
    refused_ += end.damaged;
  }
  if (end.offset == offset_) return false;
  offset_ = end.offset;
  note_offset();
  return true;
}

} // namespace mlp::job
