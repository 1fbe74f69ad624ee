// From mlp.yaml's `image` to a chain of layers. What is chosen on the way (a digest for a tag, a
// version for a name) goes into the lock.
#include "core/image/build.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/install.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mlp::image {

namespace {

using config::ImageLock;
using config::ImageSpec;

constexpr std::string_view default_folder = "/src"; // of the project's files, as Cog has it
constexpr std::uint64_t most_requirements = 4u << 20;
constexpr const char* secrets_folder = "/run/secrets";

std::string requirements_of(const BuildRequest& request) {
  if (request.spec.python_requirements.empty()) return {};
  return read_file(request.root / request.spec.python_requirements, most_requirements);
}

bool wants_python(const ImageSpec& spec) {
  return !spec.python_packages.empty() || !spec.python_requirements.empty();
}

std::map<std::string, std::string> environment_of(const Defaults& defaults) {
  std::map<std::string, std::string> out;
  for (const std::string& entry : defaults.env) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string::npos) out[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return out;
}

void set_environment(Defaults& defaults, const std::string& name, const std::string& value) {
  const std::string prefix = name + "=";
  const auto found =
      std::find_if(defaults.env.begin(), defaults.env.end(),
                   [&](const std::string& entry) { return entry.starts_with(prefix); });
  if (found != defaults.env.end())
    *found = prefix + value;
  else
    defaults.env.push_back(prefix + value);
}

std::string package_text(const std::vector<PackageLock>& packages) {
  std::string text;
  for (const PackageLock& package : packages)
    text += fmt::format("{} {} {}\n", package.name, package.version, package.digest.hex());
  return text;
}

// One build from a spec: state that its parts share.
class Build {
 public:
  Build(Workshop& shop, const BuildRequest& request, const std::optional<ImageLock>& lock)
      : shop_(shop), request_(request), spec_(request.spec) {
    const bool current = is_current(request, lock);
    if (request.locked && !current)
      throw Error(ErrorKind::config,
                  lock ? "mlp.lock is not what mlp.yaml's image asks for" : "mlp.lock has no image")
          .with_hint("mlp env lock chooses versions and writes them down");
    if (lock && !request.renew) known_ = *lock;
    ImageLock& now = result_.lock;
    now.system_inputs = system_inputs(request);
    now.python_inputs = python_inputs(request);
    chooses_system_ = request.renew || !lock || lock->system_inputs != now.system_inputs;
    chooses_python_ = chooses_system_ || lock->python_inputs != now.python_inputs;
  }

  Chain environment() {
    Chain chain = base();
    system_packages(chain);
    python_packages(chain);
    for (const auto& entry : spec_.env)
      set_environment(chain.defaults, entry.name, entry.value);
    steps(chain);
    if (!spec_.workdir.empty()) chain.defaults.workdir = spec_.workdir;
    if (!spec_.user.empty()) chain.defaults.user = spec_.user;
    result_.environment = chain.finish(chain.time(), {});
    result_.lock.environment = result_.environment.descriptor.digest;
    return chain;
  }

  void image(Chain chain) {
    const std::int64_t created = request_.source_date.value_or(request_.commit_time);
    files(chain, created);
    if (!spec_.entrypoint.empty()) {
      chain.defaults.entrypoint = spec_.entrypoint;
      chain.defaults.cmd.clear(); // the base's are arguments of its own program
    }
    if (!spec_.cmd.empty()) chain.defaults.cmd = spec_.cmd;
    for (const auto& entry : spec_.labels)
      chain.defaults.labels[entry.name] = entry.value;
    Annotations annotations = request_.annotations;
    annotations.insert({"org.opencontainers.image.created", format_seconds(created)});
    annotations.merge(base_annotations_);
    result_.image = chain.finish(created, annotations);
  }

  BuildResult take() { return std::move(result_); }

 private:
  Chain base() {
    const std::string reference = base_reference(spec_);
    if (reference == "scratch") return Chain(shop_, std::nullopt, request_.source_date.value_or(0));
    std::optional<Digest> pinned;
    if (const auto found = known_.bases.find(reference);
        found != known_.bases.end() && !request_.renew)
      pinned = found->second;
    const Descriptor descriptor = request_.base(reference, pinned);
    result_.lock.bases.emplace(reference, descriptor.digest);
    const Image image = load_image(shop_.layout, descriptor);
    base_annotations_ = {{"org.opencontainers.image.base.name", reference},
                         {"org.opencontainers.image.base.digest", descriptor.digest.text()}};
    return Chain(shop_, image, request_.source_date.value_or(parse_seconds(image.config.created)));
  }

