// A folder of secrets is locked by who uses it, so that one that nobody holds can be removed.
#include "core/job/run_secrets.hpp"

#include "core/base/error.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace mlp::job {

namespace {

constexpr std::string_view folder_prefix = "mlp-secrets-";
constexpr std::time_t settling_seconds = 60; // a folder as young may not have its lock yet

// A folder in memory that we may write to.
bool is_memory(const fs::path& folder) {
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC &&
         ::access(folder.c_str(), W_OK | X_OK) == 0;
}

void remove_stale(const fs::path& parent) {
  std::error_code code;
  for (fs::directory_iterator it(parent, code), end; !code && it != end; it.increment(code)) {
    struct stat info {};
    if (!it->path().filename().native().starts_with(folder_prefix) ||
        ::lstat(it->path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
        info.st_uid != ::geteuid() || info.st_mtime + settling_seconds > std::time(nullptr))
      continue;
    try {
      if (const auto lock = FileLock::try_lock(it->path() / ".lock")) mlp::remove_all(it->path());
    } catch (const Error&) { // it goes another time
    }
  }
}

std::vector<std::string> values_of(const std::vector<RunSecret>& secrets) {
  std::vector<std::string> values;
  for (const RunSecret& secret : secrets)
    values.push_back(secret.value);
  return values;
}

} // namespace

std::vector<RunSecret> resolve_secrets(const std::vector<config::SecretUse>& uses,
                                       secret::SecretStore& store) {
  std::vector<RunSecret> out;
  for (const config::SecretUse& use : uses) {
    std::string value = store.get(use.name);
    if (!use.file && value.find('\0') != std::string::npos)
      throw Error(ErrorKind::config,
                  fmt::format("secret '{}' holds a NUL byte: it cannot be an environment variable",
                              use.name))
          .with_hint(fmt::format("take it as a file: {{name: {}, file: true}}", use.name));
    out.push_back({use.name, std::move(value), use.file});
  }
  return out;
}

std::vector<RunSecret> resolve_secrets(const std::vector<config::SecretUse>& uses) {
  if (uses.empty()) return {};
  secret::SecretStore store(
      secret::user_secrets_folder(),
      config::Settings::load(config::process_environment(), {}).get_string("secrets.key_command"));
  return resolve_secrets(uses, store);
}

RunSecrets::RunSecrets(std::vector<RunSecret> secrets, const fs::path& run_folder)
    : secrets_(std::move(secrets)), masked_(values_of(secrets_)) {
  if (std::ranges::any_of(secrets_, [](const RunSecret& secret) { return secret.file; }))
    write_files(run_folder);
}

void RunSecrets::write_files(const fs::path& run_folder) {
  const fs::path memory = "/dev/shm";
  const fs::path parent = is_memory(memory) ? memory : run_folder;
  remove_stale(parent);
  folder_.emplace(folder_prefix, parent);
  lock_ = FileLock::try_lock(folder_->path() / ".lock");
  for (const RunSecret& secret : secrets_)
    if (secret.file) {
      File file = File::create(folder_->path() / secret.name, 0600);
      file.write(secret.value);
    }
}

void RunSecrets::add_to(std::map<std::string, std::string>& environment) const {
  for (const RunSecret& secret : secrets_)
    environment.insert_or_assign(secret.name, secret.file ? (folder_->path() / secret.name).native()
                                                          : secret.value);
}

} // namespace mlp::job
