// One line an object; strict, so that a page of HTML is not taken for a listing.
#include "backends/storage/file/listing.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <charconv>

namespace mlp::storage {

std::string format_listing(const std::vector<data::ListedObject>& objects) {
  std::string text;
  for (const data::ListedObject& object : objects)
    text += fmt::format("{} {}\n", object.size, object.name);
  return text;
}

std::vector<data::ListedObject> parse_listing(std::string_view text, std::string_view place) {
  std::vector<data::ListedObject> objects;
  std::size_t line = 0;
  const auto bad = [&](std::string_view reason) {
    return Error(ErrorKind::integrity,
                 fmt::format("line {} of '{}' at '{}' {}", line, listing_name, place, reason))
        .with_hint("a push to the file: remote writes it again");
  };
  while (!text.empty()) {
    ++line;
    const auto end = text.find('\n');
    if (end == std::string_view::npos) throw bad("is cut off");
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(end + 1);
    data::ListedObject object;
    const auto [rest, code] = std::from_chars(row.data(), row.data() + row.size(), object.size);
    if (code != std::errc() || rest == row.data() + row.size() || *rest != ' ')
      throw bad("is not a size and a name");
    object.name = std::string(rest + 1, row.data() + row.size());
    try {
      data::check_object_name(object.name);
    } catch (const Error&) {
      throw bad("is not a size and a name");
    }
    if (!objects.empty() && object.name <= objects.back().name) throw bad("is out of order");
    objects.push_back(std::move(object));
  }
  return objects;
}

} // namespace mlp::storage
