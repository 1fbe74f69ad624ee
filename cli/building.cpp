// Parts from the session: settings, folders, secrets, git, registries.
#include "cli/building.hpp"

#include "cli/images.hpp"
#include "cli/secrets.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/image/attest.hpp"
#include "core/image/provenance.hpp"
#include "core/image/reference.hpp"
#include "core/image/transfer.hpp"
#include "core/secret/masker.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

#include <charconv>

namespace mlp {

namespace {

constexpr std::chrono::milliseconds git_limit{2000};

// Seconds since 1970 that a build has to use (reproducible-builds.org/specs/source-date-epoch).
std::optional<std::int64_t> source_date_epoch() {
  const auto text = get_env("SOURCE_DATE_EPOCH");
  if (!text || text->empty()) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, wrong] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (wrong != std::errc() || end != text->data() + text->size() || value < 0)
    throw Error(ErrorKind::usage, fmt::format("SOURCE_DATE_EPOCH is '{}', which is no number of "
                                              "seconds",
                                              printable(*text)));
  return value;
}

fs::path cache_folder() {
  const fs::path cache = config::user_cache_path(config::process_environment());
  if (cache.empty()) throw Error(ErrorKind::config, "there is no HOME to keep layers in");
  return cache;
}

// What killed builds have left in the folder of temporary files.
void remove_leftovers(const fs::path& folder) {
  constexpr std::chrono::hours age{24};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto written = entry.last_write_time(error);
    if (error || fs::file_time_type::clock::now() - written < age) continue;
    try {
      mlp::remove_all(entry.path());
    } catch (const Error& problem) { // it takes room, no more
      log_debug(fmt::format("cannot remove '{}': {}", entry.path().native(), problem.message()));
    }
  }
}

} // namespace

struct ProjectBuild::State {
  State(Session& s, config::ImageSpec image, CacheUse use)
      : session(s), spec(std::move(image)), layout(s.project().images(), true),
        unpacked(image::UnpackedLayers::user_folder()),
        cache(s.project().cache() / "image", layout, use), request{.root = s.project().root,
                                                                   .spec = spec,
                                                                   .source_date =
                                                                       source_date_epoch(),
                                                                   .packages =
                                                                       cache_folder() / "packages"},
        shop{layout, unpacked, cache, {}, s.output().progress(), {}} {
    shop.runner.program = this_executable();
    shop.runner.temporary = cache_folder() / "tmp";
    make_directories(shop.runner.temporary);
    remove_leftovers(shop.runner.temporary);
    shop.runner.stop = s.stop_token();
    shop.runner.progress = &s.output().progress();
    shop.runner.line = [this](std::string_view line) { show(line); };
    shop.done = [this](const image::Workshop::Done& done) { take(done); };
    request.base = [this](const std::string& reference, const std::optional<Digest>& pinned) {
      return with_context(fmt::format("while fetching the base '{}'", printable(reference)),
                          [&] { return base(reference, pinned); });
    };
    request.secret = [this](const std::string& name) { return secret(name); };
    if (const auto head = track::head_commit(s.project().root)) {
      commit = head->commit;
      request.commit_time = head->time;
      request.annotations["org.opencontainers.image.revision"] = commit;
      if (!head->origin.empty())
        request.annotations["org.opencontainers.image.source"] = image::public_uri(head->origin);
    }
    request.annotations["org.opencontainers.image.title"] = s.project_file().name;
  }

  void show(std::string_view line);
  void take(const image::Workshop::Done& done);
  image::Descriptor base(const std::string& reference, const std::optional<Digest>& pinned);
  std::string secret(const std::string& name);

  Session& session;
  config::ImageSpec spec;
  image::Layout layout;
  image::UnpackedLayers unpacked;
  image::LayerCache cache;
  image::BuildRequest request;
  image::Workshop shop;
  std::string commit;
  std::vector<image::Workshop::Done> steps;
  std::vector<std::string> secrets; // values that were handed out
};

void ProjectBuild::State::show(std::string_view line) {
  std::string text(line);
  for (const std::string& value : secrets)
    text = secret::MaskedValues(std::span(&value, 1)).mask(text);
  Output& output = session.output();
  if (output.draws_progress() && !output.options().verbose)
    output.progress().note(text);
  else if (output.options().verbose)
    output.status("  " + text);
}

