// Files and their folder; sealing and keys are next door.
#include "core/secret/store.hpp"

#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/secret/key.hpp"
#include "core/secret/names.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mlp::secret {

namespace {

constexpr std::chrono::seconds lock_patience{30};

} // namespace

SecretStore::SecretStore(fs::path folder, std::string key_command)
    : folder_(std::move(folder)), key_command_(std::move(key_command)) {}

fs::path SecretStore::path_of(std::string_view name) const {
  return folder_ / name;
}
fs::path SecretStore::key_path() const {
  return folder_.parent_path() / "secrets.key";
}

Error SecretStore::not_found(std::string_view name) const {
  std::vector<std::string> known;
  for (SecretInfo& info : list())
    known.push_back(std::move(info.name));
  Error error(ErrorKind::not_found, fmt::format("no secret '{}'", printable(name.substr(0, 128))));
  if (const auto nearest = nearest_name(name, known))
    error.add_hint(fmt::format("did you mean '{}'?", *nearest));
  if (is_valid_secret_name(name))
    error.add_hint(fmt::format("set it with: mlp secret set {}", name));
  return error;
}

void SecretStore::make_folder() const {
  make_directories(folder_.parent_path());
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error(errno, "create", folder_.native());
  struct stat info {};
  if (::lstat(folder_.c_str(), &info) != 0) throw system_error(errno, "read", folder_.native());
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid())
    throw Error(ErrorKind::denied, fmt::format("'{}' is no folder of this user", folder_.native()));
  if ((info.st_mode & 077) != 0 && ::chmod(folder_.c_str(), 0700) != 0)
    throw system_error(errno, "protect", folder_.native());
}

const Key& SecretStore::key(bool make) {
  if (key_) return *key_;
  if (!key_command_.empty()) {
    key_ = key_of_command(key_command_);
    return *key_;
  }
  key_ = read_key_file(key_path());
  if (key_) return *key_;
  if (!make || !list().empty())
    throw Error(ErrorKind::integrity,
                fmt::format("the key of the secrets, '{}', is gone", key_path().native()))
        .with_hint("bring it back from a copy, or name the command that has it: mlp config set "
                   "secrets.key_command")
        .with_hint("without it they cannot be read: remove them with mlp secret rm, and set them "
                   "again");
  key_ = make_key_file(key_path());
  return *key_;
}

void SecretStore::set(std::string_view name, std::string_view value) {
  check_secret_name(name);
  make_folder();
  const FileLock lock(folder_ / ".lock", "the secrets", lock_patience);
  write_file_atomic(path_of(name), seal(key(true), name, value), 0600);
}

std::string SecretStore::get(std::string_view name) {
  if (!is_valid_secret_name(name)) throw not_found(name);
  std::optional<std::string> file;
  try {
    file = read_file_if_exists(path_of(name), max_sealed_bytes);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) throw;
    file.emplace(); // too large, or no file: damaged
  }
  if (!file) throw not_found(name);
  return unseal(key(false), name, *file);
}

void SecretStore::remove(const std::vector<std::string>& names) {
  require(names);
  const FileLock lock(folder_ / ".lock", "the secrets", lock_patience);
  for (const std::string& name : names)
    if (::unlink(path_of(name).c_str()) != 0 && errno != ENOENT)
      throw system_error(errno, "remove", path_of(name).native());
  sync_directory(folder_);
}

std::vector<SecretInfo> SecretStore::list() const {
  std::vector<SecretInfo> out;
  std::error_code code;
  for (fs::directory_iterator it(folder_, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().native();
    struct stat info {};
    if (!is_valid_secret_name(name) || ::lstat(it->path().c_str(), &info) != 0) continue;
    out.push_back({name, std::chrono::sys_seconds(std::chrono::seconds(info.st_mtim.tv_sec))});
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "read", folder_.native());
  std::ranges::sort(out, {}, &SecretInfo::name);
  return out;
}

void SecretStore::require(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    struct stat info {};
    if (!is_valid_secret_name(name) || ::lstat(path_of(name).c_str(), &info) != 0)
      throw not_found(name);
  }
}

fs::path user_secrets_folder() {
  // The XDG base directory specification: a path that is not absolute is to be ignored.
  if (const auto state = get_env("XDG_STATE_HOME"); state && state->starts_with('/'))
    return fs::path(*state) / "mlp" / "secrets";
  if (const auto home = get_env("HOME"); home && home->starts_with('/'))
    return fs::path(*home) / ".local" / "state" / "mlp" / "secrets";
  throw Error(ErrorKind::config, "there is no place for secrets")
      .with_hint("set HOME or XDG_STATE_HOME");
}

} // namespace mlp::secret
