// The words of `mlp data mount`, for it and for the process that it leaves behind.
#include "cli/completers.hpp"
#include "cli/mounting.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/data/mount_point.hpp"
#include "core/data/versions.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

using std::chrono::milliseconds;

std::optional<milliseconds> refresh_of(Session& session, const std::string& version) {
  const auto text = session.arguments().get("--refresh");
  if (!text) return std::nullopt;
  const auto interval = config::parse_duration(*text);
  if (!interval || *interval < std::chrono::seconds(1) || *interval > std::chrono::hours(24 * 7))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' is no interval to refresh in", printable(*text)))
        .with_hint("such as 60s or 5m, from one second to a week");
  if (data::is_fixed_version(version))
    throw Error(ErrorKind::usage, fmt::format("version '{}' never changes", version))
        .with_hint("follow a tag or 'latest', or leave --refresh out");
  return std::chrono::duration_cast<milliseconds>(*interval);
}

} // namespace

std::vector<Argument> mount_arguments() {
  return {version_argument(),
          {.name = "DIR",
           .help = "where to; must not exist, or be empty",
           .complete = complete_directories}};
}

std::vector<Option> mount_options() {
  return {{.name = "--refresh",
           .value = "TIME",
           .help = "follow the tag, 'latest' or mlp.lock: ask so often, such as 60s"},
          {.name = "--allow-other", .help = "let other users of this machine read it too"},
          remote_option()};
}

MountRequest mount_request(Session& session) {
  const Arguments& arguments = session.arguments();
  MountRequest request{.name = named_version(session, *arguments.get("NAME"))};
  request.folder = data::mount_path(*arguments.get("DIR"));
  request.refresh = refresh_of(session, request.name.version);
  request.cache_bytes = session.settings().get_size("data.mount_cache");
  request.allow_other = arguments.has("--allow-other");
  return request;
}

std::vector<std::string> mount_words(Session& session, const MountRequest& request) {
  const Arguments& arguments = session.arguments();
  std::vector<std::string> words{fmt::format("--cache-size={}", request.cache_bytes)};
  for (const char* option : {"--refresh", "--remote"})
    if (const auto value = arguments.get(option))
      words.push_back(fmt::format("{}={}", option, *value));
  if (request.allow_other) words.emplace_back("--allow-other");
  words.insert(words.end(), {"--", *arguments.get("NAME"), request.folder.native()});
  return words;
}

} // namespace mlp
