// A header is one block of text fields; what does not fit them goes before it as pax records.
#include "core/base/tar.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace mlp {

namespace {

constexpr std::size_t block = 512;
constexpr std::uint64_t most_small = 64u << 10; // of names and records
constexpr std::uint64_t octal_limit = std::uint64_t{1} << 33;

struct Field {
  std::size_t at, size;
};
constexpr Field name_field{0, 100}, mode_field{100, 8}, uid_field{108, 8}, gid_field{116, 8},
    size_field{124, 12}, time_field{136, 12}, sum_field{148, 8}, target_field{157, 100},
    magic_field{257, 8}, prefix_field{345, 155};
constexpr std::size_t type_at = 156;

using Block = std::array<char, block>;

void put(Block& header, Field field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.size), header.begin() + field.at);
}
void put_octal(Block& header, Field field, std::uint64_t value) {
  put(header, field, fmt::format("{:0{}o}", value, field.size - 1));
}
std::string_view text_of(const Block& header, Field field) {
  const std::string_view whole(header.data() + field.at, field.size);
  return whole.substr(0, whole.find('\0'));
}

unsigned sum_of(const Block& header) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const bool own = i >= sum_field.at && i < sum_field.at + sum_field.size;
    sum += static_cast<unsigned char>(own ? ' ' : header[i]);
  }
  return sum;
}

// Octal digits between blanks and NULs, or GNU's base 256; nullopt: neither, or too large.
std::optional<std::uint64_t> number_of(const Block& header, Field field) {
  const char* at = header.data() + field.at;
  const char* end = at + field.size;
  if (static_cast<unsigned char>(*at) == 0x80) {
    std::uint64_t value = 0;
    for (++at; at != end; ++at) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(*at);
    }
    return value;
  }
  while (at != end && *at == ' ')
    ++at;
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(at, end, value, 8);
  if (code == std::errc::invalid_argument)
    return std::all_of(at, end, [](char c) { return c == '\0' || c == ' '; })
               ? std::optional<std::uint64_t>(0)
               : std::nullopt;
  const bool ends = std::all_of(stop, static_cast<const char*>(end),
                                [](char c) { return c == '\0' || c == ' '; });
  return code == std::errc() && ends ? std::optional(value) : std::nullopt;
}

std::uint64_t padding_of(std::uint64_t size) {
  return (block - size % block) % block;
}

// "LENGTH key=value\n", where LENGTH counts itself.
std::string record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest != length)
    length = fmt::formatted_size("{}", length) + rest;
  return fmt::format("{} {}={}\n", length, key, value);
}

// "./a/" is "a", and "./" is ".".
std::string plain_path(std::string_view path) {
  if (path == "./") return ".";
  while (path.starts_with("./"))
    path.remove_prefix(2);
  while (path.size() > 1 && path.ends_with('/'))
    path.remove_suffix(1);
  return std::string(path);
}

} // namespace

void TarWriter::header(const TarEntry& entry, char type, std::string_view path,
                       std::uint64_t size) {
  Block header{};
  put(header, name_field, path);
  const bool opens = entry.executable || entry.kind == TarEntry::Kind::folder;
  put_octal(header, mode_field, opens ? 0755 : 0644);
  put_octal(header, uid_field, 0);
  put_octal(header, gid_field, 0);
  put_octal(header, size_field, size < octal_limit ? size : 0);
  const auto modified = static_cast<std::uint64_t>(std::max<std::int64_t>(entry.modified, 0));
  put_octal(header, time_field, modified < octal_limit ? modified : 0);
  header[type_at] = type;
  if (type == '2') put(header, target_field, entry.target);
  put(header, magic_field, std::string_view("ustar\00000", 8));
  put(header, sum_field, fmt::format("{:06o}", sum_of(header)));
  header[sum_field.at + 7] = ' ';
  sink_({header.data(), header.size()});
}

void TarWriter::extended(const TarEntry& entry) {
  std::string records;
  if (entry.path.size() >= name_field.size) records += record("path", entry.path);
  if (entry.target.size() >= target_field.size) records += record("linkpath", entry.target);
  if (entry.size >= octal_limit) records += record("size", std::to_string(entry.size));
  if (records.empty()) return;
  header({}, 'x', "pax", records.size());
  sink_(records);
  sink_(std::string(padding_of(records.size()), '\0'));
}

void TarWriter::entry(const TarEntry& entry) {
  if (left_ != 0) throw std::logic_error("a file of a tar archive is not complete");
  extended(entry);
  const std::string_view path = std::string_view(entry.path).substr(0, name_field.size - 1);
  switch (entry.kind) {
  case TarEntry::Kind::file:
    header(entry, '0', path, entry.size);
    left_ = entry.size;
    padding_ = padding_of(entry.size);
    return;
  case TarEntry::Kind::folder:
    return header(entry, '5', path, 0);
  case TarEntry::Kind::link:
    return header(entry, '2', path, 0);
  }
}

