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
    magic_field{257, 8}, major_field{329, 8}, minor_field{337, 8}, prefix_field{345, 155};
constexpr std::size_t type_at = 156;
// GNU's old form of sparse files: pairs of offset and size, in the header and blocks after it.
constexpr std::size_t old_map_at = 386, old_map_pairs = 4, old_map_more_at = 482, block_pairs = 21,
                      block_more_at = 504;
constexpr Field old_size_field{483, 12};
constexpr std::size_t most_pieces = 64u << 10;
constexpr std::uint64_t id_limit = std::uint64_t{1} << 21;
constexpr std::string_view attribute_record = "SCHILY.xattr.";

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
  put_octal(header, mode_field, entry.mode & 07777);
  put_octal(header, uid_field, entry.uid < id_limit ? entry.uid : 0);
  put_octal(header, gid_field, entry.gid < id_limit ? entry.gid : 0);
  put_octal(header, size_field, size < octal_limit ? size : 0);
  const auto modified = static_cast<std::uint64_t>(std::max<std::int64_t>(entry.modified, 0));
  put_octal(header, time_field, modified < octal_limit ? modified : 0);
  header[type_at] = type;
  if (type == '2' || type == '1') put(header, target_field, entry.target);
  if (type == '3' || type == '4') {
    put_octal(header, major_field, entry.device_major % id_limit);
    put_octal(header, minor_field, entry.device_minor % id_limit);
  }
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
  if (entry.uid >= id_limit) records += record("uid", std::to_string(entry.uid));
  if (entry.gid >= id_limit) records += record("gid", std::to_string(entry.gid));
  for (const auto& [name, value] : entry.attributes)
    records += record(std::string(attribute_record) + name, value);
  if (records.empty()) return;
  header({.mode = 0644}, 'x', "pax", records.size());
  sink_(records);
  sink_(std::string(padding_of(records.size()), '\0'));
}

void TarWriter::entry(const TarEntry& entry) {
  if (left_ != 0) throw std::logic_error("a file of a tar archive is not complete");
  extended(entry);
  const std::string_view path = std::string_view(entry.path).substr(0, name_field.size - 1);
  using Kind = TarEntry::Kind;
  switch (entry.kind) {
  case Kind::file:
    header(entry, '0', path, entry.size);
    left_ = entry.size;
    padding_ = padding_of(entry.size);
    return;
  case Kind::folder:
    return header(entry, '5', path, 0);
  case Kind::link:
    return header(entry, '2', path, 0);
  case Kind::hard_link:
    return header(entry, '1', path, 0);
  case Kind::character_device:
    return header(entry, '3', path, 0);
  case Kind::block_device:
    return header(entry, '4', path, 0);
  case Kind::fifo:
    return header(entry, '6', path, 0);
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

// --- reading

struct TarReader::Records {
  TarEntry entry;
  std::optional<std::uint64_t> size, real_size, uid, gid;
  std::optional<std::int64_t> modified;
  bool sparse = false, map_in_content = false; // GNU's formats 0.x, and 1.0
  std::string sparse_name;
  std::vector<std::uint64_t> map; // of formats 0.x: offset, size, ...
};

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

std::uint64_t TarReader::record_number(std::string_view text) const {
  std::uint64_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc() || end != text.data() + text.size()) fail("has a damaged record");
  return number;
}

void TarReader::take_record(std::string_view key, std::string_view value, Records& records) const {
  TarEntry& entry = records.entry;
  if (key == "path") entry.path = value;
  if (key == "linkpath") entry.target = value;
  if (key == "size") records.size = record_number(value);
  if (key == "uid") records.uid = record_number(value);
  if (key == "gid") records.gid = record_number(value);
  if (key == "mtime") { // seconds, with a fraction that nobody needs
    const std::string_view whole = value.substr(0, value.find('.'));
    const bool before = whole.starts_with('-');
    const auto seconds =
        static_cast<std::int64_t>(record_number(whole.substr(before ? 1 : 0)) % octal_limit);
    records.modified = before ? -seconds : seconds;
  }
  if (key.starts_with(attribute_record)) {
    const std::string_view name = key.substr(attribute_record.size());
    if (name.empty()) fail("has a damaged record");
    entry.attributes.emplace_back(name, value);
  }
  if (!key.starts_with("GNU.sparse.")) return;
  records.sparse = true;
  const std::string_view word = key.substr(std::string_view("GNU.sparse.").size());
  if (word == "major") records.map_in_content = value == "1";
  if (word == "name") records.sparse_name = value;
  if (word == "realsize" || word == "size") records.real_size = record_number(value);
  if (word == "offset" || word == "numbytes") records.map.push_back(record_number(value));
  if (word == "map") {
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      records.map.push_back(record_number(rest.substr(0, comma)));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
}

void TarReader::take_records(const std::string& text, Records& records) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto [stop, code] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const auto digits = static_cast<std::size_t>(stop - rest.data());
    if (code != std::errc() || length > rest.size() || length < digits + 3 || *stop != ' ' ||
        rest[length - 1] != '\n')
      fail("has a damaged record");
    const std::string_view body = rest.substr(digits + 1, length - digits - 2);
    const std::size_t equals = body.find('=');
    if (equals == std::string_view::npos) fail("has a damaged record");
    take_record(body.substr(0, equals), body.substr(equals + 1), records);
    rest.remove_prefix(length);
  }
}

