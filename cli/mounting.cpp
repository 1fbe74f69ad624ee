// The mount is served by its own threads; this one waits, for signals and for the next question
// about the version.
#include "cli/mounting.hpp"

#include "backends/registry.hpp"
#include "cli/remote_options.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/data/fuse_mount.hpp"
#include "core/data/mount_point.hpp"
#include "core/data/task_pool.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace mlp {

namespace {

constexpr std::chrono::seconds for_open_files{10};

// The remote of the command line or of mlp.yaml, if there is one.
struct Place {
  std::string name, url;
};
std::optional<Place> place_of(Session& session) {
  if (!session.arguments().has("--remote") && session.project_file().remotes.empty())
    return std::nullopt;
  const std::string name = chosen_remote(session);
  return Place{name, session.project_file().remote(name)};
}

// Which version is meant, now and later.
class Versions {
 public:
  Versions(Session& session, const MountRequest& request, const std::optional<Place>& place)
      : name_(request.name), follows_(request.refresh.has_value()),
        datasets_(session.project(), no_progress(), session.stop_token()) {
    if (place)
      storage_ = open_storage(place->url, session.project().root, storage_options(session));
  }

  // A version that is followed is asked for where it changes: a tag at the remote before the one
  // here. One that stays is known here first, as for all commands.
  [[nodiscard]] Digest resolve() {
    const std::string& text = name_.version;
    if (text.empty()) return datasets_.pinned(name_.dataset).digest;
    if (follows_ && storage_)
      if (const auto tag = data::remote_tag(*storage_, name_.dataset.name, text)) return *tag;
    return data::resolve_version(text, datasets_.known(name_.dataset), storage_.get(),
                                 name_.dataset.name);
  }

  // When the version was recorded: here, else at the remote; now, if nobody can say.
  [[nodiscard]] WallTime time_of(const Digest& version) {
    for (const data::Version& known : datasets_.known(name_.dataset).versions())
      if (known.digest == version) return known.time;
    try {
      if (storage_)
        if (const auto there = data::remote_version(*storage_, name_.dataset.name, version))
          return there->time;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::interrupted) throw;
      log_warning("the time of the version is not known: " + error.message());
    }
    return wall_now();
  }

 private:
  VersionName name_;
  bool follows_;
  data::Datasets datasets_;
  std::unique_ptr<data::Storage> storage_;
};

// Where objects are read from. They are read on until the mount has ended: `stop` is not the
// session's. nullptr if there is no remote.
std::shared_ptr<data::Storage> storage_of(Session& session, const std::optional<Place>& place,
                                          const std::stop_token& stop) {
  if (!place) return nullptr;
  StorageOptions options = storage_options(session);
  options.http.stop = stop;
  return open_storage(place->url, session.project().root, options);
}

data::OpenRemoteStore opener(Session& session, const std::optional<Place>& place,
                             const std::shared_ptr<data::Storage>& storage,
                             const std::stop_token& stop) {
  if (!storage) return {};
  const fs::path cache = data::remote_cache(session.project().cache(), *storage);
  return [storage, cache, stop, name = place->name] {
    return with_context(fmt::format("while using remote '{}'", name), [&] {
      struct Both {
        std::shared_ptr<data::Storage> storage;
        std::unique_ptr<data::RemoteStore> store;
      };
      auto both = std::make_shared<Both>();
      both->storage = storage;
      both->store = std::make_unique<data::RemoteStore>(*storage, cache, stop);
      return std::shared_ptr<data::RemoteStore>(both, both->store.get());
    });
  };
}

std::shared_ptr<data::ObjectStore> local_store(Session& session) {
  return std::make_shared<data::ObjectStore>(session.project().objects());
}

void check_folder(Session& session, const MountRequest& request) {
  const auto within = [](const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
           folder.end();
  };
  const fs::path own = data::mount_path(session.project().root / request.name.dataset.path);
  const fs::path state = data::mount_path(session.project().state());
  for (const fs::path& taken : {own, state})
    if (within(request.folder, taken) || within(taken, request.folder))
      throw Error(ErrorKind::usage, fmt::format("cannot mount at '{}': it overlaps '{}'",
                                                request.folder.native(), taken.native()))
          .with_hint("name a folder beside the dataset's own");
}

// A folder that was made for a mount that then failed goes again.
class MadeFolder {
 public:
  explicit MadeFolder(const fs::path& folder)
      : folder_(folder), made_(data::prepare_mount_point(folder)) {}
  ~MadeFolder() {
    if (made_) ::rmdir(folder_.c_str());
  }
  MadeFolder(MadeFolder&&) = delete;
  void keep() { made_ = false; }

 private:
  const fs::path& folder_;
  bool made_;
};

void announce(Session& session, const MountRequest& request, const data::MountView& view) {
  const data::Totals totals = view.totals();
  session.output().emit_line(
      json_object({{"name", request.name.dataset.name},
                   {"mountpoint", request.folder.native()},
                   {"digest", view.version().text()},
                   {"files", totals.files},
                   {"bytes", totals.bytes},
                   {"pid", ::getpid()}}),
      fmt::format("{}: {} in {} mounted at '{}' (Ctrl-C unmounts)\n", request.name.dataset.name,
                  size_text(totals.files, totals.bytes), view.version().short_hex(),
                  printable(request.folder.native())));
}

