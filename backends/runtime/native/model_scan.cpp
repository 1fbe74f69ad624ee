// A walk over the wire format that knows just enough of onnx.proto to tell structure (nodes, names,
// shapes) from the numbers of tensors.
#include "backends/runtime/native/model_scan.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace mlp::native {

namespace {

enum class Kind {
  model,
  graph,
  function,
  node,
  attribute,
  tensor,
  value_info,
  type,
  tensor_type,
  shape,
  text,
  numbers,
  heavy
};

struct Child {
  Kind parent;
  unsigned field;
  Kind child;
};

// Fields not listed are text. `heavy`: messages that are not walked and charged at their worst.
constexpr Child children[] = {
    {Kind::model, 7, Kind::graph},          {Kind::model, 25, Kind::function},
    {Kind::model, 20, Kind::heavy},         {Kind::graph, 1, Kind::node},
    {Kind::graph, 5, Kind::tensor},         {Kind::graph, 11, Kind::value_info},
    {Kind::graph, 12, Kind::value_info},    {Kind::graph, 13, Kind::value_info},
    {Kind::graph, 14, Kind::heavy},         {Kind::graph, 15, Kind::heavy},
    {Kind::function, 7, Kind::node},        {Kind::function, 11, Kind::attribute},
    {Kind::function, 12, Kind::value_info}, {Kind::node, 5, Kind::attribute},
    {Kind::attribute, 5, Kind::tensor},     {Kind::attribute, 6, Kind::graph},
    {Kind::attribute, 7, Kind::numbers},    {Kind::attribute, 8, Kind::numbers},
    {Kind::attribute, 10, Kind::tensor},    {Kind::attribute, 11, Kind::graph},
    {Kind::attribute, 14, Kind::heavy},     {Kind::attribute, 15, Kind::heavy},
    {Kind::attribute, 22, Kind::heavy},     {Kind::attribute, 23, Kind::heavy},
    {Kind::tensor, 1, Kind::numbers},       {Kind::tensor, 4, Kind::numbers},
    {Kind::tensor, 5, Kind::numbers},       {Kind::tensor, 7, Kind::numbers},
    {Kind::tensor, 9, Kind::numbers},       {Kind::tensor, 10, Kind::numbers},
    {Kind::tensor, 11, Kind::numbers},      {Kind::value_info, 2, Kind::type},
    {Kind::type, 1, Kind::tensor_type},     {Kind::type, 4, Kind::heavy},
    {Kind::type, 5, Kind::heavy},           {Kind::type, 8, Kind::heavy},
    {Kind::type, 9, Kind::heavy},           {Kind::tensor_type, 2, Kind::shape},
};

constexpr std::uint64_t kObject = 160; // bytes that a message or a string takes, about
constexpr std::uint64_t kHeavy = 80;   // bytes for each byte of a message that is not walked
constexpr int kMaxDepth = 64;

Kind child_of(Kind parent, std::uint64_t field) {
  for (const Child& row : children)
    if (row.parent == parent && row.field == field) return row.child;
  return Kind::text;
}

class Scanner {
 public:
  explicit Scanner(const Limits& limits) : limits_(limits) {}

  void walk(std::string_view bytes, Kind kind, int depth) {
    if (depth > kMaxDepth) refuse("is nested too deeply");
    while (!bytes.empty()) {
      const std::uint64_t key = varint(bytes);
      switch (key & 7) {
      case 0:
        static_cast<void>(varint(bytes));
        break;
      case 1:
        skip(bytes, 8);
        break;
      case 2: {
        const std::uint64_t size = varint(bytes);
        if (size > bytes.size()) refuse("is cut short");
        enter(bytes.substr(0, static_cast<std::size_t>(size)), child_of(kind, key >> 3), depth);
        bytes.remove_prefix(static_cast<std::size_t>(size));
        break;
      }
      case 5:
        skip(bytes, 4);
        break;
      default:
        refuse("has a field of an unknown kind");
      }
    }
  }

 private:
  [[noreturn]] static void refuse(std::string_view why) {
    throw Error(ErrorKind::config, fmt::format("not an ONNX model: it {}", why));
  }

  static void skip(std::string_view& bytes, std::size_t count) {
    if (bytes.size() < count) refuse("is cut short");
    bytes.remove_prefix(count);
  }

  static std::uint64_t varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (bytes.empty()) refuse("is cut short");
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    refuse("has a number of more than 64 bits");
  }

  void enter(std::string_view bytes, Kind kind, int depth) {
    if (kind == Kind::numbers) return;
    if (kind == Kind::node && ++nodes_ > limits_.nodes)
      refuse(fmt::format("has more than {} nodes", limits_.nodes));
    structure_ += kObject;
    if (kind == Kind::text) structure_ += bytes.size();
    if (kind == Kind::heavy) structure_ += kHeavy * bytes.size();
    if (structure_ > limits_.structure_bytes)
      refuse(fmt::format("would take more than {} without its tensors",
                         format_bytes(limits_.structure_bytes)));
    if (kind != Kind::text && kind != Kind::heavy) walk(bytes, kind, depth + 1);
  }

  const Limits& limits_;
  std::uint64_t structure_ = 0;
  std::size_t nodes_ = 0;
};

} // namespace

void scan_model(std::string_view bytes, const Limits& limits) {
  Scanner(limits).walk(bytes, Kind::model, 0);
}

} // namespace mlp::native
