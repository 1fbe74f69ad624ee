// The steps of a Dockerfile carried out, stage by stage, on chains of layers.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/build.hpp"
#include "core/image/container_user.hpp"
#include "core/image/copy_step.hpp"
#include "core/image/dockerfile.hpp"

#include <fmt/format.h>

#include <map>
#include <memory>

namespace mlp::image {

namespace {

// Joined, as a text that tells one list from another.
std::string text_of(const std::vector<std::string>& words) {
  return dump_json(Json(words));
}

class DockerfileBuild {
 public:
  DockerfileBuild(Workshop& shop, const BuildRequest& request,
                  const std::optional<config::ImageLock>& lock)
      : shop_(shop), request_(request) {
    if (lock && !request.renew && lock->system_inputs == system_inputs(request)) known_ = *lock;
    if (request.locked && known_.bases.empty())
      throw Error(ErrorKind::config, "mlp.lock has no image")
          .with_hint("mlp env lock chooses the bases' digests and writes them down");
    result_.lock.system_inputs = system_inputs(request);
    result_.lock.python_inputs = python_inputs(request);
  }

  BuildResult run() {
    const std::string& name = request_.spec.dockerfile;
    BuildArgs args;
    for (const auto& arg : request_.spec.build_args)
      args.insert_or_assign(arg.name, arg.value);
    file_ = parse_dockerfile(read_file(request_.root / name, max_dockerfile_bytes), name, args,
                             this_platform());
    for (const std::string& unused : file_.unused)
      result_.warnings.push_back(
          fmt::format("no ARG of {} declares the build argument '{}'", name, unused));
    const std::size_t target = find_stage(file_, request_.target);
    const std::vector<std::size_t> needed = needed_stages(file_, target);
    // All that can be wrong in the text is found before anything runs.
    std::map<std::size_t, StageSteps> steps;
    for (const std::size_t stage : needed)
      steps.emplace(stage, evaluate_stage(file_, stage, scope_of(stage, steps)));
    for (const std::size_t stage : needed)
      carry_out(stage, steps.at(stage));
    finish(chains_.at(target));
    return std::move(result_);
  }

 private:
  StageScope scope_of(std::size_t stage, const std::map<std::size_t, StageSteps>& steps) {
    const Stage& which = file_.stages[stage];
    if (which.base_stage) return steps.at(*which.base_stage).scope;
    if (which.base == "scratch") return {};
    return {image(which.base).config.defaults, {}};
  }

  // A base, or what COPY --from names, at the digest that is on record.
  const Image& image(const std::string& reference) {
    const auto found = images_.find(reference);
    if (found != images_.end()) return found->second;
    std::optional<Digest> pinned;
    if (const auto known = known_.bases.find(reference); known != known_.bases.end())
      pinned = known->second;
    else if (request_.locked)
      throw Error(ErrorKind::config, fmt::format("mlp.lock has no digest for '{}'", reference))
          .with_hint("mlp env lock chooses one and writes it down");
    const Descriptor descriptor = request_.base(reference, pinned);
    result_.lock.bases.emplace(reference, descriptor.digest);
    return images_.emplace(reference, load_image(shop_.layout, descriptor)).first->second;
  }

  Chain begin(std::size_t stage) {
    const Stage& which = file_.stages[stage];
    if (which.base_stage) return chains_.at(*which.base_stage);
    if (which.base == "scratch")
      return Chain(shop_, std::nullopt, request_.source_date.value_or(0));
    const Image& base = image(which.base);
    return Chain(shop_, base, request_.source_date.value_or(parse_seconds(base.config.created)));
  }

  void carry_out(std::size_t stage, const StageSteps& steps) {
    Chain chain = begin(stage);
    for (const Step& step : steps.steps) {
      try {
        std::visit([&](const auto& action) { carry_out(chain, step, action); }, step.action);
      } catch (Error& error) {
        error.add_context(fmt::format("while building {}:{}: {}", file_.name, step.line,
                                      printable(step.text.substr(0, step.text.find('\n')))));
        throw;
      }
    }
    chain.defaults = steps.scope.defaults;
    chains_.insert_or_assign(stage, std::move(chain));
  }

  static void carry_out(Chain& chain, const Step& step, const ConfigStep&) {
    chain.note(step.text);
  }

  void carry_out(Chain& chain, const Step& step, const WorkdirStep& action) {
    const Chain::Target target = chain.target(action.path);
    if (target.missing.empty()) return chain.note(step.text);
    Placed placed;
    for (const std::string& missing : target.missing)
      place_folder(missing, {}, placed);
    FolderTree none(request_.root);
    chain.add_files(step.text, none, std::move(placed), chain.time());
  }