// Of what happens later: to people at once, or to the log of a detached mount.
void tell(Session& session, const std::string& line) {
  if (session.output().options().json)
    log_info(line);
  else
    session.output().status(line);
}

// Looks whether another version is meant by now, and shows it. What fails is told once.
class Follower {
 public:
  Follower(Session& session, Versions& versions, data::ChunkFetcher& objects, data::MountView& view)
      : session_(session), versions_(versions), objects_(objects), view_(view) {}

  void ask() {
    const std::stop_token stop = session_.stop_token();
    const data::CancelScope scope([&] { return stop.stop_requested(); });
    try {
      const Digest version = versions_.resolve();
      if (version != view_.version()) {
        auto local = local_store(session_);
        const bool here = local->has(version);
        objects_.use_local(std::move(local));
        if (!here) static_cast<void>(objects_.remote(true));
        view_.show(version, versions_.time_of(version));
        tell(session_, fmt::format("shows version {} from now on", version.short_hex()));
      } else if (!told_.empty()) {
        tell(session_, "the version can be asked for again");
      }
      told_.clear();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::interrupted || error.message() == told_) return;
      told_ = error.message();
      log_warning(fmt::format("stays at version {}: {}", view_.version().short_hex(), told_));
    }
  }

 private:
  Session& session_;
  Versions& versions_;
  data::ChunkFetcher& objects_;
  data::MountView& view_;
  std::string told_;
};

// A terminal that is closed ends the mount as Ctrl-C does, unless that was asked not to be (nohup).
void end_with_terminal() {
  struct sigaction now {};
  if (::sigaction(SIGHUP, nullptr, &now) != 0 || now.sa_handler == SIG_IGN) return;
  struct sigaction end {};
  end.sa_handler = [](int) { static_cast<void>(::raise(SIGTERM)); };
  end.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &end, nullptr);
}

void end_mount(const fs::path& folder, data::FuseMount& mount) {
  try {
    if (!data::unmount(folder, false)) {
      log_warning(fmt::format("'{}' is in use: it is taken away now, and files that "
                              "are open can be read for ten seconds more",
                              folder.native()));
      static_cast<void>(data::unmount(folder, true));
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) log_warning(error.message());
  }
  static_cast<void>(mount.wait_until_unmounted(for_open_files, {}));
}

// Until it is unmounted, by whomever; a stop of the session unmounts it.
void wait_for_end(Session& session, const MountRequest& request, data::FuseMount& mount,
                  Follower& follower) {
  const std::stop_token stop = session.stop_token();
  while (!mount.wait_until_unmounted(request.refresh.value_or(std::chrono::hours(1)), stop)) {
    if (stop.stop_requested()) return end_mount(request.folder, mount);
    if (request.refresh) follower.ask();
  }
  tell(session, fmt::format("'{}' is unmounted", request.folder.native()));
}

} // namespace

void serve_mount(Session& session, const MountRequest& request) {
  // Chunks are made by some threads and freed by others: with an arena for each of them most memory
  // would be free, and held.
  ::mallopt(M_ARENA_MAX, 2);
  const std::stop_token stop = session.stop_token();
  end_with_terminal();
  check_folder(session, request);
  const std::optional<Place> place = place_of(session);
  Versions versions(session, request, place);
  const Digest version = versions.resolve();

  std::stop_source end_of_reads;
  std::optional<std::stop_callback<std::function<void()>>> while_starting;
  while_starting.emplace(stop, [&] { end_of_reads.request_stop(); });
  auto local = local_store(session);
  const bool here = local->has(version);
  data::ChunkCache cache(session.project().cache() / "mount", request.cache_bytes);
  const auto storage = storage_of(session, place, end_of_reads.get_token());
  data::FetchOptions options;
  options.patience = 2 * http_options(session).stall_timeout;
  options.threads =
      std::max(data::choose_threads(0), storage ? std::min(storage->parallel_reads(), 16u) : 1);
  data::ChunkFetcher objects(std::move(local), &cache,
                             opener(session, place, storage, end_of_reads.get_token()), options);
  data::MountView view(objects, fs::path(request.name.dataset.path).filename().native());
  view.show(version, versions.time_of(version));
  if (!here) objects.warm_up();

  MadeFolder made(request.folder);
  data::FuseMount mount(view,
                        {.folder = request.folder,
                         .source = fmt::format("{}@{}", request.name.dataset.name,
                                               request.refresh && !request.name.version.empty()
                                                   ? request.name.version
                                                   : version.short_hex()),
                         .follows = request.refresh.has_value(),
                         .allow_other = request.allow_other});
  made.keep();
  struct EndOfReads { // however this ends, no request to the remote holds it up
    std::stop_source& source;
    ~EndOfReads() { source.request_stop(); }
  } end{end_of_reads};
  while_starting.reset();
  announce(session, request, view);

  Follower follower(session, versions, objects, view);
  wait_for_end(session, request, mount, follower);
}

} // namespace mlp
