// Answers of an object store: any bytes are parsed or refused, and what is parsed is within limits.
#include "backends/storage/s3/xml.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using mlp::storage::XmlElement;

namespace {

void check(const XmlElement& element, std::size_t depth) {
  if (element.name.empty() || depth > mlp::storage::max_xml_depth) std::abort();
  const auto again =
      mlp::storage::parse_xml("<a>" + mlp::storage::xml_escape(element.text) + "</a>");
  if (!again || again->text != element.text) std::abort();
  for (const XmlElement& child : element.children)
    check(child, depth + 1);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64u << 10) return 0;
  const auto root = mlp::storage::parse_xml({reinterpret_cast<const char*>(data), size});
  if (root) check(*root, 1);
  return 0;
}
