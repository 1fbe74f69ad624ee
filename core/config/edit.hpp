// Edits of mlp.yaml that keep its owner's comments, order and style. The new text is parsed again
// and must mean exactly what was asked for before it replaces the old one, atomically and under the
// same lock as mlp.lock. Where that fails, nothing is written and the error's hint is what to
// change by hand.
#pragma once

#include "core/config/project.hpp"

#include <string>
#include <string_view>

namespace mlp::config {

// True if the file changed; false if the same entry was there already. Throw Error(conflict) if the
// name is taken by another value, Error(config) for a name that is not valid or a file that cannot
// be edited safely.
bool add_dataset(const Project& project, std::string_view name, std::string_view path);
bool add_remote(const Project& project, std::string_view name, std::string_view url);

// Throw Error(not_found), with the nearest name, if there is no such entry.
void remove_dataset(const Project& project, std::string_view name);
void remove_remote(const Project& project, std::string_view name);

// An item of a list of texts in a top-level map, such as `image.python_packages`: added at the end,
// where the list and the map are made if need be; removed, with a list that is then empty. True if
// the file changed.
bool add_list_item(const Project& project, std::string_view section, std::string_view key,
                   std::string_view item);
// Throws Error(not_found), with the nearest item, if it is not there.
void remove_list_item(const Project& project, std::string_view section, std::string_view key,
                      std::string_view item);
[[nodiscard]] std::string add_list_item(const std::string& text, std::string_view name_of_text,
                                        std::string_view section, std::string_view key,
                                        std::string_view item);
[[nodiscard]] std::string remove_list_item(const std::string& text, std::string_view name_of_text,
                                           std::string_view section, std::string_view key,
                                           std::string_view item);

// The same for any top-level map; `value` is YAML in flow style: "{path: data/a.csv}". Pure
// functions of the text, for tests and other files; `name_of_text` stands in errors.
[[nodiscard]] std::string add_mapping_entry(const std::string& text, std::string_view name_of_text,
                                            std::string_view section, std::string_view name,
                                            std::string_view value);
[[nodiscard]] std::string remove_mapping_entry(const std::string& text,
                                               std::string_view name_of_text,
                                               std::string_view section, std::string_view name);

} // namespace mlp::config