  [[nodiscard]] PackageContext context(const Chain& chain, std::vector<fs::path> layers) const {
    return {shop_.runner, std::move(layers), environment_of(chain.defaults), request_.packages,
            shop_.progress};
  }

  // Their sizes are known for sure only now.
  void fetch(std::vector<PackageLock>& packages) {
    fetch_packages(packages, request_.packages, shop_.progress, shop_.runner.stop);
    for (PackageLock& package : packages)
      if (package.bytes == 0)
        package.bytes = fs::file_size(request_.packages / package.digest.hex());
  }

  void system_packages(Chain& chain) {
    if (spec_.system_packages.empty()) return;
    std::vector<PackageLock>& packages = result_.lock.system_packages;
    packages = chooses_system_
                   ? resolve_system(context(chain, chain.folders()), spec_.system_packages)
                   : known_.system_packages;
    if (packages.empty()) return; // the base has them all
    chain.run(fmt::format("system packages: {}", fmt::join(spec_.system_packages, " ")),
              "system packages\n" + package_text(packages),
              [&](const auto& layers, const auto& upper, const auto& work) {
                fetch(packages);
                install_system(context(chain, layers), packages, upper, work);
              });
  }

  void python_packages(Chain& chain) {
    if (!spec_.python_version.empty() && chooses_python_) check_python(chain);
    if (!wants_python(spec_)) return;
    std::vector<PackageLock>& packages = result_.lock.python_packages;
    packages = chooses_python_
                   ? resolve_python(context(chain, chain.folders()), spec_.python_packages,
                                    requirements_of(request_), known_.python_packages)
                   : known_.python_packages;
    if (packages.empty()) return;
    const bool known = chain.run("Python packages", "Python packages\n" + package_text(packages),
                                 [&](const auto& layers, const auto& upper, const auto& work) {
                                   fetch(packages);
                                   install_python(context(chain, layers), packages, upper, work);
                                 });
    if (known && chooses_python_)
      for (PackageLock& package : packages) // as it was written down before
        if (const auto size = size_of(package)) package.bytes = *size;
  }

  [[nodiscard]] std::optional<std::uint64_t> size_of(const PackageLock& package) const {
    std::error_code error;
    const std::uint64_t size = fs::file_size(request_.packages / package.digest.hex(), error);
    if (!error) return size;
    for (const PackageLock& old : known_.python_packages)
      if (old.digest == package.digest) return old.bytes;
    return std::nullopt;
  }

  void check_python(const Chain& chain) {
    const std::string version = python_version(context(chain, chain.folders()));
    const std::string& wanted = spec_.python_version;
    if (version == wanted || version.starts_with(wanted + ".")) return;
    throw Error(
        ErrorKind::config,
        version.empty()
            ? fmt::format("the image has no python3, and mlp.yaml asks for Python {}", wanted)
            : fmt::format("the image has Python {}, and mlp.yaml asks for {}", version, wanted))
        .with_hint(
            fmt::format("take a base that has it: docker.io/library/python:{}-slim", wanted));
  }

  void steps(Chain& chain) {
    std::vector<SecretFile> secrets;
    for (const std::string& name : spec_.secrets)
      secrets.push_back({name, fmt::format("{}/{}", secrets_folder, name)});
    for (const std::string& command : spec_.run) {
      const std::string title = command.substr(0, command.find('\n'));
      std::string inputs = "step\n" + command + "\n";
      for (const std::string& entry : chain.defaults.env)
        inputs += entry + "\n";
      chain.run(title, inputs, [&](const auto& layers, const auto& upper, const auto& work) {
        ContainerSpec spec;
        spec.layers = layers;
        spec.upper = upper;
        spec.work = work;
        spec.arguments = {"/bin/sh", "-ec", command};
        spec.environment = environment_of(chain.defaults);
        spec.environment["SOURCE_DATE_EPOCH"] = std::to_string(chain.time());
        spec.pretend_root = true;
        run_with_secrets(shop_.runner, spec, secrets, request_.secret, title);
      });
    }
  }

