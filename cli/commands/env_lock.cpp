// `mlp env lock`: versions chosen anew, and written down.
#include "cli/building.hpp"
#include "cli/environments.hpp"
#include "core/base/error.hpp"
#include "core/config/lock_file.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const auto before = config::load_lock_file(session.project()).image;
  if (session.arguments().has("--check")) {
    ProjectBuild build(session, declared_image(session));
    if (!image::is_current(build.request(), before))
      throw Error(ErrorKind::config, before ? "mlp.lock is not what mlp.yaml's image asks for"
                                            : "mlp.lock has no image")
          .with_hint("mlp env lock chooses versions and writes them down");
    session.output().status("mlp.lock is current");
    emit_lock(session, *before);
    return;
  }
  const config::ImageLock lock = lock_environment(session, true);
  report_changes(session, before, lock);
  emit_lock(session, lock);
}

} // namespace

extern const Command env_lock_command;
const Command env_lock_command = {
    .path = "env lock",
    .summary = "choose the newest base and packages that mlp.yaml allows, and pin them",
    .category = Category::images,
    .options = {{.name = "--check", .help = "change nothing; fail if mlp.lock is not current"}},
    .examples = {{"mlp env lock", "bring the environment up to date"},
                 {"mlp env lock --check", "in CI: is mlp.lock committed with mlp.yaml?"}},
    .run = run};

} // namespace mlp
