// Names from the image first, and what a person says over them.
#include "core/image/container_request.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

// The first of LD_LIBRARY_PATH where the driver's libraries are bound in.
void add_folder(std::map<std::string, std::string>& environment, const std::string& folder) {
  std::string& path = environment["LD_LIBRARY_PATH"];
  const std::vector<std::string> folders = split(path, ':');
  if (std::find(folders.begin(), folders.end(), folder) != folders.end()) return;
  path = path.empty() ? folder : fmt::format("{}:{}", folder, path);
}

} // namespace

ContainerSpec container_of(const Image& image, std::vector<fs::path> layers,
                           const ContainerRequest& request) {
  const Defaults& defaults = image.config.defaults;
  ContainerSpec spec;
  spec.layers = std::move(layers);
  spec.read_only = request.read_only;
  if (!request.entrypoint)
    spec.arguments = defaults.entrypoint;
  else if (!request.entrypoint->empty())
    spec.arguments = {*request.entrypoint};
  const std::vector<std::string>& command =
      request.command.empty() && !request.entrypoint ? defaults.cmd : request.command;
  spec.arguments.insert(spec.arguments.end(), command.begin(), command.end());
  if (spec.arguments.empty())
    throw Error(ErrorKind::config, "the image does not say what it runs")
        .with_hint("name a program after the image");

  for (const std::string& variable : defaults.env)
    if (const std::size_t equals = variable.find('='); equals != std::string::npos && equals > 0)
      spec.environment[variable.substr(0, equals)] = variable.substr(equals + 1);
  for (const auto& [name, value] : request.gpus.environment)
    spec.environment[name] = value;
  if (!request.gpus.library_folder.empty())
    add_folder(spec.environment, request.gpus.library_folder);
  for (const auto& [name, value] : request.environment)
    spec.environment[name] = value;
  spec.inherited = request.inherited;

  spec.workdir = request.workdir.empty() ? defaults.workdir : request.workdir;
  if (spec.workdir.empty()) spec.workdir.push_back('/');
  spec.user = request.user.empty() ? defaults.user : request.user;
  spec.mounts = request.gpus.mounts;
  spec.mounts.insert(spec.mounts.end(), request.mounts.begin(), request.mounts.end());
  spec.devices = request.gpus.devices;
  spec.network = request.network;
  if (spec.network) spec.hostname.clear();
  return spec;
}

BindMount parse_volume(std::string_view text) {
  std::vector<std::string> parts = split(text, ':');
  const auto wrong = [&](std::string_view why) {
    return Error(ErrorKind::usage, fmt::format("volume '{}' {}", printable(text), why))
        .with_hint("as in /data:/data or ./models:/models:ro");
  };
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty())
    throw wrong("is not SOURCE:TARGET[:ro]");
  if (!parts[1].starts_with('/')) throw wrong("has a target that is no absolute path");
  BindMount mount{.source = fs::absolute(parts[0]), .target = parts[1]};
  if (parts.size() == 3) {
    for (const std::string& option : split(parts[2], ','))
      if (option == "ro")
        mount.read_only = true;
      else if (option != "rw" && option != "z" && option != "Z") // labels of SELinux
        throw wrong(fmt::format("has the unknown option '{}'", printable(option)));
  }
  return mount;
}

} // namespace mlp::image