void TarReader::add_piece(std::uint64_t offset, std::uint64_t size) {
  if (pieces_.size() >= most_pieces) fail("has a sparse file of more than 65,536 pieces");
  if (size > 0) pieces_.push_back({offset, size});
}

// In the header, and in as many blocks after it as say that more follow.
void TarReader::read_old_map(std::span<const char> header) {
  const auto take = [&](const Block& from, std::size_t at, std::size_t pairs) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const auto offset = number_of(from, {at + i * 24, 12});
      const auto size = number_of(from, {at + i * 24 + 12, 12});
      if (!offset || !size) fail("has a size that is no number");
      add_piece(*offset, *size);
    }
  };
  Block part{};
  std::copy(header.begin(), header.end(), part.begin());
  take(part, old_map_at, old_map_pairs);
  bool more = part[old_map_more_at] != 0;
  for (std::size_t blocks = 0; more; ++blocks) {
    if (blocks > most_pieces / block_pairs) fail("has a sparse file of more than 65,536 pieces");
    fill(std::as_writable_bytes(std::span(part)));
    take(part, 0, block_pairs);
    more = part[block_more_at] != 0;
  }
}

// Format 1.0: decimal numbers, one a line, before the content and padded to whole blocks.
void TarReader::read_map(std::uint64_t& stored) {
  Block part{};
  std::size_t at = part.size();
  const auto number = [&] {
    std::uint64_t value = 0;
    for (std::size_t digits = 0;; ++digits) {
      if (at == part.size()) {
        if (stored < block) fail("has a damaged map of a sparse file");
        fill(std::as_writable_bytes(std::span(part)));
        stored -= block;
        at = 0;
      }
      const char c = part[at++];
      if (c == '\n' && digits > 0) return value;
      if (c < '0' || c > '9' || digits > 18) fail("has a damaged map of a sparse file");
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
  };
  const std::uint64_t pairs = number();
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const std::uint64_t offset = number();
    add_piece(offset, number());
  }
}

// In order, within the file, and all that is stored.
void TarReader::check_pieces(std::uint64_t stored, std::uint64_t size) const {
  std::uint64_t end = 0, sum = 0;
  for (const Piece& piece : pieces_) {
    if (piece.offset < end || piece.offset > size || piece.size > size - piece.offset)
      fail("has a damaged map of a sparse file");
    end = piece.offset + piece.size;
    sum += piece.size;
  }
  if (sum != stored) fail("has a damaged map of a sparse file");
}

