// A setting that holds a command: words with quotes, and no shell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// "a 'b c' \"d\"" is three words: blanks part them, quotes group. Throws Error(config) that names
// the setting, for a quote that is not closed and for no word at all.
[[nodiscard]] std::vector<std::string> split_setting_words(std::string_view setting,
                                                           std::string_view text);

} // namespace mlp
