// The file "listing.txt" of a file: remote: what it holds, for readers that cannot list a folder,
// as over a static web server. Lines "<size> <name>\n" in byte order of the names, objects and
// refs.
#pragma once

#include "core/data/storage.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::storage {

inline constexpr std::string_view listing_name = "listing.txt";
inline constexpr std::size_t max_listing_bytes = 256u << 20;

[[nodiscard]] std::string format_listing(const std::vector<data::ListedObject>& objects);
// Throws Error(integrity) that names `place` for a text that is none.
[[nodiscard]] std::vector<data::ListedObject> parse_listing(std::string_view text,
                                                            std::string_view place);

} // namespace mlp::storage
