// The explicit lists of storage backends, by URL scheme, and of runtimes. A new one adds a line to
// its table in registry.cpp.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/storage.hpp"
#include "core/net/download.hpp"
#include "core/net/http.hpp"
#include "core/net/url.hpp"
#include "core/serve/runtime.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// How remotes are reached, from the user's settings.
struct StorageOptions {
  net::HttpOptions http; // its time limits, attempts and stop are those of ssh too
  std::string ssh_command = "ssh";
  std::string ssh_remote_program = "mlp";
};

// Opens the place that a remote's URL names. Contacts nothing yet. `project_root` is what a
// relative file: URL is relative to. Throws Error(config) for a URL that no backend takes.
[[nodiscard]] std::unique_ptr<data::Storage> open_storage(std::string_view url,
                                                          const fs::path& project_root,
                                                          const StorageOptions& options = {});

// Fetches the file that an ssh: URL names to `target`, as net::download() does from a web server.
net::Downloaded copy_over_ssh(const net::Url& url, const fs::path& target,
                              const std::optional<Digest>& expected, const StorageOptions& options,
                              Progress& progress);
// The same for an s3: URL.
net::Downloaded copy_from_s3(const net::Url& url, const fs::path& target,
                             const std::optional<Digest>& expected, const StorageOptions& options,
                             Progress& progress);

// "file", ...: for messages and checks.
[[nodiscard]] std::vector<std::string> storage_schemes();

// In the order in which they are asked; live as long as the program.
[[nodiscard]] std::span<const serve::RuntimeFactory* const> runtimes() noexcept;

// Loads a model with the first runtime that accepts it. Throws Error: not_found, config if no
// runtime reads it, and what RuntimeFactory::load() throws.
[[nodiscard]] std::unique_ptr<serve::Runtime>
load_runtime(const fs::path& model, const serve::RuntimeOptions& options = {});

} // namespace mlp
