// TFRecords through one window on the file, and a reader of the wire format that trusts no length.
#include "core/track/event_file.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

namespace mlp::track {

namespace {

constexpr std::size_t header_bytes = 12; // length and its checksum
constexpr std::size_t footer_bytes = 4;
constexpr std::size_t window_bytes = 64u << 10;
constexpr std::uint64_t largest_record = 4u << 20;

template <class Unsigned>
Unsigned little_endian(std::string_view bytes) noexcept {
  Unsigned value = 0;
  for (std::size_t i = sizeof(Unsigned); i-- > 0;)
    value = static_cast<Unsigned>(value << 8 | static_cast<unsigned char>(bytes[i]));
  return value;
}

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> crc_table = make_crc_table();

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;  // of varint, fixed64, fixed32
  std::string_view content; // of bytes
};

// The fields of a message, one after another; ends at the first that is none.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  std::optional<Field> next() {
    const auto key = varint();
    if (!key) return std::nullopt;
    Field field;
    field.number = *key >> 3;
    field.wire = static_cast<Wire>(*key & 7);
    if (field.number == 0) return std::nullopt;
    switch (field.wire) {
    case Wire::varint: {
      const auto value = varint();
      if (!value) return std::nullopt;
      field.value = *value;
      return field;
    }
    case Wire::fixed64:
      return fixed<std::uint64_t>(field);
    case Wire::fixed32:
      return fixed<std::uint32_t>(field);
    case Wire::bytes: {
      const auto length = varint();
      if (!length || *length > rest_.size()) return std::nullopt;
      field.content = take(static_cast<std::size_t>(*length));
      return field;
    }
    }
    return std::nullopt; // groups are not written any more
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