  void carry_out(Chain& chain, const Step& step, const RunStep& action) {
    std::string inputs = fmt::format("RUN\n{}\n{}\n{}\n{}\n{}\n", text_of(action.arguments),
                                     sha256(action.script).hex(), action.workdir, action.user,
                                     text_of(action.scratch_folders));
    for (const auto& [name, value] : action.environment)
      inputs += fmt::format("{}={}\n", name, value);
    std::vector<SecretFile> secrets;
    for (const SecretMount& mount : action.secrets) {
      const bool absolute = mount.target.starts_with('/');
      secrets.push_back(
          {mount.id, absolute ? mount.target : fmt::format("{}/{}", action.workdir, mount.target)});
      inputs += fmt::format("{} {}\n", mount.id, mount.target);
    }
    chain.run(step.text, inputs, [&](const auto& layers, const auto& upper, const auto& work) {
      const TemporaryDirectory own("run-", shop_.runner.temporary);
      ContainerSpec spec;
      spec.layers = layers;
      spec.upper = upper;
      spec.work = work;
      spec.arguments = action.arguments;
      spec.environment = action.environment;
      spec.environment["SOURCE_DATE_EPOCH"] = std::to_string(chain.time());
      spec.workdir = action.workdir.empty() ? "/" : action.workdir;
      spec.network = action.network;
      spec.pretend_root = true;
      if (!action.script.empty()) {
        write_file_atomic(own.path() / "script", action.script, 0755);
        spec.mounts.push_back({own.path() / "script", action.arguments.at(0), true});
      }
      for (std::size_t i = 0; i < action.scratch_folders.size(); ++i) {
        const fs::path folder = own.path() / fmt::format("scratch-{}", i);
        make_directories(folder);
        spec.mounts.push_back({folder, action.scratch_folders[i], false});
      }
      run_with_secrets(shop_.runner, spec, wanted(action, secrets), request_.secret, step.text);
    });
  }

  // A secret that is not required is left out where there is none.
  std::vector<SecretFile> wanted(const RunStep& action, const std::vector<SecretFile>& secrets) {
    std::vector<SecretFile> out;
    for (std::size_t i = 0; i < secrets.size(); ++i) {
      if (!action.secrets[i].required) {
        try {
          static_cast<void>(request_.secret(secrets[i].name));
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::not_found) continue;
          throw;
        }
      }
      out.push_back(secrets[i]);
    }
    return out;
  }

  void carry_out(Chain& chain, const Step& step, const CopyStep& action) {
    Placement placement;
    placement.mode = action.chmod;
    if (action.chown) {
      ContainerSpec who;
      who.layers = chain.folders();
      who.user = *action.chown;
      const ContainerUser user = find_container_user(who);
      placement.uid = user.uid;
      placement.gid = user.gid;
    }
    std::unique_ptr<Tree> tree;
    if (action.from_stage) {
      tree = std::make_unique<MergedTree>(chains_.at(*action.from_stage).folders());
      placement.keep = !action.chown;
    } else if (!action.from_image.empty()) {
      tree = std::make_unique<MergedTree>(Chain(shop_, image(action.from_image), 0).folders());
      placement.keep = !action.chown;
    } else {
      tree = std::make_unique<FolderTree>(request_.root,
                                          ignored_in_context(request_.root, file_.name));
    }
    copy(chain, shop_, *tree, step, action, placement);
  }

  void finish(const Chain& chain) {
    const std::int64_t created = request_.source_date.value_or(request_.commit_time);
    result_.environment = chain.finish(chain.time(), {});
    result_.lock.environment = result_.environment.descriptor.digest;
    Annotations annotations = request_.annotations;
    annotations.insert({"org.opencontainers.image.created", format_seconds(created)});
    Chain last = chain;
    for (const auto& label : request_.spec.labels)
      last.defaults.labels[label.name] = label.value;
    result_.image = last.finish(created, annotations);
  }

  Workshop& shop_;
  const BuildRequest& request_;
  config::ImageLock known_;
  Dockerfile file_;
  std::map<std::string, Image> images_;
  std::map<std::size_t, Chain> chains_;
  BuildResult result_;
};

} // namespace

BuildResult build_dockerfile(Workshop& shop, const BuildRequest& request,
                             const std::optional<config::ImageLock>& lock) {
  return DockerfileBuild(shop, request, lock).run();
}

} // namespace mlp::image
