// Changes of the environment are told by package; the result is the environment's digest.
#include "cli/environments.hpp"

#include "cli/building.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

#include <map>

namespace mlp {

namespace {

Json packages_json(const std::vector<config::PackageLock>& packages, std::string_view kind,
                   Json rows) {
  for (const config::PackageLock& package : packages)
    rows.push_back(json_object({{"name", package.name},
                                {"version", package.version},
                                {"kind", kind},
                                {"bytes", package.bytes},
                                {"url", package.url},
                                {"digest", package.digest.text()}}));
  return rows;
}

std::map<std::string, std::string> versions(const config::ImageLock& lock) {
  std::map<std::string, std::string> out;
  for (const auto* list : {&lock.system_packages, &lock.python_packages})
    for (const config::PackageLock& package : *list)
      out[package.name] = package.version;
  return out;
}

} // namespace

std::string package_name(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, text.find_first_of("<>=!~[;( @")))
    out += c == '_' || c == '.' ? '-' : (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  return out;
}

std::string_view package_key(Session& session) {
  return session.arguments().has("--system") ? "system_packages" : "python_packages";
}

Option system_option() {
  return {.name = "--system", .help = "packages of the base's distribution, not of Python"};
}

config::ImageLock lock_environment(Session& session, bool renew) {
  // As the file is now: the command may have changed it.
  const config::ProjectFile file = config::load_project_file(session.project().file());
  ProjectBuild build(session, file.image.value_or(config::ImageSpec{}));
  build.request().renew = renew;
  const image::BuildResult result = build.environment();
  name_image(build.layout(), session.project_file().name + ":environment",
             result.environment.descriptor);
  return result.lock;
}

void report_changes(Session& session, const std::optional<config::ImageLock>& before,
                    const config::ImageLock& after) {
  std::map<std::string, std::string> old;
  if (before) old = versions(*before);
  for (const auto& [name, version] : versions(after)) {
    const auto found = old.find(name);
    if (found == old.end())
      session.output().status(fmt::format("+ {} {}", printable(name), printable(version)));
    else if (found->second != version)
      session.output().status(fmt::format("  {} {} -> {}", printable(name),
                                          printable(found->second), printable(version)));
    if (found != old.end()) old.erase(found);
  }
  for (const auto& [name, version] : old)
    session.output().status(fmt::format("- {} {}", printable(name), printable(version)));
  if (before)
    for (const auto& [reference, digest] : after.bases)
      if (const auto was = before->bases.find(reference);
          was != before->bases.end() && was->second != digest)
        session.output().status(
            fmt::format("  {} {} -> {}", reference, was->second.short_hex(), digest.short_hex()));
}

void emit_lock(Session& session, const config::ImageLock& lock) {
  Json bases = json_array();
  for (const auto& [reference, digest] : lock.bases)
    bases.push_back(json_object({{"reference", reference}, {"digest", digest.text()}}));
  const std::string digest = lock.environment ? lock.environment->text() : "";
  session.output().emit(
      json_object({{"environment", digest},
                   {"bases", std::move(bases)},
                   {"packages",
                    packages_json(lock.python_packages, "python",
                                  packages_json(lock.system_packages, "system", json_array()))}}),
      TextView{fmt::format("environment  {}\n", digest)});
}

} // namespace mlp
