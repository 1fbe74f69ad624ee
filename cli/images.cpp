// Names of images to places.
#include "cli/images.hpp"

#include "cli/completers.hpp"
#include "cli/remote_options.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::string_view name_of(const image::Descriptor& entry) {
  const auto name = entry.annotations.find(image::ref_name_annotation);
  return name == entry.annotations.end() ? std::string_view() : std::string_view(name->second);
}

std::vector<std::string> names_in(const image::Layout& store) {
  std::vector<std::string> out;
  for (const image::Descriptor& entry : store.index().manifests)
    if (const std::string_view name = name_of(entry); !name.empty()) out.emplace_back(name);
  return out;
}

OpenImage open_remote_image(Session& session, const std::string& name, const fs::path& staging) {
  const image::Reference reference = image::parse_reference(name);
  OpenImage out{.name = reference.text()};
  out.layout = std::make_unique<image::Layout>(staging, true);
  out.registry = std::make_unique<image::Registry>(reference.host, registry_options(session));
  out.source = image::registry_source(*out.registry, reference, *out.layout);
  return out;
}

OpenImage from_layout(std::unique_ptr<image::Layout> layout, const image::NamedImage& found) {
  OpenImage out{.layout = std::move(layout), .name = found.name};
  out.source = image::layout_source(*out.layout, found.manifest);
  return out;
}

} // namespace

fs::path images_folder(Session& session) {
  try {
    return session.project().images();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
  }
  if (const auto data = get_env("XDG_DATA_HOME"); data && data->starts_with('/'))
    return fs::path(*data) / "mlp" / "images";
  const auto home = get_env("HOME");
  if (!home || home->empty())
    throw Error(ErrorKind::config, "no folder for images: HOME is not set, and there is no project")
        .with_hint("run the command in a project, or set XDG_DATA_HOME");
  return fs::path(*home) / ".local" / "share" / "mlp" / "images";
}

image::Layout open_images(Session& session) {
  return image::Layout(images_folder(session), true);
}

std::unique_ptr<image::Layout> find_images(Session& session) {
  const fs::path folder = images_folder(session);
  if (!fs::exists(folder / "oci-layout")) return nullptr;
  return std::make_unique<image::Layout>(folder);
}

image::NamedImage local_image(const image::Layout& store, std::string_view name) {
  if (!name.empty())
    if (auto found = image::find_image(store, name)) return *std::move(found);
  Error error(ErrorKind::not_found, fmt::format("no local image '{}'", printable(name)));
  const std::vector<std::string> names = names_in(store);
  const std::string hint = suggestion_hint(name, names, "images");
  throw std::move(error).with_hint(hint.empty() ? "mlp image pull fetches one, mlp build makes one"
                                                : hint);
}

Option platform_option() {
  return {.name = "--platform",
          .value = "OS/ARCH",
          .help = "of an image for several platforms, the one for this; default: this machine's"};
}
Option all_platforms_option() {
  return {.name = "--all-platforms", .help = "the image for all of its platforms"};
}
Option plain_http_option() {
  return {.name = "--plain-http",
          .help = "speak HTTP without TLS to a registry that is not on this machine"};
}

image::RegistryOptions registry_options(Session& session) {
  image::RegistryOptions options;
  options.http = http_options(session);
  options.plain_http = session.arguments().has("--plain-http");
  return options;
}

image::TransferOptions transfer_options(Session& session) {
  image::TransferOptions options;
  if (const auto platform = session.arguments().get("--platform"))
    options.platform = image::parse_platform(*platform);
  options.all_platforms = session.arguments().has("--all-platforms");
  if (options.all_platforms && session.arguments().has("--platform"))
    throw Error(ErrorKind::usage, "--platform and --all-platforms exclude each other");
  options.stop = session.stop_token();
  return options;
}

OpenImage open_image(Session& session, const image::ImageName& name, const fs::path& staging) {
  switch (name.transport) {
  case image::Transport::name:
    if (auto store = find_images(session))
      if (const auto found = image::find_image(*store, name.name))
        return from_layout(std::move(store), *found);
    session.output().status(fmt::format("no local image '{}': asking the registry for '{}'",
                                        printable(name.name),
                                        image::parse_reference(name.name).text()));
    return open_remote_image(session, name.name, staging);
  case image::Transport::registry:
    return open_remote_image(session, name.name, staging);
  case image::Transport::layout: {
    auto layout = std::make_unique<image::Layout>(name.path);
    const auto found = image::find_image(*layout, name.name);
    if (!found)
      throw Error(ErrorKind::not_found,
                  fmt::format("no image '{}' in '{}'", printable(name.name), name.path.native()))
          .with_hint(suggestion_hint(name.name, names_in(*layout), "images"));
    return from_layout(std::move(layout), *found);
  }
  case image::Transport::oci_archive:
  case image::Transport::docker_archive:
    break;
  }
  auto layout = std::make_unique<image::Layout>(staging, true);
  const auto images =
      image::read_archive(name.path, *layout, session.output().progress(), session.stop_token());
  const image::NamedImage found = image::choose_archived(images, name.name, name.path);
  // What speaks of the image is found by the index.
  for (const image::NamedImage& other : images)
    if (other.name.empty() && !other.manifest.artifact_type.empty()) layout->add(other.manifest);
  return from_layout(std::move(layout), found);
}

std::string transfer_text(const image::Transferred& result) {
  if (result.moved == 0) return "nothing to move";
  return fmt::format("moved {} of {} blobs ({})", format_count(result.moved),
                     format_count(result.blobs), format_bytes(result.bytes));
}

Json transfer_json(const image::Transferred& result) {
  return json_object({{"digest", result.manifest.digest.text()},
                      {"media_type", result.manifest.media_type},
                      {"blobs", result.blobs},
                      {"moved_blobs", result.moved},
                      {"moved_bytes", result.bytes},
                      {"referrers", result.referrers}});
}

void emit_transfer(Session& session, const std::string& name, const image::Transferred& result) {
  Json record = transfer_json(result);
  record["image"] = name;
  session.output().emit(std::move(record),
                        TextView{fmt::format("{}: {}, {}\n", name, result.manifest.digest.text(),
                                             transfer_text(result))});
}

std::vector<Candidate> complete_images(Session& session) {
  std::vector<Candidate> out;
  if (const auto store = find_images(session))
    for (const image::Descriptor& entry : store->index().manifests)
      if (const std::string_view name = name_of(entry); !name.empty())
        out.push_back({std::string(name), entry.digest.short_hex()});
  return out;
}

} // namespace mlp
