// apt and pip of the image itself, in containers: with the network where they choose, without it
// where they install.
#include "core/image/install.hpp"

#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/tree.hpp"
#include "core/net/download.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace mlp::image {

namespace {

constexpr const char* exchange = "/run/mlp"; // where a step finds files and leaves its answer
constexpr std::uint64_t most_answer = 64u << 20;

constexpr const char* apt_resolve = R"(set -e
command -v apt-get >/dev/null || exit 100
apt-get -qq -o APT::Sandbox::User=root update
apt-get -qq -y --no-install-recommends --print-uris -o Acquire::ForceHash=SHA256 \
  -o APT::Sandbox::User=root install "$@" >/run/mlp/answer
)";

constexpr const char* apt_install = R"(set -e
exec apt-get -qq -y --no-install-recommends --allow-downgrades -o APT::Sandbox::User=root \
  -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold \
  install /run/mlp/*.deb
)";

constexpr const char* pip_resolve = R"(set -e
python3 -m pip --version >/dev/null 2>&1 || exit 100
[ ! -s /run/mlp/requirements.txt ] || set -- "$@" -r /run/mlp/requirements.txt
[ ! -s /run/mlp/constraints.txt ] || set -- "$@" -c /run/mlp/constraints.txt
exec python3 -m pip install --quiet --dry-run --only-binary=:all: --report /run/mlp/answer "$@"
)";

constexpr const char* pip_install = R"(set -e
exec python3 -m pip install --quiet --no-index --find-links=/run/mlp --no-deps --no-compile "$@"
)";

// The variables of tools that choose mirrors and proxies, as people have set them.
constexpr std::array<const char*, 10> network_variables = {
    "http_proxy",       "https_proxy",        "no_proxy",      "HTTP_PROXY",
    "HTTPS_PROXY",      "NO_PROXY",           "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"};

ContainerSpec base_spec(const PackageContext& context, const char* script,
                        std::vector<std::string> words, const fs::path& folder) {
  ContainerSpec spec;
  spec.layers = context.layers;
  spec.arguments = {"/bin/sh", "-c", script, "sh"};
  spec.arguments.insert(spec.arguments.end(), std::make_move_iterator(words.begin()),
                        std::make_move_iterator(words.end()));
  spec.environment = context.environment;
  const std::map<std::string, std::string> more = {{"DEBIAN_FRONTEND", "noninteractive"},
                                                   {"LC_ALL", "C"},
                                                   {"TZ", "UTC"},
                                                   {"HOME", "/root"},
                                                   {"PIP_DISABLE_PIP_VERSION_CHECK", "1"},
                                                   {"PIP_NO_CACHE_DIR", "1"},
                                                   {"PIP_ROOT_USER_ACTION", "ignore"},
                                                   {"PIP_BREAK_SYSTEM_PACKAGES", "1"},
                                                   {"PYTHONDONTWRITEBYTECODE", "1"},
                                                   {"PYTHONHASHSEED", "0"}};
  for (const auto& [name, value] : more)
    spec.environment[name] = value;
  spec.mounts.push_back({folder, exchange, false});
  spec.pretend_root = true;
  return spec;
}

void allow_network(ContainerSpec& spec) {
  spec.network = true;
  for (const char* name : network_variables)
    if (get_env(name)) spec.inherited.emplace_back(name);
}

// Words that tools could take for options are none.
void check_words(const std::vector<std::string>& words, std::string_view what) {
  for (const std::string& word : words)
    if (word.empty() || word.starts_with('-'))
      throw Error(ErrorKind::config, fmt::format("'{}' is no {}", printable(word), what));
}

std::string answer_of(const TemporaryDirectory& folder) {
  return read_file_if_exists(folder.path() / "answer", most_answer).value_or("");
}

// "" if the layers do not have the program.
bool has_program(const PackageContext& context, std::string_view name) {
  MergedTree tree(context.layers);
  for (const char* folder : {"usr/local/bin", "usr/bin", "bin", "opt/conda/bin"})
    if (tree.resolve(fmt::format("{}/{}", folder, name))) return true;
  return false;
}

fs::path cached(const fs::path& cache, const PackageLock& package) {
  return cache / package.digest.hex();
}
std::string file_name(const PackageLock& package) {
  const std::string& url = package.url;
  const std::size_t begin = url.rfind('/') + 1;
  const std::string name =
      net::percent_decode(url.substr(begin, url.find_first_of("?#", begin) - begin)).value_or("");
  if (unsafe_path_reason(name) || name.find('/') != std::string::npos)
    throw Error(ErrorKind::config, fmt::format("mlp.lock: '{}' names no file", printable(url)));
  return name;
}

// The files under their own names, as hard links where the file system can.
void lay_out(const std::vector<PackageLock>& packages, const fs::path& cache,
             const fs::path& folder) {
  for (const PackageLock& package : packages) {
    const fs::path from = cached(cache, package);
    if (!link_file(from, folder / file_name(package))) {
      std::error_code error;
      fs::copy_file(from, folder / file_name(package), error);
      if (error) throw system_error(error.value(), "copy", from.native());
    }
  }
}

} // namespace

std::vector<PackageLock> resolve_system(const PackageContext& context,
                                        const std::vector<std::string>& packages) {
  check_words(packages, "name of a system package");
  if (!has_program(context, "apt-get"))
    throw Error(ErrorKind::config, "the base has no apt-get to install 'system_packages' with")
        .with_hint("take a base of Debian or Ubuntu");
  const TemporaryDirectory folder("apt-", context.runner.temporary);
  ContainerSpec spec = base_spec(context, apt_resolve, packages, folder.path());
  allow_network(spec);
  run_step(context.runner, spec, "resolve system packages");
  return parse_print_uris(answer_of(folder));
}

std::vector<PackageLock> resolve_python(const PackageContext& context,
                                        const std::vector<std::string>& packages,
                                        const std::string& requirements,
                                        const std::vector<PackageLock>& kept) {
  check_words(packages, "Python package");
  const TemporaryDirectory folder("pip-", context.runner.temporary);
  if (!has_program(context, "python3"))
    throw Error(ErrorKind::config, "the base has no python3 to install Python packages with")
        .with_hint("add 'python3-pip' to image.system_packages, or take a base such as "
                   "docker.io/library/python:3.12-slim");
  write_file_atomic(folder.path() / "requirements.txt", requirements);
  std::string constraints;
  for (const PackageLock& package : kept)
    constraints += fmt::format("{}=={}\n", package.name, package.version);
  write_file_atomic(folder.path() / "constraints.txt", constraints);
  ContainerSpec spec = base_spec(context, pip_resolve, packages, folder.path());
  allow_network(spec);
  try {
    run_step(context.runner, spec, "resolve Python packages");
  } catch (const Error& error) {
    if (kept.empty() || error.kind() != ErrorKind::failed) throw;
    return resolve_python(context, packages, requirements); // what is new needs others
  }
  return parse_pip_report(answer_of(folder));
}

std::string python_version(const PackageContext& context) {
  if (!has_program(context, "python3")) return {};
  const TemporaryDirectory folder("python-", context.runner.temporary);
  run_step(context.runner,
           base_spec(context,
                     "exec python3 -c 'import platform; print(platform.python_version())' "
                     ">/run/mlp/answer",
                     {}, folder.path()),
           "python3 --version");
  const std::string answer = answer_of(folder);
  return std::string(trim(answer));
}

void fetch_packages(const std::vector<PackageLock>& packages, const fs::path& cache,
                    Progress& progress, const std::stop_token& stop) {
  make_directories(cache);
  for (const PackageLock& package : packages) {
    const fs::path target = cached(cache, package);
    if (fs::exists(target)) continue;
    try {
      static_cast<void>(
          net::download(package.url, target, package.digest, {.stop = stop}, progress));
    } catch (Error& error) {
      error.add_context(
          fmt::format("while fetching {} {}", printable(package.name), printable(package.version)));
      if (error.kind() == ErrorKind::not_found)
        error.add_hint("that version is gone from there; choose new ones: mlp env lock");
      throw;
    }
  }
}

void install_system(const PackageContext& context, const std::vector<PackageLock>& packages,
                    const fs::path& upper, const fs::path& work) {
  const TemporaryDirectory folder("debs-", context.runner.temporary);
  lay_out(packages, context.cache, folder.path());
  // No service is started while packages install: Debian Policy, section 9.3.3 (policy-rc.d).
  const TemporaryDirectory policy("policy-", context.runner.temporary);
  write_file_atomic(policy.path() / "policy-rc.d", "#!/bin/sh\nexit 101\n", 0755);
  ContainerSpec spec = base_spec(context, apt_install, {}, folder.path());
  spec.mounts.push_back({policy.path() / "policy-rc.d", "/usr/sbin/policy-rc.d", true});
  spec.upper = upper;
  spec.work = work;
  run_step(context.runner, spec, "install system packages");
}

void install_python(const PackageContext& context, const std::vector<PackageLock>& packages,
                    const fs::path& upper, const fs::path& work) {
  const TemporaryDirectory folder("wheels-", context.runner.temporary);
  lay_out(packages, context.cache, folder.path());
  std::vector<std::string> words;
  words.reserve(packages.size());
  for (const PackageLock& package : packages)
    words.push_back(fmt::format("{}=={}", package.name, package.version));
  check_words(words, "Python package");
  ContainerSpec spec = base_spec(context, pip_install, std::move(words), folder.path());
  spec.upper = upper;
  spec.work = work;
  run_step(context.runner, spec, "install Python packages");
}

} // namespace mlp::image