void TarWriter::data(std::string_view part) {
  if (part.size() > left_) throw std::logic_error("a file of a tar archive is too long");
  left_ -= part.size();
  sink_(part);
  if (left_ == 0) sink_(std::string(std::exchange(padding_, 0), '\0'));
}

void TarWriter::end() {
  if (left_ != 0) throw std::logic_error("a file of a tar archive is not complete");
  sink_(std::string(2 * block, '\0'));
}

TarReader::TarReader(Source source, std::string name)
    : source_(std::move(source)), name_(std::move(name)) {}

void TarReader::fail(std::string_view what) const {
  throw Error(ErrorKind::integrity, fmt::format("'{}' {}", printable(name_), what));
}

void TarReader::fill(std::span<std::byte> data) {
  while (!data.empty()) {
    const std::size_t n = source_(data);
    if (n == 0) fail("is cut off, or no tar archive");
    data = data.subspan(n);
  }
}

void TarReader::skip(std::uint64_t bytes) {
  std::array<std::byte, 8192> nowhere{};
  while (bytes > 0) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, nowhere.size()));
    fill(std::span(nowhere).first(n));
    bytes -= n;
  }
}

std::string TarReader::small_content(std::uint64_t size) {
  if (size > most_small) fail("has a name or a record of more than 64 KiB");
  std::string text(static_cast<std::size_t>(size), '\0');
  fill(std::as_writable_bytes(std::span(text.data(), text.size())));
  skip(padding_of(size));
  return text;
}

void TarReader::take_records(const std::string& records, TarEntry& entry,
                             std::optional<std::uint64_t>& size) {
  std::string_view rest = records;
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto [stop, code] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const auto digits = static_cast<std::size_t>(stop - rest.data());
    if (code != std::errc() || length > rest.size() || length < digits + 3 || *stop != ' ' ||
        rest[length - 1] != '\n')
      fail("has a damaged record");
    const std::string_view text = rest.substr(digits + 1, length - digits - 2);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) fail("has a damaged record");
    const std::string_view key = text.substr(0, equals), value = text.substr(equals + 1);
    if (key == "path") entry.path = value;
    if (key == "linkpath") entry.target = value;
    if (key == "size") {
      std::uint64_t number = 0;
      const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (wrong != std::errc() || end != value.data() + value.size()) fail("has a damaged record");
      size = number;
    }
    if (key.starts_with("GNU.sparse")) fail("has a sparse file, which is not read");
    rest.remove_prefix(length);
  }
}

std::optional<TarEntry> TarReader::next() {
  skip(std::exchange(left_, 0));
  skip(std::exchange(padding_, 0));
  TarEntry entry; // what records before its header say
  std::optional<std::uint64_t> size;
  while (true) {
    Block header{};
    fill(std::as_writable_bytes(std::span(header)));
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; }))
      return std::nullopt;
    if (number_of(header, sum_field) != sum_of(header)) fail("is damaged, or no tar archive");
    const auto own_size = number_of(header, size_field);
    if (!own_size) fail("has a size that is no number");
    switch (const char type = header[type_at]) {
    case 'x':
      take_records(small_content(*own_size), entry, size);
      continue;
    case 'g':
      static_cast<void>(small_content(*own_size));
      continue;
    case 'L':
      entry.path = small_content(*own_size);
      entry.path.resize(std::min(entry.path.size(), entry.path.find('\0')));
      continue;
    case 'K':
      entry.target = small_content(*own_size);
      entry.target.resize(std::min(entry.target.size(), entry.target.find('\0')));
      continue;
    case '0':
    case '\0':
      entry.kind = TarEntry::Kind::file;
      entry.size = size.value_or(*own_size);
      break;
    case '5':
      entry.kind = TarEntry::Kind::folder;
      break;
    case '2':
      entry.kind = TarEntry::Kind::link;
      break;
    default:
      fail(type == '1' ? "has a hard link, which is not taken"
                       : fmt::format("has an entry of type '{}', which is not taken",
                                     printable(std::string(1, type))));
    }
    if (entry.path.empty()) {
      const std::string_view prefix = text_of(header, prefix_field);
      // GNU's old format has other things there, and "ustar  " before it.
      const bool posix = std::memcmp(&header[magic_field.at], "ustar", 6) == 0;
      if (posix && !prefix.empty()) entry.path = std::string(prefix) + "/";
      entry.path += text_of(header, name_field);
    }
    if (entry.target.empty()) entry.target = text_of(header, target_field);
    if (entry.kind != TarEntry::Kind::link) entry.target.clear();
    entry.path = plain_path(entry.path);
    entry.executable = (number_of(header, mode_field).value_or(0) & 0100) != 0;
    entry.modified = static_cast<std::int64_t>(
        std::min<std::uint64_t>(number_of(header, time_field).value_or(0), octal_limit));
    left_ = entry.size;
    padding_ = padding_of(entry.size);
    return entry;
  }
}

std::size_t TarReader::read(std::span<std::byte> data) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
  if (wanted == 0) return 0;
  const std::size_t n = source_(data.first(wanted));
  if (n == 0) fail("is cut off");
  left_ -= n;
  return n;
}

} // namespace mlp
