// A user's secrets: one sealed file each in a folder that only the user can enter. They belong to
// the user and not to a project, so that no work tree, image or archive of a project holds them.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/secret/sealed.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::secret {

struct SecretInfo {
  std::string name;
  std::chrono::sys_seconds set{}; // when its value was set
};

// Safe to use from several processes at once; not thread-safe. Blocks on the file system, and on
// the key's command where there is one.
class SecretStore {
 public:
  // `folder` need not be there yet. `key_command`: the setting secrets.key_command; empty: the key
  // is in the file <folder>/../secrets.key, and is made with the first secret.
  SecretStore(fs::path folder, std::string key_command);

  // Sets or replaces a secret, durably. Throws Error: usage for a name or value that is not
  // allowed, denied for a key that others can read, integrity if the key is gone while there are
  // secrets.
  void set(std::string_view name, std::string_view value);
  // Throws Error: not_found with the nearest name, integrity, denied, and what the key's command
  // throws.
  [[nodiscard]] std::string get(std::string_view name);
  // Removes all of them, or none: Error(not_found) with the nearest name.
  void remove(const std::vector<std::string>& names);
  // By name. Reads no value and needs no key.
  [[nodiscard]] std::vector<SecretInfo> list() const;
  // Throws Error(not_found) for the first of them that does not exist.
  void require(const std::vector<std::string>& names) const;

 private:
  [[nodiscard]] fs::path path_of(std::string_view name) const;
  [[nodiscard]] fs::path key_path() const;
  [[nodiscard]] Error not_found(std::string_view name) const;
  const Key& key(bool make);
  void make_folder() const;

  fs::path folder_;
  std::string key_command_;
  std::optional<Key> key_;
};

// $XDG_STATE_HOME/mlp/secrets, else ~/.local/state/mlp/secrets. Throws Error(config) without a
// HOME.
[[nodiscard]] fs::path user_secrets_folder();

} // namespace mlp::secret