  void files(Chain& chain, std::int64_t seconds) {
    if (spec_.files.empty()) return;
    if (chain.defaults.workdir.empty() || spec_.workdir.empty())
      chain.defaults.workdir = default_folder;
    const Chain::Target target = chain.target(chain.defaults.workdir);
    const std::string& folder = target.path;
    FolderTree tree(request_.root, ignored_by_mlpignore(request_.root));
    Placed placed;
    for (const std::string& missing : target.missing)
      place_folder(missing, {}, placed);
    for (const std::string& given : spec_.files) {
      std::string source = fs::path(given).lexically_normal().relative_path().native();
      if (source == ".") source.clear();
      while (source.ends_with('/'))
        source.pop_back();
      if (!source.empty())
        if (const auto reason = unsafe_path_reason(source))
          throw Error(ErrorKind::config,
                      fmt::format("image.files: '{}': {}", printable(given), *reason));
      // The folders above each file, so that their modes are not left to chance.
      for (std::size_t slash = source.find('/'); slash != std::string::npos;
           slash = source.find('/', slash + 1))
        place_folder(fmt::format("{}/{}", folder, source.substr(0, slash)), {}, placed);
      with_context(fmt::format("while taking image.files of {}", request_.root.native()), [&] {
        place(tree, source, source.empty() ? folder : fmt::format("{}/{}", folder, source), {},
              placed, shop_.runner.stop);
      });
    }
    // What mlp keeps beside the project is no part of it.
    for (const char* own : {".git", ".mlp"}) {
      const std::string path = fmt::format("{}/{}", folder, own);
      std::erase_if(placed, [&](const auto& entry) {
        return entry.first == path || entry.first.starts_with(path + "/");
      });
    }
    chain.add_files(fmt::format("files: {}", fmt::join(spec_.files, " ")), tree, std::move(placed),
                    seconds);
  }

  Workshop& shop_;
  const BuildRequest& request_;
  const ImageSpec& spec_;
  ImageLock known_;
  bool chooses_system_ = false, chooses_python_ = false;
  Annotations base_annotations_;
  BuildResult result_;
};

} // namespace

std::string base_reference(const ImageSpec& spec) {
  if (!spec.base.empty()) return spec.base;
  if (!spec.python_version.empty())
    return fmt::format("docker.io/library/python:{}-slim", spec.python_version);
  return "scratch";
}

Digest system_inputs(const BuildRequest& request) {
  const ImageSpec& spec = request.spec;
  if (!spec.dockerfile.empty()) return sha256("dockerfile " + platform_text(this_platform()));
  return sha256(dump_json(json_object({{"platform", platform_text(this_platform())},
                                       {"base", base_reference(spec)},
                                       {"system_packages", spec.system_packages}})));
}

Digest python_inputs(const BuildRequest& request) {
  const ImageSpec& spec = request.spec;
  return sha256(dump_json(json_object({{"python_version", spec.python_version},
                                       {"python_packages", spec.python_packages},
                                       {"requirements", requirements_of(request)}})));
}

bool is_current(const BuildRequest& request, const std::optional<ImageLock>& lock) {
  return lock && lock->system_inputs == system_inputs(request) &&
         lock->python_inputs == python_inputs(request);
}

void run_with_secrets(const StepRunner& runner, ContainerSpec spec,
                      const std::vector<SecretFile>& secrets,
                      const std::function<std::string(const std::string&)>& value,
                      std::string_view title) {
  if (secrets.empty()) return run_step(runner, spec, title);
  // In memory where there is such a place for users' files: never on a disk.
  const auto runtime = get_env("XDG_RUNTIME_DIR");
  const fs::path memory = runtime && fs::is_directory(*runtime) ? fs::path(*runtime) : "/dev/shm";
  const TemporaryDirectory folder("mlp-secrets-",
                                  fs::is_directory(memory) ? memory : runner.temporary);
  std::size_t number = 0;
  for (const SecretFile& secret : secrets) {
    const fs::path file = folder.path() / std::to_string(number++);
    write_file_atomic(file, value(secret.name), 0600);
    spec.mounts.push_back({file, secret.target, true});
  }
  run_step(runner, spec, title);
}

BuildResult build_image(Workshop& shop, const BuildRequest& request,
                        const std::optional<ImageLock>& lock) {
  if (!request.spec.dockerfile.empty()) return build_dockerfile(shop, request, lock);
  Build build(shop, request, lock);
  build.image(build.environment());
  return build.take();
}

BuildResult build_environment(Workshop& shop, const BuildRequest& request,
                              const std::optional<ImageLock>& lock) {
  if (!request.spec.dockerfile.empty()) return build_dockerfile(shop, request, lock);
  Build build(shop, request, lock);
  build.environment();
  return build.take();
}

} // namespace mlp::image
