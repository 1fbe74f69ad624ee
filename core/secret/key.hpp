// Where the key of the secrets comes from: a file that only its owner can read, or the output of a
// command (a keyring, a password manager, a vault).
#pragma once

#include "core/base/fs.hpp"
#include "core/secret/sealed.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::secret {

// 64 hexadecimal digits, with or without a newline behind them, or 32 bytes as they are. nullopt
// for anything else.
[[nodiscard]] std::optional<Key> parse_key(std::string_view text);

// nullopt if there is no such file. Throws Error: denied if others than its owner can read it, or
// it is somebody else's; integrity if it holds no key.
[[nodiscard]] std::optional<Key> read_key_file(const fs::path& path);

// Writes a new random key, 0600, durably. The caller holds a lock and has seen that there is none.
[[nodiscard]] Key make_key_file(const fs::path& path);

// The key that a command prints. `words` as in the setting secrets.key_command: quotes group, there
// is no shell. Its standard error is ours, and its input is empty. Blocks for at most a minute.
// Throws Error: config for words that are none or output that is no key, not_found, failed.
[[nodiscard]] Key key_of_command(std::string_view words);

} // namespace mlp::secret