std::optional<TarEntry> TarReader::next() {
  skip(std::exchange(left_, 0));
  skip(std::exchange(padding_, 0));
  pieces_.clear();
  piece_ = 0;
  at_ = size_ = 0;
  Records records;
  TarEntry& entry = records.entry;
  using Kind = TarEntry::Kind;
  while (true) {
    Block header{};
    fill(std::as_writable_bytes(std::span(header)));
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; }))
      return std::nullopt;
    if (number_of(header, sum_field) != sum_of(header)) fail("is damaged, or no tar archive");
    const auto own_size = number_of(header, size_field);
    if (!own_size) fail("has a size that is no number");
    bool old_sparse = false;
    switch (const char type = header[type_at]) {
    case 'x':
      take_records(small_content(*own_size), records);
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
    case '7': // a file that once lay in one piece
      break;
    case 'S':
      old_sparse = true;
      break;
    case '1':
      entry.kind = Kind::hard_link;
      break;
    case '2':
      entry.kind = Kind::link;
      break;
    case '3':
      entry.kind = Kind::character_device;
      break;
    case '4':
      entry.kind = Kind::block_device;
      break;
    case '5':
      entry.kind = Kind::folder;
      break;
    case '6':
      entry.kind = Kind::fifo;
      break;
    default:
      fail(fmt::format("has an entry of type '{}', which is not taken",
                       printable(std::string(1, type))));
    }
    if (!records.sparse_name.empty()) entry.path = records.sparse_name;
    if (entry.path.empty()) {
      const std::string_view prefix = text_of(header, prefix_field);
      // GNU's old format has other things there, and "ustar  " before it.
      const bool posix = std::memcmp(&header[magic_field.at], "ustar", 6) == 0;
      if (posix && !prefix.empty()) entry.path = std::string(prefix) + "/";
      entry.path += text_of(header, name_field);
    }
    if (entry.target.empty()) entry.target = text_of(header, target_field);
    if (entry.kind == Kind::hard_link) entry.target = plain_path(entry.target);
    if (entry.kind != Kind::link && entry.kind != Kind::hard_link) entry.target.clear();
    // Old archives say so of a folder.
    if (entry.kind == Kind::file && entry.path.ends_with('/')) entry.kind = Kind::folder;
    entry.path = plain_path(entry.path);
    entry.mode = static_cast<unsigned>(number_of(header, mode_field).value_or(0) & 07777);
    const auto id = [&](Field field, const std::optional<std::uint64_t>& said) {
      return static_cast<std::uint32_t>(said.value_or(number_of(header, field).value_or(0)));
    };
    entry.uid = id(uid_field, records.uid);
    entry.gid = id(gid_field, records.gid);
    if (entry.kind == Kind::character_device || entry.kind == Kind::block_device) {
      entry.device_major = id(major_field, {});
      entry.device_minor = id(minor_field, {});
    }
    entry.modified = records.modified.value_or(static_cast<std::int64_t>(
        std::min<std::uint64_t>(number_of(header, time_field).value_or(0), octal_limit)));
    std::sort(entry.attributes.begin(), entry.attributes.end());
    if (entry.kind != Kind::file) return entry;

    std::uint64_t stored = records.size.value_or(*own_size);
    padding_ = padding_of(stored);
    entry.size = stored;
    if (old_sparse) {
      const auto real = number_of(header, old_size_field);
      if (!real) fail("has a size that is no number");
      entry.size = *real;
      read_old_map(header);
    } else if (records.sparse) {
      if (!records.real_size || records.map.size() % 2 != 0)
        fail("has a damaged map of a sparse file");
      entry.size = *records.real_size;
      if (records.map_in_content) read_map(stored);
      for (std::size_t i = 0; i < records.map.size(); i += 2)
        add_piece(records.map[i], records.map[i + 1]);
    } else if (stored > 0) {
      pieces_.push_back({0, stored});
    }
    entry.sparse = old_sparse || records.sparse;
    check_pieces(stored, entry.size);
    left_ = stored;
    size_ = entry.size;
    return entry;
  }
}

std::size_t TarReader::read(std::span<std::byte> data) {
  auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size_ - at_, data.size()));
  if (wanted == 0) return 0;
  const std::uint64_t next = piece_ < pieces_.size() ? pieces_[piece_].offset : size_;
  if (at_ < next) {
    wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, next - at_));
    std::fill_n(data.begin(), wanted, std::byte{0});
    at_ += wanted;
    return wanted;
  }
  const std::uint64_t end = next + pieces_[piece_].size;
  wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, end - at_));
  const std::size_t n = source_(data.first(wanted));
  if (n == 0) fail("is cut off");
  at_ += n;
  left_ -= n;
  if (at_ == end) ++piece_;
  return n;
}

} // namespace mlp
