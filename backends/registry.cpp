// scheme -> factory, and the runtimes in order.
#include "backends/registry.hpp"

#include "backends/runtime/native/native.hpp"
#include "backends/storage/file/file_storage.hpp"
#include "backends/storage/http/http_storage.hpp"
#include "backends/storage/s3/s3_file.hpp"
#include "backends/storage/s3/s3_storage.hpp"
#include "backends/storage/ssh/ssh_file.hpp"
#include "backends/storage/ssh/ssh_storage.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace mlp {

namespace {

storage::SshOptions ssh_options(const StorageOptions& options) {
  return {.command = options.ssh_command,
          .remote_program = options.ssh_remote_program,
          .stall_timeout = options.http.stall_timeout,
          .retry = options.http.retry,
          .stop = options.http.stop};
}

struct StorageBackend {
  std::string_view scheme;
  std::unique_ptr<data::Storage> (*open)(const net::Url& url, const fs::path& project_root,
                                         const StorageOptions& options);
};

std::unique_ptr<data::Storage> open_file(const net::Url& url, const fs::path& project_root,
                                         const StorageOptions&) {
  return storage::open_file_storage(url, project_root);
}
const char* environment(const char* name) {
  return std::getenv(name);
}
std::unique_ptr<data::Storage> open_s3(const net::Url& url, const fs::path&,
                                       const StorageOptions& options) {
  return storage::open_s3_storage(url, options.http, environment);
}
std::unique_ptr<data::Storage> open_http(const net::Url& url, const fs::path&,
                                         const StorageOptions& options) {
  return storage::open_http_storage(url, options.http);
}
std::unique_ptr<data::Storage> open_ssh(const net::Url& url, const fs::path&,
                                        const StorageOptions& options) {
  return storage::open_ssh_storage(url, ssh_options(options));
}

constexpr StorageBackend storage_backends[] = {
    {"file", open_file},  {"s3", open_s3},   {"http", open_http},
    {"https", open_http}, {"ssh", open_ssh},
};

} // namespace

std::vector<std::string> storage_schemes() {
  std::vector<std::string> names;
  for (const auto& backend : storage_backends)
    names.emplace_back(backend.scheme);
  return names;
}

std::unique_ptr<data::Storage> open_storage(std::string_view url, const fs::path& project_root,
                                            const StorageOptions& options) {
  const net::Url parsed = net::parse_url(url);
  for (const auto& backend : storage_backends) {
    if (backend.scheme == parsed.scheme) return backend.open(parsed, project_root, options);
  }
  const auto schemes = storage_schemes();
  throw Error(ErrorKind::config, fmt::format("no storage backend for '{}' ('{}:')",
                                             net::redacted(parsed), parsed.scheme))
      .with_hint(suggestion_hint(parsed.scheme, schemes, "schemes"));
}

net::Downloaded copy_over_ssh(const net::Url& url, const fs::path& target,
                              const std::optional<Digest>& expected, const StorageOptions& options,
                              Progress& progress) {
  return storage::copy_ssh_file(url, target, expected, ssh_options(options), progress);
}

net::Downloaded copy_from_s3(const net::Url& url, const fs::path& target,
                             const std::optional<Digest>& expected, const StorageOptions& options,
                             Progress& progress) {
  return storage::copy_s3_file(url, target, expected, options.http, environment, progress);
}

std::span<const serve::RuntimeFactory* const> runtimes() noexcept {
  static const serve::RuntimeFactory* const table[] = {
      &native::runtime_factory(),
  };
  return table;
}

std::unique_ptr<serve::Runtime> load_runtime(const fs::path& model,
                                             const serve::RuntimeOptions& options) {
  for (const serve::RuntimeFactory* factory : runtimes())
    if (factory->accepts(model)) return factory->load(model, options);
  std::error_code error;
  if (!fs::exists(model, error))
    throw Error(ErrorKind::not_found, fmt::format("no model at '{}'", model.string()));
  throw Error(ErrorKind::config, fmt::format("no runtime reads '{}'", model.string()))
      .with_hint("give an ONNX file (*.onnx), or a folder with model.onnx");
}

} // namespace mlp