 private:
  std::string_view take(std::size_t size) {
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  template <class Unsigned>
  std::optional<Field> fixed(Field field) {
    if (rest_.size() < sizeof(Unsigned)) return std::nullopt;
    field.value = little_endian<Unsigned>(take(sizeof(Unsigned)));
    return field;
  }

  std::string_view rest_;
};

// The numbers of DataType that a scalar may have.
enum class Type : std::uint8_t {
  none = 0,
  float32 = 1,
  float64 = 2,
  int32 = 3,
  int64 = 9,
  bfloat16 = 14,
  float16 = 19,
};

std::size_t size_of(Type type) {
  switch (type) {
  case Type::float64:
  case Type::int64:
    return 8;
  case Type::float32:
  case Type::int32:
    return 4;
  case Type::bfloat16:
  case Type::float16:
    return 2;
  case Type::none:
    break;
  }
  return 0;
}

double half_to_double(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double value = 0.0;
  if (exponent == 31)
    value = fraction == 0 ? HUGE_VAL : std::nan("");
  else if (exponent == 0)
    value = std::ldexp(fraction, -24);
  else
    value = std::ldexp(fraction + 1024, exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

double float_of(std::uint64_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

double value_of(Type type, std::uint64_t bits) {
  switch (type) {
  case Type::float32:
    return float_of(bits);
  case Type::float64:
    return std::bit_cast<double>(bits);
  case Type::int32:
    return static_cast<std::int32_t>(bits);
  case Type::int64:
    return static_cast<double>(static_cast<std::int64_t>(bits));
  case Type::bfloat16:
    return float_of(bits << 16 & 0xffff'ffff);
  case Type::float16:
    return half_to_double(static_cast<std::uint16_t>(bits));
  case Type::none:
    break;
  }
  return std::nan("");
}

// The values of a repeated field of numbers: one by itself, or packed.
struct Numbers {
  std::size_t count = 0;
  std::uint64_t first = 0;

  void add(std::uint64_t bits) {
    if (count++ == 0) first = bits;
  }
  void add(const Field& field, std::size_t fixed_size) {
    if (field.wire != Wire::bytes) return add(field.value);
    if (fixed_size == 0) {
      Fields packed(field.content);
      while (const auto value = packed.varint())
        add(*value);
      return;
    }
    for (std::size_t at = 0; at + fixed_size <= field.content.size(); at += fixed_size)
      add(fixed_size == 8 ? little_endian<std::uint64_t>(field.content.substr(at))
                          : little_endian<std::uint32_t>(field.content.substr(at)));
  }
};

std::uint64_t elements_of(std::string_view shape) {
  std::uint64_t count = 1;
  Fields fields(shape);
  while (const auto field = fields.next()) {
    if (field->number != 2 || field->wire != Wire::bytes) continue;
    std::uint64_t size = 0;
    Fields dimension(field->content);
    while (const auto inner = dimension.next())
      if (inner->number == 1 && inner->wire == Wire::varint) size = inner->value;
    if (size != 1) count = 0; // not one element, whatever else
  }
  return count;
}

// The value of a tensor of one element.
std::optional<double> scalar_of(std::string_view tensor) {
  Type type = Type::none;
  std::uint64_t elements = 1;
  std::string_view content;
  Numbers numbers;
  Fields fields(tensor);
  while (const auto field = fields.next()) {
    switch (field->number) {
    case 1: // dtype
      type = field->value < 32 ? static_cast<Type>(field->value) : Type::none;
      break;
    case 2: // tensor_shape
      elements = elements_of(field->content);
      break;
    case 4: // tensor_content
      content = field->content;
      break;
    case 5: // float_val
      numbers.add(*field, 4);
      break;
    case 6: // double_val
      numbers.add(*field, 8);
      break;
    case 7:  // int_val
    case 10: // int64_val
    case 13: // half_val
      numbers.add(*field, 0);
      break;
    default:
      break;
    }
  }
  const std::size_t size = size_of(type);
  if (size == 0 || elements != 1) return std::nullopt;
  if (content.size() == size) {
    std::array<char, 8> bytes{};
    std::copy(content.begin(), content.end(), bytes.begin());
    return value_of(type, little_endian<std::uint64_t>({bytes.data(), bytes.size()}));
  }
  if (!content.empty() || numbers.count != 1) return std::nullopt;
  return value_of(type, numbers.first);
}

// SummaryMetadata names the plugin that a value is for.
bool is_for_scalars(std::string_view metadata) {
  Fields fields(metadata);
  while (const auto field = fields.next()) {
    if (field->number != 1 || field->wire != Wire::bytes) continue;
    Fields plugin(field->content);
    while (const auto inner = plugin.next())
      if (inner->number == 1 && inner->wire == Wire::bytes)
        return inner->content.empty() || inner->content == "scalars";
  }
  return true;
}

void read_value(std::string_view message, EventScalar scalar, const EachScalar& each) {
  std::optional<double> value;
  Fields fields(message);
  while (const auto field = fields.next()) {
    if (field->number == 1 && field->wire == Wire::bytes)
      scalar.tag = field->content;
    else if (field->number == 2 && field->wire == Wire::fixed32)
      value = float_of(field->value);
    else if (field->number == 8 && field->wire == Wire::bytes)
      value = scalar_of(field->content);
    else if (field->number == 9 && field->wire == Wire::bytes && !is_for_scalars(field->content))
      return;
  }
  if (!value || scalar.tag.empty() || !is_valid_utf8(scalar.tag)) return;
  scalar.value = *value;
  each(scalar);
}

// A file through a window that moves forward.
class Window {
 public:
  Window(const fs::path& path, std::uint64_t offset)
      : file_(File::open_read(path)), size_(file_.size()), offset_(offset) {}

  // `count` bytes from the current place on; nullopt if the file does not hold as many. Valid until
  // the next call.
  std::optional<std::string_view> peek(std::size_t count) {
    if (offset_ > size_ || size_ - offset_ < count) return std::nullopt;
    if (offset_ < begin_ || offset_ + count > begin_ + held_) {
      if (buffer_.size() < count) buffer_.resize(std::max(count, window_bytes));
      begin_ = offset_;
      held_ = 0;
      while (held_ < count) {
        const std::size_t n = file_.read_at(
            std::as_writable_bytes(std::span(buffer_.data() + held_, buffer_.size() - held_)),
            begin_ + held_);
        if (n == 0) return std::nullopt; // it was cut meanwhile
        held_ += n;
      }
    }
    return std::string_view(buffer_).substr(static_cast<std::size_t>(offset_ - begin_), count);
  }
  [[nodiscard]] std::uint64_t left() const noexcept {
    return offset_ < size_ ? size_ - offset_ : 0;
  }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  void skip(std::uint64_t count) noexcept { offset_ += count; }

 private:
  File file_;
  std::uint64_t size_, offset_;
  std::string buffer_;
  std::uint64_t begin_ = 0;
  std::size_t held_ = 0;
};

} // namespace

std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t crc = ~0u;
  for (const char c : bytes)
    crc = (crc >> 8) ^ crc_table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::uint32_t masked_crc32c(std::string_view bytes) noexcept {
  const std::uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xa282ead8u;
}

void read_event(std::string_view message, const EachScalar& each) {
  EventScalar scalar;
  std::string_view summary;
  Fields fields(message);
  while (const auto field = fields.next()) {
    if (field->number == 1 && field->wire == Wire::fixed64)
      scalar.wall_time = std::bit_cast<double>(field->value);
    else if (field->number == 2 && field->wire == Wire::varint)
      scalar.step = static_cast<std::int64_t>(field->value);
    else if (field->number == 5 && field->wire == Wire::bytes)
      summary = field->content;
  }
  Fields values(summary);
  while (const auto field = values.next())
    if (field->number == 1 && field->wire == Wire::bytes) read_value(field->content, scalar, each);
}

EventFileEnd read_event_file(const fs::path& path, std::uint64_t offset, const EachScalar& each) {
  Window window(path, offset);
  while (true) {
    const auto header = window.peek(header_bytes);
    if (!header) return {window.offset(), false};
    const auto length = little_endian<std::uint64_t>(*header);
    if (little_endian<std::uint32_t>(header->substr(8)) != masked_crc32c(header->substr(0, 8)))
      return {window.offset(), true};
    const std::uint64_t left = window.left() - header_bytes;
    if (left < footer_bytes || length > left - footer_bytes) return {window.offset(), false};
    const std::uint64_t whole = header_bytes + length + footer_bytes;
    if (length <= largest_record) {
      const auto record = window.peek(static_cast<std::size_t>(whole));
      if (!record) return {window.offset(), false};
      const std::string_view data = record->substr(header_bytes, static_cast<std::size_t>(length));
      if (little_endian<std::uint32_t>(record->substr(record->size() - footer_bytes)) !=
          masked_crc32c(data))
        return {window.offset(), true};
      read_event(data, each);
    }
    window.skip(whole);
  }
}

} // namespace mlp::track