void ProjectBuild::State::take(const image::Workshop::Done& done) {
  steps.push_back(done);
  if (done.cached && !session.output().options().verbose) return;
  const std::string title = done.title.substr(0, done.title.find('\n'));
  const std::string size = done.bytes == 0 ? "nothing changed" : format_bytes(done.bytes);
  session.output().status(
      done.cached ? fmt::format("{}: cached, {}", title, size)
                  : fmt::format("{}: {}, {}", title, size,
                                format_duration(std::chrono::duration<double>(done.seconds))));
}

image::Descriptor ProjectBuild::State::base(const std::string& reference,
                                            const std::optional<Digest>& pinned) {
  if (pinned && layout.has(*pinned)) return image::descriptor_of(layout, *pinned);
  image::ImageName name = image::parse_image_name(reference);
  std::string kept; // the name that it has here from now on
  using image::Transport;
  if (name.transport == Transport::name || name.transport == Transport::registry) {
    // A name without a registry may be an image of the project's own. What is pulled from a
    // registry has the registry in its name: a tag that is to be chosen anew is asked for there.
    if (name.transport == Transport::name && !pinned)
      if (const auto local = layout.find(image::local_name(name.name))) return *local;
    image::Reference wanted = image::parse_reference(name.name);
    kept = fmt::format("{}:{}", wanted.name(), wanted.tag.empty() ? "pinned" : wanted.tag);
    if (pinned) wanted.digest = pinned;
    name = {.transport = Transport::registry, .path = {}, .name = wanted.text()};
  } else {
    if (name.path.is_relative()) name.path = session.project().root / name.path;
    if (pinned && name.transport == Transport::layout) name.name = pinned->text();
  }
  const TemporaryDirectory staging("base-", shop.runner.temporary);
  const bool archived =
      name.transport == Transport::oci_archive || name.transport == Transport::docker_archive;
  const OpenImage from =
      open_image(session, name, archived ? staging.path() : session.project().images());
  const auto to = image::layout_target(layout, kept);
  const image::Transferred moved =
      image::transfer(*from.source, *to, {.referrers = false, .stop = session.stop_token()},
                      session.output().progress());
  if (pinned && moved.manifest.digest != *pinned)
    throw Error(ErrorKind::integrity,
                fmt::format("'{}' is {} now, and mlp.lock pins {}", printable(reference),
                            moved.manifest.digest.text(), pinned->text()))
        .with_hint("mlp env lock takes the new one");
  return moved.manifest;
}

std::string ProjectBuild::State::secret(const std::string& name) {
  std::string value = secret_store(session).get(name);
  secrets.push_back(value);
  return value;
}

const config::ImageSpec& declared_image(Session& session) {
  const auto& image = session.project_file().image;
  if (!image)
    throw Error(ErrorKind::config, "mlp.yaml has no 'image'")
        .with_hint("add one, for example: image: {base: debian:bookworm-slim, files: [.]}");
  return *image;
}

ProjectBuild::ProjectBuild(Session& session, config::ImageSpec spec, CacheUse use)
    : state_(std::make_unique<State>(session, std::move(spec), use)) {}

ProjectBuild::~ProjectBuild() = default;

image::Layout& ProjectBuild::layout() noexcept {
  return state_->layout;
}
image::BuildRequest& ProjectBuild::request() noexcept {
  return state_->request;
}
const std::vector<image::Workshop::Done>& ProjectBuild::steps() const noexcept {
  return state_->steps;
}

image::BuildResult ProjectBuild::build(Builder builder) {
  const config::Project& project = state_->session.project();
  const config::LockFile before = config::load_lock_file(project);
  image::BuildResult result = builder(state_->shop, state_->request, before.image);
  for (const std::string& warning : result.warnings)
    state_->session.output().warning(warning);
  if (!before.image || result.lock != *before.image)
    config::update_lock(project, [&](config::LockFile& lock) { lock.image = result.lock; });
  return result;
}

image::BuildResult ProjectBuild::image() {
  return build(image::build_image);
}
void ProjectBuild::attest(const image::BuildResult& result, const std::string& name) {
  image::attest(state_->shop, state_->request, result, name, MLP_VERSION);
}
image::BuildResult ProjectBuild::environment() {
  return build(image::build_environment);
}

std::string ProjectBuild::clean_commit() {
  if (state_->commit.empty()) return {};
  const auto state = track::source_state(state_->session.project().root, git_limit);
  if (!state || state->dirty.value_or(true)) return {};
  return state_->commit.substr(0, 12);
}

void name_image(image::Layout& layout, const std::string& name, const image::Descriptor& manifest) {
  const auto known = layout.find(name);
  if (!known || known->digest != manifest.digest) layout.tag(name, manifest);
}

} // namespace mlp
